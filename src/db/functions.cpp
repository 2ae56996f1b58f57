/* The SQL functions; sql/cxone_sync--1.0.sql documents each. */

#include "core/counters.h"
#include "core/parser.h"
#include "cxone/contract.h"
#include "db/settings.h"

#include <algorithm>
#include <limits>
#include <string>

#include "db/catalog.h"
#include "db/guard.h"
#include "db/held_delivery.h"
#include "db/shared_state.h"
#include "db/writer.h"

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_ingest);
PG_FUNCTION_INFO_V1(cxone_sync_sync_lag);
PG_FUNCTION_INFO_V1(cxone_sync_sync_lag_buckets);
PG_FUNCTION_INFO_V1(cxone_sync_sync_status);
}

using namespace cxone_sync;

namespace {

/* ---- statistics ---- */

struct LagOfStatus {
    const char *status;
    LagHistogram::Snapshot lag;
    std::int64_t last_commit;
};

/* Sums up all workers: first success, then failure. */
void collect_lag(LagOfStatus (&rows)[2])
{
    rows[0].status = "success";
    rows[1].status = "failure";
    for (const WorkerSlot &slot : require_shared_state().workers) {
        const Counters &counters = slot.counters;

        rows[0].lag.add(counters.success.snapshot());
        rows[1].lag.add(counters.failure.snapshot());
        rows[0].last_commit = std::max<std::int64_t>(rows[0].last_commit, counters.last_success);
        rows[1].last_commit = std::max<std::int64_t>(rows[1].last_commit, counters.last_failure);
    }
}

Datum interval_datum(std::int64_t microseconds)
{
    auto *interval = static_cast<Interval *>(palloc0(sizeof(Interval)));

    interval->time = microseconds;
    return IntervalPGetDatum(interval);
}

void put_row(ReturnSetInfo *result, Datum *values, bool *nulls)
{
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Of a worker that has not run since the server started. */
const char *why_not_started()
{
    return RecoveryInProgress()
               ? "a standby takes no deliveries before its promotion"
               : "the server has not started the worker: max_worker_processes may be too small";
}

const char *state_name(WorkerState state)
{
    switch (state) {
    case WorkerState::stopped:
        return "stopped";
    case WorkerState::starting:
        return "starting";
    case WorkerState::waiting:
        return "waiting";
    case WorkerState::running:
        return "running";
    case WorkerState::stopping:
        return "stopping";
    }
    return "unknown";
}

} // namespace

Datum cxone_sync_ingest(PG_FUNCTION_ARGS)
{
    Jsonb *payload = PG_GETARG_JSONB_P(0);

    watch_catalog();
    (void)open_catalog(); /* by its mapping the events are mapped */
    Delivery *delivery = make_delivery(JsonbToCString(nullptr, &payload->root, VARSIZE(payload)));
    parse_or_refuse(delivery);
    write_deliveries(&delivery, 1, nullptr);
    note_unmapped_keys(delivery);

    const DeliveryCounts counts = delivery->counts();
    char *reply = psprintf("{\"received\": %u, \"applied\": %u, \"skipped\": %u, \"dead_lettered\": %u}",
                           counts.received, counts.applied, counts.skipped, counts.dead_lettered);
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(reply));
}

Datum cxone_sync_sync_lag(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    LagOfStatus rows[2] = {};

    collect_lag(rows);
    for (const LagOfStatus &row : rows) {
        const auto count = static_cast<std::int64_t>(row.lag.count);
        const bool none = count == 0;
        Datum values[] = {CStringGetTextDatum(row.status),
                          Int64GetDatum(count),
                          interval_datum(none ? 0 : row.lag.sum_us / count),
                          interval_datum(row.lag.quantile_us(0.50)),
                          interval_datum(row.lag.quantile_us(0.95)),
                          interval_datum(row.lag.quantile_us(0.99)),
                          interval_datum(row.lag.max_us),
                          TimestampTzGetDatum(row.last_commit)};
        bool nulls[] = {false, false, none, none, none, none, none, row.last_commit == 0};

        put_row(result, values, nulls);
    }
    return 0;
}

Datum cxone_sync_sync_lag_buckets(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    LagOfStatus rows[2] = {};

    collect_lag(rows);
    for (const LagOfStatus &row : rows) {
        for (int i = 0; i <= contract::lag_bucket_count; i++) {
            const bool last = i == contract::lag_bucket_count;
            const std::int64_t bound = contract::lag_bucket_us(i);
            Datum values[] = {
                CStringGetTextDatum(row.status),
                Float8GetDatum(last ? std::numeric_limits<double>::infinity()
                                    : static_cast<double>(bound) / USECS_PER_SEC),
                Int64GetDatum(static_cast<std::int64_t>(last ? row.lag.count : row.lag.count_up_to(bound)))};
            bool nulls[3] = {};

            put_row(result, values, nulls);
        }
    }
    return 0;
}

Datum cxone_sync_sync_status(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    SharedState &state = require_shared_state();

    for (int i = 0; i < worker_count; i++) {
        WorkerSlot &slot = state.workers[i];
        char address[sizeof(slot.address)];
        char version[sizeof(slot.schema_version)];
        char error[sizeof(slot.last_error)];
        const int pid = slot.pid;

        SpinLockAcquire(&slot.mutex);
        memcpy(address, slot.address, sizeof(address));
        memcpy(version, slot.schema_version, sizeof(version));
        memcpy(error, slot.last_error, sizeof(error));
        const std::int64_t error_at = slot.last_error_at;
        SpinLockRelease(&slot.mutex);

        if (slot.started_at == 0 && error[0] == '\0')
            strlcpy(error, why_not_started(), sizeof(error));
        const Counters &counters = slot.counters;
        Datum values[] = {Int32GetDatum(i + 1),
                          Int32GetDatum(pid),
                          CStringGetTextDatum(state_name(slot.state)),
                          CStringGetTextDatum(address),
                          CStringGetTextDatum(version),
                          Int64GetDatum(static_cast<std::int64_t>(counters.queued_events)),
                          Int64GetDatum(static_cast<std::int64_t>(counters.connections)),
                          interval_datum(GetCurrentTimestamp() - slot.started_at),
                          CStringGetTextDatum(error),
                          TimestampTzGetDatum(error_at)};
        bool nulls[] = {false, pid == 0, false,    address[0] == '\0', version[0] == '\0',
                        false, false,    pid == 0, error[0] == '\0',   error_at == 0};

        put_row(result, values, nulls);
    }
    return 0;
}
