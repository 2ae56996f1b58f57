#include "core/statistics.h"

#include "core/delivery.h"
#include "cxone/contract.h"

#include <algorithm>

namespace cxone_sync {

namespace {

constexpr const char *deliveries_help =
    "Deliveries by what they were answered: committed is 200, repeated 200 for one that had been committed "
    "before, refused 4xx or 5xx for good, retry_later 503.";
constexpr const char *events_help =
    "Events of deliveries that came into the queue, by what became of them: what is sent back before that is "
    "counted by deliveries alone.";

constexpr CounterName names[] = {
    {"deliveries", "committed", "", deliveries_help},
    {"deliveries", "repeated", "", deliveries_help},
    {"deliveries", "refused", "tls_handshake", deliveries_help},
    {"deliveries", "refused", "malformed_http", deliveries_help},
    {"deliveries", "refused", "no_credentials", deliveries_help},
    {"deliveries", "refused", "wrong_credentials", deliveries_help},
    {"deliveries", "refused", "stale_signature", deliveries_help},
    {"deliveries", "refused", "path", deliveries_help},
    {"deliveries", "refused", "method", deliveries_help},
    {"deliveries", "refused", "timeout", deliveries_help},
    {"deliveries", "refused", "too_large", deliveries_help},
    {"deliveries", "refused", "encoding", deliveries_help},
    {"deliveries", "refused", "invalid_body", deliveries_help},
    {"deliveries", "retry_later", "queue_full", deliveries_help},
    {"deliveries", "retry_later", "connections", deliveries_help},
    {"deliveries", "retry_later", "connections_of_address", deliveries_help},
    {"deliveries", "retry_later", "under_way", deliveries_help},
    {"deliveries", "retry_later", "closed", deliveries_help},
    {"deliveries", "retry_later", "stopping", deliveries_help},
    {"deliveries", "retry_later", "database", deliveries_help},
    {"events", "applied", "", events_help},
    {"events", "skipped", "", events_help},
    {"events", "dead_lettered", "", events_help},
    {"events", "retry_later", "", events_help},
    {"received_bytes", "", "", "Bytes that senders have sent, as they came."},
    {"batches", "", "", "Sets of deliveries that were taken from the queue to be written together."},
    {"commits", "", "", "Transactions with deliveries that were committed."},
    {"rollbacks", "", "", "Transactions with deliveries that were rolled back."},
};
static_assert(std::size(names) == counter_count);

static_assert(shown_bucket_us(5) == contract::lag_bucket_us(0) &&
              shown_bucket_count >= 5 + contract::lag_bucket_count);

} // namespace

const CounterName &counter_name(Counter counter) noexcept
{
    return names[static_cast<std::size_t>(counter)];
}

Counter refusal_counter(int status) noexcept
{
    switch (status) {
    case 404:
        return Counter::refused_path;
    case 405:
        return Counter::refused_method;
    case 408:
        return Counter::refused_timeout;
    case 413:
    case 414:
    case 431:
        return Counter::refused_too_large;
    case 415:
        return Counter::refused_encoding;
    case 503:
        return Counter::retry_queue_full;
    default:
        return Counter::refused_malformed_http;
    }
}

void LagStatistics::count_commit(std::uint64_t events, std::int64_t intake_lag_us,
                                 std::int64_t committed_at) noexcept
{
    intake.record(intake_lag_us, events);
    if (events > 0)
        last_commit.store(committed_at, std::memory_order_relaxed);
}

void LagStatistics::add_to(LagSnapshot &sum) const noexcept
{
    sum.event.add(event.snapshot());
    sum.intake.add(intake.snapshot());
    sum.last_commit = std::max(sum.last_commit, last_commit.load(std::memory_order_relaxed));
}

void LagStatistics::clear() noexcept
{
    event.clear();
    intake.clear();
    last_commit.store(0, std::memory_order_relaxed);
}

void Gauges::clear() noexcept
{
    for (std::atomic<std::uint64_t> *gauge : {&connections, &queued_deliveries, &queued_events,
                                              &waiting_deliveries, &waiting_events, &queued_bytes})
        *gauge = 0;
    for (std::atomic<std::int64_t> *time : {&oldest_queued, &oldest_in_batch, &batch_began})
        *time = 0;
}

void Statistics::add_to(StatisticsSnapshot &sum) const noexcept
{
    for (std::size_t i = 0; i < counter_count; i++)
        sum.counters[i] += counters[i].load(std::memory_order_acquire);
    success.add_to(sum.success);
    failure.add_to(sum.failure);
}

void Statistics::clear() noexcept
{
    for (std::atomic<std::uint64_t> &counter : counters)
        counter.store(0, std::memory_order_relaxed);
    success.clear();
    failure.clear();
}

void StatisticsWriter::count_committed(const Delivery &delivery, const DeliveryCounts &counts,
                                       Timestamp committed_at) noexcept
{
    Statistics &statistics = current();
    const std::int64_t intake_lag = committed_at - delivery.received;
    std::uint64_t failures = 0;

    for (std::size_t begin = 0, end; begin < delivery.events.size(); begin = end) {
        const Event &event = delivery.events[begin];
        const bool failed = delivery.outcome_of_event(begin, end) == Outcome::dead_lettered;
        const Timestamp time = event.has_time ? event.time : delivery.received;

        (failed ? statistics.failure : statistics.success).event.record(committed_at - time);
        failures += failed;
    }
    statistics.failure.count_commit(failures, intake_lag, committed_at);
    statistics.success.count_commit(counts.received - failures, intake_lag, committed_at);
    statistics.count(Counter::deliveries_committed);
    statistics.count(Counter::events_applied, counts.applied);
    statistics.count(Counter::events_skipped, counts.skipped);
    statistics.count(Counter::events_dead_lettered, counts.dead_lettered);
    worker_.throughput.count(counts.received, committed_at);
}

} // namespace cxone_sync
