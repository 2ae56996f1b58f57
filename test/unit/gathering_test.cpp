#include "core/gathering.h"

#include <gtest/gtest.h>

#include <vector>

namespace cxone_sync {
namespace {

/* Batches that are answered at 1,000; true for each that the next one waits after. */
struct GatheringTest : testing::Test {
    Gathering gathering;

    bool waits(std::size_t expected = 8, std::int64_t commit_us = 300)
    {
        gathering.begin(expected, commit_us, commit_us + 100, 1000);
        return gathering.wait_us(1000) > 0;
    }

    /* How many batches in a row do not wait. */
    unsigned left_out()
    {
        unsigned count = 0;
        while (!waits())
            count++;
        return count;
    }
};

TEST_F(GatheringTest, WaitsForAllAsLongAsTheCommitTook)
{
    EXPECT_EQ(gathering.wait_us(1), 0) << "nothing was written yet";
    EXPECT_TRUE(waits(8, 300));
    EXPECT_EQ(gathering.expected(), 8u);
    EXPECT_EQ(gathering.wait_us(1100), 200);
    EXPECT_EQ(gathering.wait_us(1300), 0);
    EXPECT_EQ(gathering.wait_us(5000), 0);
    gathering.end(true);
    EXPECT_TRUE(waits(5, 200));
    EXPECT_EQ(gathering.expected(), 5u);
    EXPECT_EQ(gathering.wait_us(1000), 200);
    EXPECT_FALSE(waits(5, 0));
}

/* While many events are being written others may as well be received. */
TEST_F(GatheringTest, DoesNotWaitWhereTheCommitIsNotMostOfTheTransaction)
{
    gathering.begin(8, 300, 600, 1000);
    EXPECT_EQ(gathering.wait_us(1000), 0);
    gathering.begin(8, 301, 600, 1000);
    EXPECT_EQ(gathering.wait_us(1000), 301);
}

TEST_F(GatheringTest, ADiskThatStallsDoesNotDelayTheNextBatchForLong)
{
    EXPECT_TRUE(waits(8, 60'000'000));
    EXPECT_EQ(gathering.wait_us(1000), 20'000);
}

TEST_F(GatheringTest, NorDoesAClockThatIsSetBack)
{
    EXPECT_TRUE(waits(8, 300));
    EXPECT_EQ(gathering.wait_us(1000 - 3'600'000'000), 20'000);
}

TEST_F(GatheringTest, IsTriedMoreRarelyWhileItIsInVain)
{
    std::vector<unsigned> pauses;
    ASSERT_TRUE(waits());
    for (int i = 0; i < 10; i++) {
        gathering.end(false);
        pauses.push_back(left_out());
    }
    EXPECT_EQ(pauses, (std::vector<unsigned>{1, 3, 7, 15, 31, 63, 127, 255, 255, 255}));
    gathering.end(true);
    EXPECT_EQ(left_out(), 0u);
    EXPECT_EQ(left_out(), 0u);
    gathering.end(false);
    EXPECT_EQ(left_out(), 1u) << "once more from the beginning";
}

/* With a single sender, say, there is nobody to wait for, and the queue is not asked. */
TEST_F(GatheringTest, WhatWasNotWaitedForChangesNothing)
{
    for (int i = 0; i < 10; i++)
        EXPECT_TRUE(waits(1));
}

} // namespace
} // namespace cxone_sync
