#include "cxone/registration.h"

#include "core/base64.h"
#include "cxone/contract.h"
#include "cxone/encoding.h"
#include "cxone/service_words.h"
#include "cxone/url.h"

#include <algorithm>
#include <set>
#include <utility>

namespace cxone_sync {

namespace {

using Outcome = RegistrationResult::Outcome;

constexpr std::size_t max_pages = 100;
constexpr std::size_t max_actions = 100'000;
constexpr std::size_t max_list = 16 * 1024 * 1024; /* bytes of all pages */
constexpr std::size_t max_problem = 500;
constexpr std::size_t max_shown = 1000; /* of a name or a URL */

/* Ends a check from wherever it is. */
struct Stop {
    Outcome outcome;
    std::string problem;
    std::string hint;
    long retry_after_s = 0;
};

bool is_success(int status)
{
    return status >= 200 && status < 300;
}

/* 408: the service has waited too long for us. */
bool may_pass(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

std::string in_quotes(std::string_view text)
{
    return "\"" + std::string(text) + "\"";
}

std::string one_of(const ApiSettings &settings, std::string_view id)
{
    return settings.data_actions_url + "/" + std::string(percent_encoded(id).view());
}

} // namespace

/* ---- failures ---- */

void Registration::require_success(const HttpResult &reply, const std::string &what) const
{
    if (reply.failure == HttpResult::Failure::cancelled)
        throw Stop{Outcome::cancelled, {}, {}};
    if (reply.failure != HttpResult::Failure::none)
        throw Stop{reply.failure == HttpResult::Failure::transient ? Outcome::retry : Outcome::refused,
                   what + ": " + reply.problem,
                   {}};
    if (is_success(reply.status))
        return;

    std::string problem = what + ": status " + std::to_string(reply.status);
    if (reply.status >= 300 && reply.status < 400)
        throw Stop{
            Outcome::refused, problem + ", a redirect to " + in_quotes(reply.location),
            "Redirects are not followed, since they could lead secrets astray: set the URL it leads to."};
    if (const std::string words = service_words(reply); !words.empty())
        problem += ", " + words;
    throw Stop{may_pass(reply.status) ? Outcome::retry : Outcome::refused, problem, {}, reply.retry_after_s};
}

void Registration::hide_secrets(const ApiSettings &settings)
{
    Secret pair(settings.client_id);
    Secret encoded_pair = percent_encoded(settings.client_id);

    (pair += ":") += settings.client_secret.view();
    (encoded_pair += ":") += percent_encoded(settings.client_secret.view()).view();
    redactor_ = Redactor();
    redactor_.hide(settings.client_secret.view());
    redactor_.hide(settings.password.view());
    redactor_.hide(base64(pair.view()).view());
    redactor_.hide(base64(encoded_pair.view()).view());
    redactor_.hide(token_.text.view());
    redactor_.hide(last_token_.view());
}

/* Runs `work` on a new result; what it throws becomes the result's outcome, fit to be shown. */
template <typename Work> RegistrationResult Registration::run(const ApiSettings &settings, Work work)
{
    RegistrationResult result;

    hide_secrets(settings);
    try {
        work(result);
    } catch (const Stop &stop) {
        result.outcome = stop.outcome;
        result.problem = stop.problem;
        result.hint = stop.hint;
        result.retry_after_s = stop.retry_after_s;
    }
    /* first the secrets, then the length: half a secret would not be found */
    result.problem = one_line(redactor_(result.problem), max_problem);
    for (std::string *text :
         {&result.action.id, &result.action.name, &result.action.endpoint_url, &result.action.status})
        *text = one_line(redactor_(*text), max_shown);
    return result;
}

/* ---- calls ---- */

void Registration::require_token(const ApiSettings &settings)
{
    if (!token_.text.empty() && Clock::now() < renew_at_)
        return;
    const Clock::time_point asked_at = Clock::now();
    const std::string what = "could not get a token from " + settings.token_url;
    HttpResult reply = client_.perform(token_call(settings));

    try {
        require_success(reply, what);
    } catch (Stop &stop) {
        if (reply.status == 400 || reply.status == 401 || reply.status == 403)
            stop.hint = "Check cxone_sync.client_id and its secret, and how cxone_sync.token_grant, "
                        "token_authentication and token_format ask for the token.";
        throw;
    }
    last_token_ = std::exchange(token_, Token()).text;
    const std::string problem = read_token(reply.body, settings, token_);
    explicit_bzero(reply.body.data(), reply.body.size());
    if (!problem.empty())
        throw Stop{Outcome::refused, what + ": " + problem,
                   "cxone_sync.token_fields names the members that the token may have."};
    redactor_.hide(token_.text.view());
    /* ahead of its end, so that it does not expire under way */
    renew_at_ = asked_at + std::chrono::seconds(token_.lifetime_s) * 9 / 10;
}

HttpResult Registration::call_once(const ApiSettings &settings, const char *method, const std::string &url,
                                   const Secret &body)
{
    HttpCall call;

    require_token(settings);
    call.method = method;
    call.url = url;
    call.ca_file = settings.ca_file;
    call.timeout_ms = settings.api_timeout_ms;
    call.headers.emplace_back("Authorization: Bearer ");
    call.headers.back() += token_.text.view();
    if (!body.empty())
        call.headers.emplace_back("Content-Type: application/json");
    call.body = body;
    return client_.perform(call);
}

/* A token may end before its time: then it is fetched once more. */
HttpResult Registration::call(const ApiSettings &settings, const char *method, const std::string &url,
                              const Secret &body)
{
    HttpResult reply = call_once(settings, method, url, body);

    if (reply.failure == HttpResult::Failure::none && reply.status == 401) {
        last_token_ = std::exchange(token_, Token()).text;
        reply = call_once(settings, method, url, body);
    }
    return reply;
}

std::vector<DataAction> Registration::list(const ApiSettings &settings)
{
    const std::string what = "could not list the Data Actions at " + settings.data_actions_url;
    std::vector<DataAction> actions;
    std::set<std::string> seen;
    std::size_t size = 0;

    for (std::string url = settings.data_actions_url; !url.empty();) {
        if (!seen.insert(url).second)
            throw Stop{Outcome::refused, what + ": its pages go round in a circle", {}};
        if (seen.size() > max_pages || actions.size() > max_actions || size > max_list)
            throw Stop{Outcome::refused, what + ": there are too many", {}};

        const HttpResult reply = call(settings, "GET", url);
        std::string next;
        require_success(reply, what);
        size += reply.body.size();
        const std::string problem = read_data_actions(reply.body, settings.list_fields, actions, next);
        if (!problem.empty())
            throw Stop{Outcome::refused, what + ": " + problem, {}};
        if (!reply.next.empty())
            next = reply.next;
        if (next.empty())
            break;
        url = resolved_at_origin(url, next);
        if (url.empty())
            throw Stop{Outcome::refused,
                       what + ": the next page is said to be at another host, " + in_quotes(next),
                       "The token is not sent there."};
    }
    return actions;
}

/* ---- what is done about the list ---- */

/*
 * After a change the list has to show it: else the next check would make the same change again, and create
 * one Data Action after the other.
 */
void Registration::verify(const ApiSettings &settings, RegistrationResult &result)
{
    const std::vector<DataAction> actions = list(settings);
    const RegistrationPlan plan = plan_registration(actions, settings, {});
    const auto same_id = [&result](const DataAction &action) { return action.id == result.action.id; };
    const auto listed = std::find_if(actions.begin(), actions.end(), same_id);

    result.others = plan.others;
    if (plan.step == RegistrationPlan::Step::update) {
        result.action = plan.ours;
        throw Stop{Outcome::refused,
                   "the service has accepted the description and format of Data Action " +
                       in_quotes(plan.ours.id) + ", and shows others",
                   "Set cxone_sync.data_action_description to what the service shows."};
    }
    if (plan.step == RegistrationPlan::Step::leave) {
        result.action = plan.ours;
        remove_duplicates(settings, plan, result);
    } else if (listed != actions.end()) {
        result.action = *listed;
        throw Stop{Outcome::refused,
                   "the service shows Data Action " + in_quotes(listed->id) + " as " +
                       in_quotes(listed->name) + " with endpoint " + in_quotes(listed->endpoint_url) +
                       ", not as it was registered",
                   "Set cxone_sync.data_action_name and cxone_sync.endpoint_url to what the service shows."};
    } else {
        result.is_unlisted = true;
        throw Stop{Outcome::refused,
                   "the service has accepted Data Action " + in_quotes(result.action.id) +
                       ", and does not list it",
                   "It is not created again. If it is not there, call cxone_sync.register_data_action()."};
    }
}

void Registration::remove_one(const ApiSettings &settings, const DataAction &action)
{
    const HttpResult reply = call(settings, "DELETE", one_of(settings, action.id));

    /* another one has been faster */
    if (reply.status != 404 && reply.status != 410)
        require_success(reply, "could not remove Data Action " + in_quotes(action.id));
}

void Registration::remove_duplicates(const ApiSettings &settings, const RegistrationPlan &plan,
                                     RegistrationResult &result)
{
    result.duplicates = plan.duplicates.size();
    if (!settings.remove_duplicates)
        return;
    for (const DataAction &action : plan.duplicates) {
        remove_one(settings, action);
        result.duplicates--;
        result.removed_duplicates++;
    }
}

void Registration::settle(const ApiSettings &settings, const KnownRegistration &known,
                          RegistrationResult &result)
{
    const RegistrationPlan plan = plan_registration(list(settings), settings, known);

    result.others = plan.others;
    result.action.name = settings.name;
    result.action.endpoint_url = settings.endpoint_url;
    switch (plan.step) {
    case RegistrationPlan::Step::leave:
        result.action = plan.ours;
        remove_duplicates(settings, plan, result);
        return;
    case RegistrationPlan::Step::update: {
        const HttpResult reply =
            call(settings, "PUT", one_of(settings, plan.ours.id), data_action_body(settings));
        if (reply.status == 404 || reply.status == 410)
            throw Stop{
                Outcome::retry, "Data Action " + in_quotes(plan.ours.id) + " has just been removed", {}};
        require_success(reply, "could not update Data Action " + in_quotes(plan.ours.id));
        result.action = plan.ours;
        result.change = "updated";
        break;
    }
    case RegistrationPlan::Step::create: {
        if (known.is_unlisted && known.name == settings.name &&
            is_same_url(known.endpoint_url, settings.endpoint_url)) {
            result.action.id = known.id;
            verify(settings, result);
            return;
        }
        const HttpResult reply =
            call(settings, "POST", settings.data_actions_url, data_action_body(settings));
        require_success(reply, "could not create a Data Action at " + settings.data_actions_url);
        result.action.id = read_created_id(reply.body);
        result.change = "created";
        break;
    }
    }
    verify(settings, result);
}

RegistrationResult Registration::check(const ApiSettings &settings, const KnownRegistration &known)
{
    return run(settings, [&](RegistrationResult &result) { settle(settings, known, result); });
}

RegistrationResult Registration::remove(const ApiSettings &settings, const KnownRegistration &known)
{
    return run(settings, [&](RegistrationResult &result) {
        const RegistrationPlan plan = plan_registration(list(settings), settings, known);

        result.others = plan.others;
        if (plan.step == RegistrationPlan::Step::create)
            return;
        remove_one(settings, plan.ours);
        for (const DataAction &action : plan.duplicates)
            remove_one(settings, action);
        result.change = "removed";
    });
}

} // namespace cxone_sync
