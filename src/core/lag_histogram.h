#pragma once

#include "core/pure_room.h"

#include <array>
#include <atomic>
#include <cstdint>

namespace cxone_sync {

/*
 * A histogram of durations in microseconds that lives in shared memory: atomics only, no pointers. One
 * process records, any process reads.
 *
 * The buckets are log-linear: 16 equal steps to each doubling, so a percentile is off by less than a
 * sixteenth (or 24 us, up to the finest bound), and the bounds include 0.1 s x 2^i, the buckets of the
 * contract (CXONE.md, Metrics). A bucket holds lower < value <= upper, as Prometheus' "le" wants it.
 */
class LagHistogram {
public:
    static constexpr int steps_per_doubling = 16;
    static constexpr std::int64_t base_us = 100'000; /* one bound of every set of doublings is 0.1 s x 2^k */
    static constexpr int doublings_below_base = 12;  /* finest bound: 0.1 s / 4096, some 24 us */
    static constexpr int doublings_above_base = 20;  /* coarsest bound: 0.1 s x 2^20, some 29 hours */
    /* +2: one bucket below the finest bound, one above the coarsest */
    static constexpr int bucket_count =
        (doublings_below_base + doublings_above_base) * steps_per_doubling + 2;

    /* One event can add at most this much to the sum, so that an absurd event time poisons no mean. Should
     * the sum reach the end of its range all the same, it stays there instead of turning negative. */
    static constexpr std::int64_t max_recorded_us = 30LL * 24 * 3600 * 1'000'000;

    /*
     * Counts `events` with this lag; a negative one (sender's clock ahead) counts as 0, a huge one as
     * max_recorded_us.
     */
    void record(std::int64_t lag_us, std::uint64_t events = 1) noexcept;
    void clear() noexcept;

    /* Upper bound of bucket `index` in microseconds, rounded down; the last one's is INT64_MAX. */
    static std::int64_t upper_bound_us(int index) noexcept;

    /* What a reader works on: a copy taken bucket by bucket; count is the sum of the copied buckets. Sum and
     * max know at least the events counted here, and may know some that came while the copy was taken. */
    struct Snapshot {
        std::array<std::uint64_t, bucket_count> buckets{};
        std::uint64_t count = 0;
        std::int64_t sum_us = 0;
        std::int64_t max_us = 0;

        /* The lag that a share `q` (0 < q <= 1) of all events did not exceed, interpolated inside its bucket
         * and never above max_us; 0 if there are no events. */
        std::int64_t quantile_us(double q) const noexcept;
        std::int64_t mean_us() const noexcept
        {
            return count == 0 ? 0 : sum_us / static_cast<std::int64_t>(count);
        }
        /* Events with lag <= bound_us; exact when bound_us is one of the bounds above. */
        std::uint64_t count_up_to(std::int64_t bound_us) const noexcept;
        void add(const Snapshot &other) noexcept;
    };
    Snapshot snapshot() const noexcept;

private:
    static int bucket_of(std::int64_t lag_us) noexcept;

    std::array<std::atomic<std::uint64_t>, bucket_count> buckets_{};
    std::atomic<std::int64_t> sum_us_{0};
    std::atomic<std::int64_t> max_us_{0};
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared memory needs address-free atomics");

} // namespace cxone_sync
