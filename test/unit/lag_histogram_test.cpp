#include "core/lag_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace cxone_sync {
namespace {

constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t int64_min = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t second = 1'000'000;

/* The first bucket that contains the lag, found by looking at all of them. */
int slow_bucket_of(std::int64_t lag)
{
    int i = 0;
    while (lag > LagHistogram::upper_bound_us(i))
        i++;
    return i;
}

int only_bucket_of(const LagHistogram::Snapshot &lag)
{
    const auto found = std::find(lag.buckets.begin(), lag.buckets.end(), 1u);
    return found == lag.buckets.end() ? -1 : static_cast<int>(found - lag.buckets.begin());
}

LagHistogram::Snapshot snapshot_of(const std::vector<std::int64_t> &lags)
{
    LagHistogram histogram;
    for (const std::int64_t lag : lags)
        histogram.record(lag);
    return histogram.snapshot();
}

TEST(LagHistogram, BoundsRiseAndHoldTheContractsBuckets)
{
    EXPECT_EQ(LagHistogram::upper_bound_us(0), 24);
    for (int i = 1; i < LagHistogram::bucket_count; i++)
        ASSERT_LT(LagHistogram::upper_bound_us(i - 1), LagHistogram::upper_bound_us(i)) << i;
    EXPECT_EQ(LagHistogram::upper_bound_us(LagHistogram::bucket_count - 2), 100'000LL << 20);
    EXPECT_EQ(LagHistogram::upper_bound_us(LagHistogram::bucket_count - 1), int64_max);

    for (int i = 0; i <= LagHistogram::doublings_above_base; i++) {
        const std::int64_t bound = LagHistogram::base_us << i;
        EXPECT_EQ(LagHistogram::upper_bound_us(slow_bucket_of(bound)), bound);
    }
}

TEST(LagHistogram, EveryBoundBelongsToTheBucketBelow)
{
    for (int i = 0; i < LagHistogram::bucket_count - 1; i++) {
        const std::int64_t bound = LagHistogram::upper_bound_us(i);
        EXPECT_EQ(only_bucket_of(snapshot_of({bound})), i);
        EXPECT_EQ(only_bucket_of(snapshot_of({bound + 1})), i + 1);
    }
}

TEST(LagHistogram, RandomLagsFindTheirBucket)
{
    std::mt19937_64 random(1);
    for (int i = 0; i < 20'000; i++) {
        const auto lag = static_cast<std::int64_t>(random() >> (22 + random() % 42));
        const std::int64_t recorded = std::min(lag, LagHistogram::max_recorded_us);
        const LagHistogram::Snapshot one = snapshot_of({lag});
        ASSERT_EQ(only_bucket_of(one), slow_bucket_of(recorded)) << lag;
        ASSERT_EQ(one.sum_us, recorded);
        ASSERT_EQ(one.max_us, recorded);
    }
}

TEST(LagHistogram, Empty)
{
    const LagHistogram::Snapshot none = LagHistogram().snapshot();
    EXPECT_EQ(none.count, 0u);
    EXPECT_EQ(none.sum_us, 0);
    EXPECT_EQ(none.max_us, 0);
    EXPECT_EQ(none.quantile_us(0.5), 0);
    EXPECT_EQ(none.quantile_us(1), 0);
    EXPECT_EQ(none.count_up_to(int64_max), 0u);
}

TEST(LagHistogram, AbsurdLagsPoisonNothing)
{
    const LagHistogram::Snapshot early = snapshot_of({int64_min, -1, 0});
    EXPECT_EQ(early.count, 3u);
    EXPECT_EQ(early.buckets[0], 3u);
    EXPECT_EQ(early.sum_us, 0);
    EXPECT_EQ(early.quantile_us(0.99), 0);

    const LagHistogram::Snapshot late = snapshot_of({int64_max, LagHistogram::max_recorded_us + 1});
    EXPECT_EQ(late.sum_us, 2 * LagHistogram::max_recorded_us);
    EXPECT_EQ(late.max_us, LagHistogram::max_recorded_us);
    EXPECT_EQ(late.quantile_us(1), LagHistogram::max_recorded_us);
    EXPECT_EQ(late.buckets.back(), 2u);
}

TEST(LagHistogram, SumStopsAtTheEndOfItsRange)
{
    LagHistogram histogram;
    const std::int64_t enough = int64_max / LagHistogram::max_recorded_us + 2;
    for (std::int64_t i = 0; i < enough; i++)
        histogram.record(int64_max);
    LagHistogram::Snapshot lag = histogram.snapshot();
    EXPECT_EQ(lag.sum_us, int64_max);
    EXPECT_EQ(lag.count, static_cast<std::uint64_t>(enough));

    lag.add(lag);
    EXPECT_EQ(lag.sum_us, int64_max);
    EXPECT_EQ(lag.count, 2 * static_cast<std::uint64_t>(enough));
}

/* The true quantile and the estimate share a bucket, so the bucket's width bounds the error. */
void expect_close_quantiles(std::vector<std::int64_t> lags)
{
    const LagHistogram::Snapshot lag = snapshot_of(lags);
    std::sort(lags.begin(), lags.end());
    std::int64_t previous = 0;
    for (const double q : {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0}) {
        const double rank = std::ceil(q * static_cast<double>(lags.size()));
        const std::int64_t truth = lags[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
        const std::int64_t estimate = lag.quantile_us(q);
        ASSERT_LE(std::abs(estimate - truth), std::max<std::int64_t>(truth / 16, 25))
            << q << " of " << lags.size();
        ASSERT_GE(estimate, previous) << q;
        ASSERT_LE(estimate, lags.back()) << q;
        previous = estimate;
    }
    ASSERT_EQ(lag.quantile_us(1), lags.back());
}

TEST(LagHistogram, QuantilesAreOffByLessThanSevenPercent)
{
    std::mt19937_64 random(1);
    for (int round = 0; round < 300; round++) {
        std::vector<std::int64_t> lags(1 + random() % 3000);
        const auto smallest = static_cast<std::int64_t>(random() % second);
        const double spread = 0.1 + static_cast<double>(random() % 100) / 10;
        for (std::int64_t &lag : lags) {
            const double share = static_cast<double>(random() >> 11) * 0x1p-53;
            lag = smallest + static_cast<std::int64_t>(std::exp(share * spread) * 1000);
        }
        expect_close_quantiles(lags);
        if (HasFatalFailure())
            return;
    }
}

TEST(LagHistogram, QuantileInterpolates)
{
    std::vector<std::int64_t> lags;
    for (int i = 1; i <= 1000; i++)
        lags.push_back(100'000 + i * 12'500 / 1000); /* evenly over one bucket */
    const LagHistogram::Snapshot lag = snapshot_of(lags);
    EXPECT_NEAR(static_cast<double>(lag.quantile_us(0.5)), 106'250, 15);
    EXPECT_NEAR(static_cast<double>(lag.quantile_us(0.25)), 103'125, 15);
    EXPECT_EQ(lag.quantile_us(1), 112'500);
    EXPECT_EQ(lag.quantile_us(7), 112'500);
    EXPECT_EQ(lag.quantile_us(-1), 100'000);
}

TEST(LagHistogram, CountUpToABound)
{
    const LagHistogram::Snapshot lag =
        snapshot_of({0, 100'000, 100'001, 200'000, 12'800'000, 12'800'001, int64_max});
    EXPECT_EQ(lag.count_up_to(100'000), 2u);
    EXPECT_EQ(lag.count_up_to(200'000), 4u);
    EXPECT_EQ(lag.count_up_to(6'400'000), 4u);
    EXPECT_EQ(lag.count_up_to(12'800'000), 5u);
    EXPECT_EQ(lag.count_up_to(int64_max), 7u);
    EXPECT_EQ(lag.count_up_to(-1), 0u);
}

TEST(LagHistogram, AddJoinsTwoWorkers)
{
    LagHistogram::Snapshot both = snapshot_of({1 * second, 2 * second});
    both.add(snapshot_of({2 * second, 30 * second}));
    const LagHistogram::Snapshot expected = snapshot_of({1 * second, 2 * second, 2 * second, 30 * second});
    EXPECT_EQ(both.buckets, expected.buckets);
    EXPECT_EQ(both.count, expected.count);
    EXPECT_EQ(both.sum_us, expected.sum_us);
    EXPECT_EQ(both.max_us, expected.max_us);
}

TEST(LagHistogram, ReadersSeeNoEventWithoutItsSum)
{
    constexpr std::int64_t lag = 250'000;
    LagHistogram histogram;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> recorded{0};
    std::vector<std::thread> writers;
    for (int i = 0; i < 2; i++)
        writers.emplace_back([&] {
            std::uint64_t own = 0;
            for (; !stop; own++)
                histogram.record(lag);
            recorded += own;
        });

    std::uint64_t previous = 0;
    std::uint64_t wrong = 0;
    for (int i = 0; i < 20'000 || previous == 0; i++) {
        const LagHistogram::Snapshot seen = histogram.snapshot();
        wrong += seen.count < previous;
        wrong += seen.sum_us < static_cast<std::int64_t>(seen.count) * lag;
        wrong += seen.count != 0 && seen.max_us != lag;
        previous = seen.count;
    }
    stop = true;
    for (std::thread &writer : writers)
        writer.join();

    EXPECT_EQ(wrong, 0u);
    EXPECT_EQ(histogram.snapshot().count, recorded);
    EXPECT_EQ(histogram.snapshot().sum_us, static_cast<std::int64_t>(recorded) * lag);
}

} // namespace
} // namespace cxone_sync
