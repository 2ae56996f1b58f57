#include "core/recent_deliveries.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace cxone_sync {
namespace {

using Seen = RecentDeliveries::Seen;

RecentDeliveries::Key key_of(unsigned number)
{
    RecentDeliveries::Key key{};
    for (std::size_t i = 0; i < 4; i++)
        key[i] = static_cast<unsigned char>(number >> (8 * i));
    return key;
}

struct RecentDeliveriesTest : testing::Test {
    RecentDeliveries recent;
    DeliveryCounts counts;

    Seen begin(unsigned number, Timestamp now = 0) { return recent.begin(key_of(number), now, 100, counts); }
    void end(unsigned number, bool committed, std::uint32_t applied = 0)
    {
        recent.end(key_of(number), committed, {.received = applied, .applied = applied});
    }
};

TEST_F(RecentDeliveriesTest, ARepeatedOneGetsTheFirstOnesAnswer)
{
    EXPECT_EQ(begin(1), Seen::no);
    EXPECT_EQ(begin(1), Seen::under_way);
    EXPECT_EQ(begin(2), Seen::no);
    end(1, true, 7);
    EXPECT_EQ(begin(1), Seen::committed);
    EXPECT_EQ(counts.applied, 7u);
    EXPECT_EQ(begin(2), Seen::under_way);
}

TEST_F(RecentDeliveriesTest, OneThatWasNotCommittedIsWrittenAgain)
{
    EXPECT_EQ(begin(1), Seen::no);
    end(1, false);
    EXPECT_EQ(begin(1), Seen::no);
    EXPECT_EQ(recent.size(), 1u);
}

TEST_F(RecentDeliveriesTest, ItIsForgottenAfterItsTime)
{
    EXPECT_EQ(begin(1, 0), Seen::no);
    end(1, true, 1);
    EXPECT_EQ(begin(1, 100), Seen::committed);
    EXPECT_EQ(begin(1, 101), Seen::no);
    end(9, true); /* nobody knows it */
    EXPECT_EQ(recent.size(), 1u);
}

TEST_F(RecentDeliveriesTest, ItsTimeBeginsAnewAfterItWasSentBack)
{
    EXPECT_EQ(begin(1, 0), Seen::no);
    end(1, false);
    EXPECT_EQ(begin(1, 60), Seen::no);
    end(1, true, 1);
    EXPECT_EQ(begin(1, 160), Seen::committed) << "the first try's end is not its";
    EXPECT_EQ(begin(1, 161), Seen::no);
}

TEST_F(RecentDeliveriesTest, ItsNumberIsBounded)
{
    for (unsigned i = 0; i < RecentDeliveries::max_count + 1000; i++) {
        ASSERT_EQ(begin(i), Seen::no);
        end(i, i % 2 == 0);
    }
    EXPECT_LE(recent.size(), RecentDeliveries::max_count);
    EXPECT_EQ(begin(0), Seen::no) << "the oldest is gone";
    EXPECT_EQ(begin(RecentDeliveries::max_count + 998), Seen::committed);
}

TEST_F(RecentDeliveriesTest, OneOfManyThreadsIsTheFirst)
{
    std::atomic<unsigned> first{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            for (unsigned number = 0; number < 5000; number++) {
                DeliveryCounts seen;
                first += recent.begin(key_of(number), 0, 100, seen) == Seen::no;
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    EXPECT_EQ(first, 5000u);
}

} // namespace
} // namespace cxone_sync
