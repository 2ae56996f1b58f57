#include "core/lag_histogram.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace cxone_sync {
namespace {

constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();

/* All are at least 0. A sum that stands still is a smaller lie than one that turns negative. */
std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept
{
    return a > int64_max - b ? int64_max : a + b;
}

std::int64_t saturating_multiply(std::int64_t a, std::uint64_t times) noexcept
{
    std::int64_t product;
    return __builtin_mul_overflow(a, times, &product) ? int64_max : product;
}

/* A bound is a number of sixteenths of the finest one, and so many of them make base_us. */
constexpr int unit_bits = 4 + LagHistogram::doublings_below_base;

} // namespace

/*
 * Bounds are 2^d x (16 + s) units of 0.1 s / 65536, for whole d and 0 <= s < 16. So a bound is a five-bit
 * number followed by zero bits, and the bit width of a lag in that unit names its doubling.
 */
std::int64_t LagHistogram::upper_bound_us(int index) noexcept
{
    static_assert(steps_per_doubling == 16, "the four bits of unit_bits rest on this");

    if (index >= bucket_count - 1)
        return int64_max;
    const int doubling = index / steps_per_doubling;
    const int step = index % steps_per_doubling;
    return ((base_us << doubling) * (steps_per_doubling + step)) >> unit_bits;
}

int LagHistogram::bucket_of(std::int64_t lag_us) noexcept
{
    if (lag_us <= 0)
        return 0;
    /* One less than the lag in whole units rounded up, because a bucket includes its upper bound. */
    const auto units = static_cast<std::uint64_t>(((lag_us << unit_bits) - 1) / base_us);
    if (units < steps_per_doubling)
        return 0;
    const int doubling = static_cast<int>(std::bit_width(units)) - 5;
    const int step = static_cast<int>(units >> doubling) - steps_per_doubling;
    return std::min(doubling * steps_per_doubling + step + 1, bucket_count - 1);
}

/*
 * The bucket comes last and is released, so whoever sees an event in its bucket also sees it in sum and max.
 */
void LagHistogram::record(std::int64_t lag_us, std::uint64_t events) noexcept
{
    const std::int64_t lag = std::clamp<std::int64_t>(lag_us, 0, max_recorded_us);
    const std::int64_t lags = saturating_multiply(lag, events);

    if (events == 0)
        return;
    std::int64_t max = max_us_.load(std::memory_order_relaxed);
    while (lag > max && !max_us_.compare_exchange_weak(max, lag, std::memory_order_relaxed)) {
    }
    std::int64_t sum = sum_us_.load(std::memory_order_relaxed);
    while (!sum_us_.compare_exchange_weak(sum, saturating_add(sum, lags), std::memory_order_relaxed)) {
    }
    buckets_[static_cast<std::size_t>(bucket_of(lag))].fetch_add(events, std::memory_order_release);
}

void LagHistogram::clear() noexcept
{
    for (std::atomic<std::uint64_t> &bucket : buckets_)
        bucket.store(0, std::memory_order_relaxed);
    sum_us_.store(0, std::memory_order_relaxed);
    max_us_.store(0, std::memory_order_relaxed);
}

LagHistogram::Snapshot LagHistogram::snapshot() const noexcept
{
    Snapshot copy;
    for (std::size_t i = 0; i < copy.buckets.size(); i++) {
        copy.buckets[i] = buckets_[i].load(std::memory_order_acquire);
        copy.count += copy.buckets[i];
    }
    copy.sum_us = sum_us_.load(std::memory_order_relaxed);
    copy.max_us = max_us_.load(std::memory_order_relaxed);
    return copy;
}

std::int64_t LagHistogram::Snapshot::quantile_us(double q) const noexcept
{
    const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(count);
    std::uint64_t below = 0;

    for (int i = 0; i < bucket_count; i++) {
        const std::uint64_t here = buckets[static_cast<std::size_t>(i)];
        if (here == 0 || static_cast<double>(below + here) < rank) {
            below += here;
            continue;
        }
        const std::int64_t lower = i == 0 ? 0 : upper_bound_us(i - 1);
        const std::int64_t upper = std::min(upper_bound_us(i), max_us);
        if (upper <= lower)
            return upper;
        const double share = (rank - static_cast<double>(below)) / static_cast<double>(here);
        const double inside = static_cast<double>(upper - lower) * std::clamp(share, 0.0, 1.0);
        return lower + static_cast<std::int64_t>(inside);
    }
    return count == 0 ? 0 : max_us;
}

std::uint64_t LagHistogram::Snapshot::count_up_to(std::int64_t bound_us) const noexcept
{
    std::uint64_t total = 0;
    for (int i = 0; i < bucket_count && upper_bound_us(i) <= bound_us; i++)
        total += buckets[static_cast<std::size_t>(i)];
    return total;
}

void LagHistogram::Snapshot::add(const Snapshot &other) noexcept
{
    for (std::size_t i = 0; i < buckets.size(); i++)
        buckets[i] += other.buckets[i];
    count += other.count;
    sum_us = saturating_add(sum_us, other.sum_us);
    max_us = std::max(max_us, other.max_us);
}

} // namespace cxone_sync
