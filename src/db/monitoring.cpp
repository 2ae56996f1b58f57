/* What the views of statistics and state show; the extension's scripts document each. */

#include "core/monitoring.h"

#include <limits>

#include "db/output_row.h"
#include "db/shared_state.h"
extern "C" {
#include "access/xlog.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_sync_lag);
PG_FUNCTION_INFO_V1(cxone_sync_sync_lag_buckets);
PG_FUNCTION_INFO_V1(cxone_sync_intake_lag);
PG_FUNCTION_INFO_V1(cxone_sync_intake_lag_buckets);
PG_FUNCTION_INFO_V1(cxone_sync_sync_counters);
PG_FUNCTION_INFO_V1(cxone_sync_dead_letters_open);
PG_FUNCTION_INFO_V1(cxone_sync_sync_status);
PG_FUNCTION_INFO_V1(cxone_sync_reset_stats);
}

using namespace cxone_sync;

namespace {

const Overview &overview()
{
    auto *overview = static_cast<Overview *>(palloc(sizeof(Overview)));

    read_overview(require_shared_state().monitoring, GetCurrentTimestamp(), *overview);
    return *overview;
}

Datum show_lag(FunctionCallInfo fcinfo, const LagHistogram::Snapshot LagSnapshot::*which)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    const StatisticsSnapshot &statistics = overview().statistics;

    for (const LagSnapshot *lags : {&statistics.success, &statistics.failure}) {
        const LagHistogram::Snapshot &lag = lags->*which;
        const bool none = lag.count == 0;
        OutputRow row;

        row.add_text(lags == &statistics.success ? "success" : "failure");
        row.add_integer(lag.count);
        for (const std::int64_t duration :
             {lag.mean_us(), lag.quantile_us(0.50), lag.quantile_us(0.95), lag.quantile_us(0.99), lag.max_us})
            row.add_interval(duration, none);
        row.add_time(lags->last_commit);
        row.put(result);
    }
    return 0;
}

Datum show_buckets(FunctionCallInfo fcinfo, const LagHistogram::Snapshot LagSnapshot::*which)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    const StatisticsSnapshot &statistics = overview().statistics;

    for (const LagSnapshot *lags : {&statistics.success, &statistics.failure}) {
        const LagHistogram::Snapshot &lag = lags->*which;
        const auto put = [result, lags, &statistics](double bound, std::uint64_t events) {
            OutputRow row;
            row.add_text(lags == &statistics.success ? "success" : "failure");
            row.add(Float8GetDatum(bound));
            row.add_integer(events);
            row.put(result);
        };

        for (int i = 0; i < shown_bucket_count; i++)
            put(static_cast<double>(shown_bucket_us(i)) / USECS_PER_SEC, lag.count_up_to(shown_bucket_us(i)));
        put(std::numeric_limits<double>::infinity(), lag.count);
    }
    return 0;
}

/* Of a worker that has not run since the server started. */
const char *why_not_started()
{
    return RecoveryInProgress()
               ? "a standby takes no deliveries before its promotion"
               : "the server has not started the worker: max_worker_processes may be too small";
}

/* Every reason why a worker is not ready, each with the name of its check. */
const char *why_not_ready(const WorkerInfo &info)
{
    StringInfoData text;

    initStringInfo(&text);
    for (int i = 0; i < check_count; i++) {
        if (info.problems[i][0] != '\0')
            appendStringInfo(&text, "%s%s: %s", text.len > 0 ? "; " : "", check_name(i), info.problems[i]);
    }
    return text.data;
}

} // namespace

Datum cxone_sync_sync_lag(PG_FUNCTION_ARGS)
{
    return show_lag(fcinfo, &LagSnapshot::event);
}

Datum cxone_sync_sync_lag_buckets(PG_FUNCTION_ARGS)
{
    return show_buckets(fcinfo, &LagSnapshot::event);
}

Datum cxone_sync_intake_lag(PG_FUNCTION_ARGS)
{
    return show_lag(fcinfo, &LagSnapshot::intake);
}

Datum cxone_sync_intake_lag_buckets(PG_FUNCTION_ARGS)
{
    return show_buckets(fcinfo, &LagSnapshot::intake);
}

Datum cxone_sync_sync_counters(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    const Overview &shown = overview();

    for (std::size_t i = 0; i < counter_count; i++) {
        const CounterName &name = counter_name(static_cast<Counter>(i));
        OutputRow row;

        row.add_text(name.name);
        row.add_text(name.outcome);
        row.add_text(name.reason);
        row.add_integer(shown.statistics.counters[i]);
        row.add_time(shown.statistics_since);
        row.put(result);
    }
    return 0;
}

Datum cxone_sync_dead_letters_open(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    const DeadLetterCounts counts = require_shared_state().monitoring.dead_letters.get();

    for (int i = 0; i < dead_letter_reason_count; i++) {
        OutputRow row;

        row.add_text(dead_letter_reason_name(i));
        row.add(Int64GetDatum(static_cast<std::int64_t>(counts.open[i])), counts.counted_at == 0);
        row.add_time(counts.counted_at);
        row.put(result);
    }
    return 0;
}

Datum cxone_sync_sync_status(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    const Overview &shown = overview();

    for (int i = 0; i < shown.worker_count; i++) {
        const WorkerOverview &worker = shown.workers[i];
        const bool is_down = worker.pid == 0;
        const bool never_ran = worker.started_at == 0 && worker.info.last_error[0] == '\0';
        OutputRow row;

        row.add(Int32GetDatum(i + 1));
        row.add(Int32GetDatum(worker.pid), is_down);
        row.add_text(worker_state_name(worker.state));
        row.add_text(worker.info.address);
        row.add_text(worker.info.schema_version);
        row.add_integer(worker.queue.events);
        row.add_integer(worker.queue.connections);
        row.add_interval(shown.at - worker.started_at, is_down);
        row.add_text(never_ran ? why_not_started() : worker.info.last_error);
        row.add_time(worker.info.last_error_at);
        row.add(BoolGetDatum(worker.is_ready));
        row.add_text(why_not_ready(worker.info));
        row.add_text(worker.info.metrics_address);
        row.add_integer(worker.queue.deliveries);
        row.add_integer(worker.queue.bytes);
        row.add_interval(worker.queue.oldest_waiting_us, worker.queue.oldest_waiting_us == 0);
        row.add_integer(worker.starts);
        row.add_time(worker.info.certificate_expires_at);
        row.put(result);
    }
    return 0;
}

Datum cxone_sync_reset_stats(PG_FUNCTION_ARGS)
{
    Monitoring &monitoring = require_shared_state().monitoring;

    LWLockAcquire(reset_lock(), LW_EXCLUSIVE);
    monitoring.reset_statistics(GetCurrentTimestamp());
    LWLockRelease(reset_lock());
    PG_RETURN_VOID();
}
