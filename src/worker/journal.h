#pragma once

#include "core/statistics.h"
#include "core/timestamp.h"

#include <string>
#include <vector>

#include "db/guard.h"

namespace cxone_sync {

/*
 * What the log is told of deliveries: a problem once, and then counts, at most once a minute; never a line
 * for each delivery. For the main thread, in frames that may hold objects (intake.h).
 */
class Journal {
public:
    /* Deliveries cannot be written, and get 503: told at once, unless the reason has been told already. */
    void note_failure(const PgError &reason);
    /* They can: told when nothing has failed for a while. */
    void note_success();
    bool is_failing() const noexcept { return failing_; }

    /* Counts of deliveries that were answered with 503, and of events that went to dead_letters. */
    void count_sent_back(std::uint64_t deliveries) noexcept { sent_back_ += deliveries; }
    void count_dead_letters(std::uint64_t events) noexcept { dead_letters_.count += events; }
    /* Those of deliveries that did not come as far as the queue. */
    void count_refusals(const CounterValues &refusals) noexcept;

    /* Writes what is due at that time; all that is left at the end. */
    static constexpr Timestamp at_end = INT64_MAX - 1;
    void tell(Timestamp at);
    /* When tell() has something to write; INT64_MAX: nothing. */
    Timestamp due_at() const noexcept;

private:
    /* Told at once, then at most once a minute. */
    struct Summary {
        std::uint64_t count = 0; /* since it was last told */
        Timestamp told_at = 0;

        Timestamp due_at() const noexcept;
    };

    void tell_recovery();
    void tell_dead_letters();
    void tell_refusals();

    bool failing_ = false; /* the last delivery was answered with 503 */
    Timestamp last_failure_at_ = 0;
    Timestamp recovery_due_at_ = INT64_MAX;
    std::vector<std::string> told_; /* reasons that the log has, since it last told that all is well */
    std::uint64_t sent_back_ = 0;   /* since then */
    Summary dead_letters_;
    Summary refusals_;
    CounterValues refusals_by_reason_{};
};

} // namespace cxone_sync
