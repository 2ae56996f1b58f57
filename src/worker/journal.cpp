#include "worker/journal.h"

#include <algorithm>

namespace cxone_sync {

namespace {

/* For so long no delivery must have failed before the log says that all is well: it is not to flap. */
constexpr std::int64_t settling_us = 5 * us_per_second;
constexpr std::int64_t pause_us = 60 * us_per_second;
constexpr std::size_t max_told = 8; /* different reasons */

} // namespace

Timestamp Journal::Summary::due_at() const noexcept
{
    return count == 0 ? INT64_MAX : told_at + pause_us;
}

/* Once for each new reason, not once for each delivery. */
void Journal::note_failure(const PgError &reason)
{
    PgError ignored;

    failing_ = true;
    last_failure_at_ = now();
    recovery_due_at_ = INT64_MAX;
    if (told_.size() == max_told || std::find(told_.begin(), told_.end(), reason.message) != told_.end())
        return;
    told_.emplace_back(reason.message);
    guarded(ignored, [&reason] {
        ereport(LOG, (errcode(reason.sqlerrcode),
                      errmsg("cxone_sync: deliveries are answered with 503: %s", reason.message),
                      reason.detail[0] ? errdetail_internal("%s", reason.detail) : 0,
                      reason.hint[0] ? errhint("%s", reason.hint) : 0));
    });
}

void Journal::note_success()
{
    if (failing_)
        recovery_due_at_ = last_failure_at_ + settling_us;
    failing_ = false;
}

void Journal::count_refusals(const CounterValues &refusals) noexcept
{
    for (std::size_t i = 0; i < counter_count; i++) {
        refusals_by_reason_[i] += refusals[i];
        refusals_.count += refusals[i];
    }
}

Timestamp Journal::due_at() const noexcept
{
    return std::min({recovery_due_at_, dead_letters_.due_at(), refusals_.due_at()});
}

void Journal::tell(Timestamp at)
{
    if (at >= recovery_due_at_ && at != at_end)
        tell_recovery();
    if (at >= dead_letters_.due_at())
        tell_dead_letters();
    if (at >= refusals_.due_at())
        tell_refusals();
}

void Journal::tell_recovery()
{
    PgError ignored;
    const auto sent_back = static_cast<unsigned long long>(sent_back_);

    guarded(ignored, [sent_back] {
        ereport(LOG, (errmsg("cxone_sync: deliveries are taken from now on, %llu were answered with 503",
                             sent_back)));
    });
    recovery_due_at_ = INT64_MAX;
    sent_back_ = 0;
    told_.clear();
}

/* The events' contents are not for the log. */
void Journal::tell_dead_letters()
{
    PgError ignored;
    const auto count = static_cast<unsigned long long>(dead_letters_.count);

    guarded(ignored, [count] {
        ereport(LOG, (errmsg_plural(
                         "cxone_sync: %llu event could not be applied and is in cxone_sync.dead_letters",
                         "cxone_sync: %llu events could not be applied and are in cxone_sync.dead_letters",
                         static_cast<unsigned long>(count), count)));
    });
    dead_letters_ = {.count = 0, .told_at = now()};
}

void Journal::tell_refusals()
{
    PgError ignored;
    const auto count = static_cast<unsigned long long>(refusals_.count);
    std::string reasons;

    for (std::size_t i = 0; i < counter_count; i++) {
        if (refusals_by_reason_[i] == 0)
            continue;
        reasons += reasons.empty() ? "" : ", ";
        reasons += counter_name(static_cast<Counter>(i)).reason;
        reasons += " " + std::to_string(refusals_by_reason_[i]);
    }
    const char *detail = reasons.c_str();
    guarded(ignored, [count, detail] {
        ereport(LOG, (errmsg_plural("cxone_sync: %llu request was not taken as a delivery",
                                    "cxone_sync: %llu requests were not taken as deliveries",
                                    static_cast<unsigned long>(count), count),
                      errdetail_internal("By reason: %s.", detail),
                      errhint("log_min_messages = debug1 shows what each was told.")));
    });
    refusals_ = {.count = 0, .told_at = now()};
    refusals_by_reason_ = {};
}

} // namespace cxone_sync
