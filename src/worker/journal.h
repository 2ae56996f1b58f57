#pragma once

#include "core/statistics.h"
#include "core/timestamp.h"

#include <deque>
#include <string>

#include "db/guard.h"

namespace cxone_sync {

/*
 * What the log is told of deliveries: a problem once, and then counts, at most once a minute; never a line
 * for each delivery. For the main thread, in frames that may hold objects (intake.h).
 */
class Journal {
public:
    /*
     * Deliveries cannot be written, and get 503: told at once, unless the reason has been told already, or
     * several like it within a minute: a message may name the row.
     */
    void note_failure(const PgError &error);
    /* They can: told when nothing has failed for a while. */
    void note_success();
    bool is_failing() const noexcept { return failing_; }

    /* Counts of deliveries that were answered with 503, and of events that went to dead_letters. */
    void count_sent_back(std::uint64_t deliveries) noexcept { sent_back_ += deliveries; }
    void count_dead_letters(std::uint64_t events) noexcept { dead_letters_ += events; }

    /* Writes what is due at that time; all that is left at the end. */
    static constexpr Timestamp at_end = INT64_MAX - 1;
    void tell(Timestamp at);
    /* When tell() has something to write; INT64_MAX: nothing. */
    Timestamp due_at() const noexcept;

    /* Writes how many requests did not come as far as the queue, by counter; not before this time. */
    void tell_refusals(const CounterValues &refusals);
    Timestamp refusals_due_at() const noexcept;

private:
    struct Told {
        int sqlerrcode;
        std::string message;
        Timestamp at;
    };

    bool is_news(const PgError &reason) const;
    void tell_recovery();
    void tell_dead_letters();

    bool failing_ = false; /* the last delivery was answered with 503 */
    Timestamp last_failure_at_ = 0;
    Timestamp recovery_due_at_ = INT64_MAX;
    std::deque<Told> told_;          /* what the log has, since it last told that all is well; oldest first */
    std::uint64_t sent_back_ = 0;    /* since then */
    std::uint64_t dead_letters_ = 0; /* since they were last told of */
    Timestamp dead_letters_told_at_ = 0;
    Timestamp refusals_told_at_ = 0;
};

} // namespace cxone_sync
