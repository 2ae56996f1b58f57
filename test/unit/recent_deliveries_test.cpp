#include "core/recent_deliveries.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
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
    std::unique_ptr<RecentDeliveries> memory = std::make_unique<RecentDeliveries>();
    RecentDeliveries &recent = *memory;
    DeliveryCounts counts;

    Seen begin(unsigned number, Timestamp now = 0)
    {
        return recent.begin(key_of(number), 1, now, 100, counts);
    }
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

TEST_F(RecentDeliveriesTest, WhatAWorkerHadUnderWayEndsWithIt)
{
    EXPECT_EQ(begin(1), Seen::no);
    EXPECT_EQ(begin(2), Seen::no);
    EXPECT_EQ(recent.begin(key_of(3), 2, 0, 100, counts), Seen::no);
    end(1, true, 7);
    recent.end_all_of(1);
    EXPECT_EQ(begin(1), Seen::committed);
    EXPECT_EQ(begin(2), Seen::no);
    EXPECT_EQ(begin(3), Seen::under_way) << "another worker has it";
}

TEST_F(RecentDeliveriesTest, OnlyTheCommittedAreForgottenAtOnce)
{
    EXPECT_EQ(begin(1), Seen::no);
    EXPECT_EQ(begin(2), Seen::no);
    end(1, true, 7);
    recent.forget_committed();
    EXPECT_EQ(begin(1), Seen::no);
    EXPECT_EQ(begin(2), Seen::under_way);
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
                first += recent.begin(key_of(number), 0, 0, 100, seen) == Seen::no;
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    EXPECT_EQ(first, 5000u);
}

TEST_F(RecentDeliveriesTest, TheNumberIsBoundedAlsoOfThoseThatAreSentBack)
{
    EXPECT_EQ(begin(0), Seen::no);
    for (unsigned i = 1; i < 3 * RecentDeliveries::max_count; i++) {
        ASSERT_EQ(begin(i), Seen::no);
        end(i, false);
    }
    EXPECT_EQ(recent.size(), 0u);
}

/* As a model that forgets nothing says, for whatever is young enough. */
TEST_F(RecentDeliveriesTest, AsAModelSays)
{
    std::map<unsigned, std::pair<Timestamp, int>> model; /* began; -1: under way, else applied */
    std::mt19937 random(7);
    for (Timestamp now = 0; now < 200'000; now++) {
        const auto number = static_cast<unsigned>(random() % 500);
        const auto known = model.find(number);
        const bool is_young = known != model.end() && known->second.first >= now - 100;
        const Seen seen = begin(number, now);
        if (!is_young) {
            ASSERT_EQ(seen, Seen::no) << now;
            model[number] = {now, -1};
        } else if (known->second.second < 0) {
            ASSERT_EQ(seen, Seen::under_way) << now;
        } else {
            ASSERT_EQ(seen, Seen::committed) << now;
            ASSERT_EQ(counts.applied, static_cast<unsigned>(known->second.second));
        }
        const auto other = static_cast<unsigned>(random() % 500);
        const auto place = model.find(other);
        if (place == model.end() || place->second.second >= 0 || place->second.first < now - 100)
            continue;
        const bool committed = random() % 2 == 0;
        end(other, committed, static_cast<std::uint32_t>(now));
        if (committed)
            place->second.second = static_cast<int>(now);
        else
            model.erase(place);
    }
}

TEST_F(RecentDeliveriesTest, AllProcessesHaveOne)
{
    const std::size_t size = sizeof(RecentDeliveries);
    void *shared = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    auto *of_all = new (shared) RecentDeliveries;
    const pid_t child = fork();
    if (child == 0) {
        const Seen seen = of_all->begin(key_of(1), 0, 0, 100, counts);
        of_all->end(key_of(1), true, {.received = 3, .applied = 3});
        _exit(seen == Seen::no ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(of_all->begin(key_of(1), 0, 0, 100, counts), Seen::committed);
    EXPECT_EQ(counts.applied, 3u);
    munmap(shared, size);
}

} // namespace
} // namespace cxone_sync
