#pragma once

#include "core/lag_histogram.h"

#include <atomic>
#include <cstdint>

namespace cxone_sync {

/*
 * Everything a worker counts. It lives in the server's shared memory, is written by the worker (and by its
 * network threads, which is why these are plain C++ atomics) and read by SQL views and by /metrics.
 */
struct Counters {
    using Count = std::atomic<std::uint64_t>;

    LagHistogram success; /* event time to commit: events applied, or skipped because the row is newer */
    LagHistogram failure; /* event time to commit: events that went to dead_letters */
    std::atomic<std::int64_t> last_success{0}; /* Timestamp of the last such commit, 0 = never */
    std::atomic<std::int64_t> last_failure{0};

    Count deliveries{0};         /* answered with 200 */
    Count deliveries_refused{0}; /* answered with 4xx */
    Count deliveries_retry{0};   /* answered with 503 */
    Count events_applied{0};
    Count events_skipped{0};
    Count events_dead_lettered{0};
    Count batches{0}; /* committed transactions */

    /* gauges */
    Count connections{0};
    Count queued_deliveries{0};
    Count queued_events{0};
    Count queued_bytes{0};
};

} // namespace cxone_sync
