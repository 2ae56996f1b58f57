#include "core/memory_budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace cxone_sync {
namespace {

struct MemoryBudgetTest : testing::Test {
    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget{used};

    ~MemoryBudgetTest() override { EXPECT_EQ(used, 0u) << "not all was given back"; }
};

TEST_F(MemoryBudgetTest, NothingBeforeALimitIsSet)
{
    EXPECT_FALSE(budget.take(1));
    EXPECT_TRUE(budget.take(0));
}

TEST_F(MemoryBudgetTest, TakesUpToTheLimit)
{
    budget.set_limit(100);
    EXPECT_TRUE(budget.take(60));
    EXPECT_FALSE(budget.take(41));
    EXPECT_EQ(used, 60u);
    EXPECT_TRUE(budget.take(40));
    EXPECT_FALSE(budget.take(1));
    EXPECT_EQ(used, 100u);

    /* a lower limit takes nothing away */
    budget.set_limit(50);
    budget.give_back(50);
    EXPECT_FALSE(budget.take(1));
    budget.give_back(50);
    EXPECT_TRUE(budget.take(50));
    budget.give_back(50);
}

TEST_F(MemoryBudgetTest, AShareGrowsAndGivesBack)
{
    budget.set_limit(100);
    {
        MemoryShare share(budget);
        EXPECT_TRUE(share.grow_to(30));
        EXPECT_EQ(used, 30u);
        EXPECT_TRUE(share.grow_to(80));
        EXPECT_EQ(used, 80u);
        EXPECT_TRUE(share.grow_to(10)) << "it never shrinks";
        EXPECT_EQ(used, 80u);
        EXPECT_FALSE(share.grow_to(101));
        EXPECT_EQ(used, 80u);
        EXPECT_TRUE(share.grow_to(100));

        MemoryShare other(budget);
        EXPECT_FALSE(other.grow_to(1));
        EXPECT_TRUE(other.grow_to(0));
        share.reset();
        EXPECT_EQ(used, 0u);
        EXPECT_TRUE(other.grow_to(100));
        EXPECT_FALSE(share.grow_to(1)) << "it belongs to the same budget still";
    }
    EXPECT_EQ(used, 0u);
}

TEST_F(MemoryBudgetTest, AShareMoves)
{
    budget.set_limit(100);
    MemoryShare to;
    {
        MemoryShare from(budget);
        ASSERT_TRUE(from.grow_to(40));
        to = std::move(from);
    }
    EXPECT_EQ(used, 40u);
    EXPECT_TRUE(to.grow_to(60));
    EXPECT_EQ(used, 60u);

    {
        const MemoryShare constructed(std::move(to));
        EXPECT_EQ(used, 60u);
    }
    EXPECT_EQ(used, 0u);
}

/* As the network thread does it once a request is over. */
TEST_F(MemoryBudgetTest, AFreshShareInPlaceOfAnOldOne)
{
    budget.set_limit(100);
    MemoryShare share(budget);
    ASSERT_TRUE(share.grow_to(100));
    share = MemoryShare(budget);
    EXPECT_EQ(used, 0u);
    EXPECT_TRUE(share.grow_to(100));
    share = MemoryShare();
    EXPECT_EQ(used, 0u);
}

TEST_F(MemoryBudgetTest, AShareOfNoBudgetIsFree)
{
    MemoryShare share;
    EXPECT_TRUE(share.grow_to(1'000'000));
    share.reset();
}

/* What is granted never exceeds the limit, whatever the gauge shows for a moment. */
TEST_F(MemoryBudgetTest, ManyTakers)
{
    constexpr std::uint64_t limit = 1000;
    budget.set_limit(limit);
    std::atomic<std::uint64_t> granted{0}, most{0}, times{0};
    std::vector<std::thread> takers;
    for (unsigned i = 0; i < 4; i++)
        takers.emplace_back([&, i] {
            for (unsigned n = 0; n < 50'000; n++) {
                const std::uint64_t bytes = 100 + (n * 7 + i * 131) % 500;
                MemoryShare share(budget);
                if (!share.grow_to(bytes))
                    continue;
                const std::uint64_t now = granted.fetch_add(bytes) + bytes;
                for (std::uint64_t before = most; before < now && !most.compare_exchange_weak(before, now);) {
                }
                times++;
                granted -= bytes;
            }
        });
    for (std::thread &taker : takers)
        taker.join();
    EXPECT_LE(most, limit);
    EXPECT_GT(times, 0u);
}

} // namespace
} // namespace cxone_sync
