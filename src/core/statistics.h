#pragma once

#include "core/lag_histogram.h"
#include "core/throughput.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace cxone_sync {

struct Delivery;
struct DeliveryCounts;

/* What is counted. Each has its name, outcome and reason in counter_names. */
enum class Counter : std::uint8_t {
    deliveries_committed,
    deliveries_repeated,
    refused_tls,
    refused_malformed_http,
    refused_no_credentials,
    refused_wrong_credentials,
    refused_stale_signature,
    refused_path,
    refused_method,
    refused_timeout,
    refused_too_large,
    refused_encoding,
    refused_invalid_body,
    retry_queue_full,
    retry_connections,
    retry_connections_of_address,
    retry_under_way,
    retry_closed,
    retry_stopping,
    retry_database,
    events_applied,
    events_skipped,
    events_dead_lettered,
    events_retry_later,
    received_bytes,
    batches,
    commits,
    rollbacks,
};
inline constexpr std::size_t counter_count = 28;

/*
 * How the view sync_counters and the metrics call a counter. Those of one name stand side by side; outcome
 * and reason are empty where they say nothing.
 */
struct CounterName {
    const char *name;
    const char *outcome;
    const char *reason;
    const char *help; /* of all with that name */
};
const CounterName &counter_name(Counter counter) noexcept;

/* By which of the replies that are no 2xx a request is counted; 400 is one for malformed HTTP. */
Counter refusal_counter(int status) noexcept;

using CounterValues = std::array<std::uint64_t, counter_count>;

/*
 * The buckets that the view and the metrics show: 0.1 s x 2^i for i = -5 to 20, some 3 ms to 29 hours. The
 * contract's are those for i = 0 to 7 (CXONE.md, Metrics), which end at 12.8 s.
 */
inline constexpr int shown_bucket_count = 26;
constexpr std::int64_t shown_bucket_us(int i) noexcept
{
    return (LagHistogram::base_us >> 5) << i;
}

/* The two lags of the events that ended alike: in the table (success) or in dead_letters (failure). */
struct LagSnapshot {
    LagHistogram::Snapshot event;  /* the event's own time to its commit */
    LagHistogram::Snapshot intake; /* the last byte of its request to its commit */
    std::int64_t last_commit = 0;  /* Timestamp, 0 = never */
};

struct LagStatistics {
    LagHistogram event;
    LagHistogram intake;
    std::atomic<std::int64_t> last_commit{0};

    /* Counts the events of one delivery; their own lags are recorded one by one. */
    void count_commit(std::uint64_t events, std::int64_t intake_lag_us, std::int64_t committed_at) noexcept;
    void add_to(LagSnapshot &sum) const noexcept;
    void clear() noexcept;
};

struct StatisticsSnapshot {
    CounterValues counters{};
    LagSnapshot success;
    LagSnapshot failure;

    std::uint64_t of(Counter counter) const noexcept { return counters[static_cast<std::size_t>(counter)]; }
};

/* What a worker counts, and reset_stats() resets. Network threads count, too. */
struct Statistics {
    std::array<std::atomic<std::uint64_t>, counter_count> counters{};
    LagStatistics success;
    LagStatistics failure;

    std::atomic<std::uint64_t> &of(Counter counter) noexcept
    {
        return counters[static_cast<std::size_t>(counter)];
    }
    void count(Counter counter, std::uint64_t times = 1) noexcept
    {
        of(counter).fetch_add(times, std::memory_order_relaxed);
    }
    void add_to(StatisticsSnapshot &sum) const noexcept;
    void clear() noexcept;
};

/* What is so at present. */
struct Gauges {
    std::atomic<std::uint64_t> connections{0}; /* of senders */
    std::atomic<std::uint64_t> queued_deliveries{0};
    std::atomic<std::uint64_t> queued_events{0};
    std::atomic<std::uint64_t> waiting_deliveries{0}; /* for locks that others hold */
    std::atomic<std::uint64_t> waiting_events{0};
    std::atomic<std::uint64_t> queued_bytes{0};
    std::atomic<std::uint64_t> queue_limit_bytes{0};
    /* Timestamps, 0 = none: arrivals of the oldest delivery in the queue, and of the
     * oldest that is being written or waits for a lock */
    std::atomic<std::int64_t> oldest_queued{0};
    std::atomic<std::int64_t> oldest_in_batch{0};
    std::atomic<std::int64_t> batch_began{0}; /* when those that are being written were taken */

    /* When the process has ended; what it may use is a setting, and stays. */
    void clear() noexcept;
};

/* A worker's part of the shared memory. */
struct WorkerStatistics {
    Statistics banks[2]; /* one is counted into, the other is cleared for the next reset */
    Gauges gauges;
    Throughput throughput;
};

/*
 * Where a worker's threads count. A reset concerns all workers at one instant: it is a change of `epoch`,
 * whose last bit says which bank is in use.
 */
class StatisticsWriter {
public:
    StatisticsWriter(WorkerStatistics &worker, const std::atomic<std::uint64_t> &epoch) noexcept
        : worker_(worker), epoch_(epoch)
    {
    }

    Statistics &current() noexcept { return worker_.banks[epoch_.load(std::memory_order_acquire) & 1]; }
    void count(Counter counter, std::uint64_t times = 1) noexcept { current().count(counter, times); }
    /* A delivery that was committed at that time, with the outcomes of its events. */
    void count_committed(const Delivery &delivery, const DeliveryCounts &counts,
                         Timestamp committed_at) noexcept;
    Gauges &gauges() noexcept { return worker_.gauges; }

private:
    WorkerStatistics &worker_;
    const std::atomic<std::uint64_t> &epoch_;
};

} // namespace cxone_sync
