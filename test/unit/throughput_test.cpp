#include "core/throughput.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>

namespace cxone_sync {
namespace {

constexpr Timestamp slot = Throughput::slot_us;
constexpr Timestamp start = 100'000 * slot; /* the beginning of a slot */

Throughput::Sums sums_of(const Throughput &throughput, Timestamp at)
{
    Throughput::Sums sums{};
    throughput.add_to(sums, at);
    return sums;
}

std::uint64_t total(const Throughput::Sums &sums)
{
    return std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
}

TEST(Throughput, NothingAtFirst)
{
    const Throughput throughput;
    EXPECT_EQ(total(sums_of(throughput, start)), 0u);
}

TEST(Throughput, SlotsOfTenSecondsTheNewestLast)
{
    Throughput throughput;
    throughput.count(1, start);
    throughput.count(2, start + slot - 1);
    throughput.count(4, start + slot);
    throughput.count(8, start + 3 * slot);

    const Throughput::Sums sums = sums_of(throughput, start + 3 * slot);
    EXPECT_EQ(sums[89], 8u);
    EXPECT_EQ(sums[88], 0u);
    EXPECT_EQ(sums[87], 4u);
    EXPECT_EQ(sums[86], 3u);
    EXPECT_EQ(total(sums), 15u);
}

TEST(Throughput, AQuarterOfAnHour)
{
    Throughput throughput;
    throughput.count(1, start);
    EXPECT_EQ(sums_of(throughput, start + 89 * slot)[0], 1u);
    EXPECT_EQ(total(sums_of(throughput, start + 90 * slot)), 0u);
    EXPECT_EQ(total(sums_of(throughput, start + 1'000'000 * slot)), 0u);

    /* the slot is used again, and has nothing of what was in it */
    throughput.count(5, start + 90 * slot);
    const Throughput::Sums sums = sums_of(throughput, start + 90 * slot);
    EXPECT_EQ(sums[89], 5u);
    EXPECT_EQ(total(sums), 5u);
}

TEST(Throughput, AClockThatIsSetBack)
{
    Throughput throughput;
    throughput.count(1, start);
    throughput.count(2, start - 2 * slot);
    const Throughput::Sums sums = sums_of(throughput, start);
    EXPECT_EQ(sums[89], 1u);
    EXPECT_EQ(sums[87], 2u);
    /* what is in the future is not shown */
    EXPECT_EQ(total(sums_of(throughput, start - slot)), 2u);
    throughput.count(3, start - 90 * slot); /* the slot of `start`, a quarter of an hour before */
    EXPECT_EQ(sums_of(throughput, start - 90 * slot)[89], 3u);
    EXPECT_EQ(sums_of(throughput, start)[89], 0u);
}

TEST(Throughput, AddsUpWorkers)
{
    Throughput one, other;
    one.count(1, start);
    other.count(2, start);
    Throughput::Sums sums{};
    one.add_to(sums, start);
    other.add_to(sums, start);
    EXPECT_EQ(sums[89], 3u);
}

/* One slot after the other is begun anew under the reader's eyes: it sees counts of no other time. */
TEST(Throughput, AReaderSeesNoCountOfAnotherTime)
{
    Throughput throughput;
    std::atomic<Timestamp> clock{start};
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> wrong{0};
    std::thread reader([&] {
        while (!stop) {
            /* in each slot it counts up to that slot's own number */
            const Timestamp at = clock;
            const Throughput::Sums sums = sums_of(throughput, at);
            for (int i = 0; i < Throughput::slot_count; i++) {
                const std::int64_t number = at / slot - Throughput::slot_count + 1 + i;
                const std::uint64_t seen = sums[static_cast<std::size_t>(i)];
                wrong += seen != 0 && seen != static_cast<std::uint64_t>(number);
            }
        }
    });
    for (int i = 0; i < 100'000; i++) {
        const Timestamp at = start + i * slot;
        throughput.count(static_cast<std::uint64_t>(at / slot), at);
        clock = at;
    }
    stop = true;
    reader.join();
    EXPECT_EQ(wrong, 0u);
}

} // namespace
} // namespace cxone_sync
