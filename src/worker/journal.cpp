#include "worker/journal.h"

#include <algorithm>

namespace cxone_sync {

namespace {

/* For so long no delivery must have failed before the log says that all is well: it is not to flap. */
constexpr std::int64_t settling_us = 5 * us_per_second;
constexpr std::int64_t pause_us = 60 * us_per_second;
constexpr std::size_t max_told = 64; /* the oldest reason is forgotten */
constexpr auto max_alike = 4;        /* with one SQLSTATE, within the pause */

/*
 * What is wrong with a value shows it, and what is wrong with a row shows that in its detail: a constraint of
 * dead_letters, say, or a column of it that was given another type. The events' contents are not for the log.
 */
PgError without_contents(const PgError &error)
{
    PgError told = error;

    if (ERRCODE_TO_CATEGORY(error.sqlerrcode) == ERRCODE_DATA_EXCEPTION) {
        snprintf(told.message, sizeof(told.message), "a value was refused, with SQLSTATE %s",
                 error.sqlstate());
        strlcpy(told.hint, "last_error in cxone_sync.sync_status has the message.", sizeof(told.hint));
    }
    if (is_fault_of_value(error.sqlerrcode))
        told.detail[0] = '\0';
    return told;
}

} // namespace

bool Journal::is_news(const PgError &reason) const
{
    const Timestamp since = last_failure_at_ - pause_us;
    const auto is_alike = [&](const Told &told) {
        return told.sqlerrcode == reason.sqlerrcode && told.at > since;
    };

    return std::ranges::find(told_, reason.message, &Told::message) == told_.end() &&
           std::ranges::count_if(told_, is_alike) < max_alike;
}

void Journal::note_failure(const PgError &error)
{
    const PgError reason = without_contents(error);
    PgError ignored;

    failing_ = true;
    last_failure_at_ = now();
    recovery_due_at_ = INT64_MAX;
    if (!is_news(reason))
        return;
    if (told_.size() == max_told)
        told_.pop_front();
    told_.push_back({reason.sqlerrcode, reason.message, last_failure_at_});
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

Timestamp Journal::due_at() const noexcept
{
    return std::min(recovery_due_at_, dead_letters_ == 0 ? INT64_MAX : dead_letters_told_at_ + pause_us);
}

void Journal::tell(Timestamp at)
{
    if (at >= recovery_due_at_ && at != at_end)
        tell_recovery();
    if (dead_letters_ > 0 && at >= dead_letters_told_at_ + pause_us)
        tell_dead_letters();
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

void Journal::tell_dead_letters()
{
    PgError ignored;
    const auto count = static_cast<unsigned long long>(dead_letters_);

    guarded(ignored, [count] {
        ereport(LOG, (errmsg_plural(
                         "cxone_sync: %llu event could not be applied and is in cxone_sync.dead_letters",
                         "cxone_sync: %llu events could not be applied and are in cxone_sync.dead_letters",
                         static_cast<unsigned long>(count), count)));
    });
    dead_letters_ = 0;
    dead_letters_told_at_ = now();
}

Timestamp Journal::refusals_due_at() const noexcept
{
    return refusals_told_at_ + pause_us;
}

void Journal::tell_refusals(const CounterValues &refusals)
{
    PgError ignored;
    std::string reasons;
    unsigned long long count = 0;

    for (std::size_t i = 0; i < counter_count; i++) {
        if (refusals[i] == 0)
            continue;
        reasons += reasons.empty() ? "" : ", ";
        reasons += counter_name(static_cast<Counter>(i)).reason;
        reasons += " " + std::to_string(refusals[i]);
        count += refusals[i];
    }
    if (count == 0) /* one was noted while the last ones were taken */
        return;
    const char *detail = reasons.c_str();
    guarded(ignored, [count, detail] {
        ereport(LOG, (errmsg_plural("cxone_sync: %llu request was not taken as a delivery",
                                    "cxone_sync: %llu requests were not taken as deliveries",
                                    static_cast<unsigned long>(count), count),
                      errdetail_internal("By reason: %s.", detail),
                      errhint("log_min_messages = debug1 shows what each was told.")));
    });
    refusals_told_at_ = now();
}

} // namespace cxone_sync
