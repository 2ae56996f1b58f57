#pragma once

#include "cxone/data_action.h"
#include "cxone/redactor.h"
#include "cxone/token.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace cxone_sync {

/* How one look at the service's Data Actions has ended. */
struct RegistrationResult {
    enum class Outcome {
        done,
        retry,   /* could be better soon: 429, 5xx, no connection, too slow */
        refused, /* comes out the same until something changes: other 4xx, replies that make no sense */
        cancelled
    };
    Outcome outcome = Outcome::done;
    std::string problem; /* one line that may be shown: without secrets */
    std::string hint;
    long retry_after_s = 0; /* 0: the service did not say */

    /* if it is done; the action also if it is there and yet not as it should be */
    const char *change = "";    /* "created", "updated", "removed", or empty: it was as it should be */
    DataAction action;          /* as the service has it; without an id if there is none */
    bool is_unlisted = false;   /* as in KnownRegistration */
    std::size_t duplicates = 0; /* of the same name and endpoint, beside it; those removed not counted */
    std::size_t removed_duplicates = 0;
    std::size_t others = 0; /* of our name, with another endpoint */
};

/*
 * Makes the service's list of Data Actions what the settings want. Keeps the token between calls. All of it
 * happens on one thread, but cancel().
 */
class Registration {
public:
    /*
     * Lists, finds ours, creates or updates it or leaves it. Safe to repeat after any failure, as each begins
     * with the list: a creation whose reply was lost is found there.
     */
    RegistrationResult check(const ApiSettings &settings, const KnownRegistration &known);

    /* Lists and removes all that is ours. */
    RegistrationResult remove(const ApiSettings &settings, const KnownRegistration &known);

    /* The settings may have changed. */
    void forget_token() noexcept { token_ = Token(); }

    /* From any thread: ends what is under way, and every later call, at once. */
    void cancel() noexcept { client_.cancel(); }

private:
    using Clock = std::chrono::steady_clock;

    HttpResult call(const ApiSettings &settings, const char *method, const std::string &url,
                    const Secret &body = {});
    HttpResult call_once(const ApiSettings &settings, const char *method, const std::string &url,
                         const Secret &body);
    void require_token(const ApiSettings &settings);
    std::vector<DataAction> list(const ApiSettings &settings);
    void settle(const ApiSettings &settings, const KnownRegistration &known, RegistrationResult &result);
    void verify(const ApiSettings &settings, RegistrationResult &result);
    void remove_duplicates(const ApiSettings &settings, const RegistrationPlan &plan,
                           RegistrationResult &result);
    void remove_one(const ApiSettings &settings, const DataAction &action);
    void require_success(const HttpResult &reply, const std::string &what) const;
    void hide_secrets(const ApiSettings &settings);
    template <typename Work> RegistrationResult run(const ApiSettings &settings, Work work);

    HttpClient client_;
    Token token_;
    Clock::time_point renew_at_;
    Secret last_token_; /* the one before, which a late reply may still repeat */
    Redactor redactor_; /* knows the secrets of the check under way, and the tokens it got */
};

} // namespace cxone_sync
