#include "core/waiting.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

/* Ten targets; but the last one has the table of the first. */
std::shared_ptr<const Mapping> ten_targets()
{
    std::vector<Mapping::TargetSpec> specs(10);

    for (std::uint32_t i = 0; i < specs.size(); i++) {
        specs[i].name = std::to_string(i);
        specs[i].types = {std::to_string(i)};
        specs[i].table = i % 9;
    }
    return std::make_shared<const Mapping>(std::move(specs));
}

std::unique_ptr<Delivery> delivery_of(std::initializer_list<std::pair<std::uint16_t, const char *>> keys,
                                      Timestamp received = 1)
{
    auto delivery = std::make_unique<Delivery>();
    delivery->mapping = ten_targets();
    for (const auto &[target, key] : keys) {
        Event &event = delivery->events.emplace_back();
        event.target = target;
        event.key = key;
    }
    delivery->received = received;
    return delivery;
}

struct WaitingTest : testing::Test {
    Gauges gauges;
    Waiting waiting{gauges};

    void push(std::initializer_list<std::pair<std::uint16_t, const char *>> keys, Ticket ticket)
    {
        waiting.push({delivery_of(keys, static_cast<Timestamp>(ticket)), ticket, ticket, 1});
    }

    std::vector<Ticket> take(unsigned max_events)
    {
        std::vector<QueuedDelivery> batch;
        waiting.take(max_events, batch);
        std::vector<Ticket> tickets;
        for (const QueuedDelivery &item : batch)
            tickets.push_back(item.ticket);
        return tickets;
    }
};

TEST_F(WaitingTest, ARoundTriesEachOnceAndKeepsTheirOrder)
{
    push({{0, "a"}, {0, "b"}}, 1);
    push({{0, "c"}}, 2);
    push({{0, "d"}}, 3);
    EXPECT_EQ(take(3), (std::vector<Ticket>{1, 2}));
    EXPECT_FALSE(waiting.round_is_over());
    push({{0, "c"}}, 2);
    push({{0, "a"}, {0, "b"}}, 1);
    EXPECT_EQ(take(3), (std::vector<Ticket>{3}));
    EXPECT_TRUE(waiting.round_is_over());
    push({{0, "d"}}, 3);
    EXPECT_EQ(take(1), (std::vector<Ticket>{1})) << "at least one, however many events it has";
    push({{0, "a"}, {0, "b"}}, 1);
    waiting.has_turn(1);
    EXPECT_EQ(take(3), (std::vector<Ticket>{1, 2})) << "once more, as it was not tried";
    EXPECT_EQ(take(9), (std::vector<Ticket>{3}));
    EXPECT_TRUE(waiting.empty());
}

TEST_F(WaitingTest, WhatIsUntriedHasNoTurn)
{
    push({{0, "a"}}, 1);
    waiting.push({delivery_of({{0, "b"}}), 2, 2, 0});
    waiting.push({delivery_of({{0, "c"}}), 3, 3, 0});
    EXPECT_TRUE(waiting.has_untried());
    EXPECT_EQ(take(9), (std::vector<Ticket>{1}));
    EXPECT_TRUE(waiting.round_is_over());
    std::vector<QueuedDelivery> batch;
    BatchRoom room(1);
    waiting.take_untried(room, batch);
    ASSERT_EQ(batch.size(), 1u);
    EXPECT_EQ(batch[0].ticket, 2u);
    EXPECT_EQ(room.left(), 0u);
    EXPECT_TRUE(waiting.has_untried());
    BatchRoom more(1);
    waiting.take_untried(more, batch);
    EXPECT_TRUE(waiting.empty());
    EXPECT_FALSE(waiting.has_untried());
}

TEST_F(WaitingTest, TheGaugesShowWhatWaits)
{
    push({{0, "a"}, {0, "b"}}, 7);
    push({{0, "c"}}, 5);
    EXPECT_EQ(gauges.waiting_deliveries, 2u);
    EXPECT_EQ(gauges.waiting_events, 3u);
    EXPECT_EQ(waiting.oldest(), 5);
    std::vector<QueuedDelivery> all;
    waiting.take_all(all);
    EXPECT_EQ(all.size(), 2u);
    EXPECT_EQ(gauges.waiting_deliveries, 0u);
    EXPECT_EQ(gauges.waiting_events, 0u);
    EXPECT_EQ(waiting.oldest(), 0);
}

TEST_F(WaitingTest, ItIsBoundedByEventsAndBytesButTakesOne)
{
    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget(used);
    budget.set_limit(1000);
    const auto large = delivery_of({{0, "a"}});
    large->memory = MemoryShare(budget);
    ASSERT_TRUE(large->memory.grow_to(101));

    waiting.set_bounds(3, 100);
    EXPECT_TRUE(waiting.has_room_for(*large));
    EXPECT_TRUE(waiting.has_room_for(*delivery_of({{0, "a"}, {0, "b"}, {0, "c"}, {0, "d"}})));
    push({{0, "a"}}, 1);
    EXPECT_FALSE(waiting.has_room_for(*large));
    EXPECT_TRUE(waiting.has_room_for(*delivery_of({{0, "b"}, {0, "c"}})));
    EXPECT_FALSE(waiting.has_room_for(*delivery_of({{0, "b"}, {0, "c"}, {0, "d"}})));
}

TEST_F(WaitingTest, KeysAreThoseOfEventsWithARow)
{
    push({{0, "a"}}, 1);
    push({{1, "b"}, {2, ""}}, 2);
    DeliveryKeys all;
    waiting.add_keys(all, 0, 3);
    EXPECT_TRUE(all.concern(*delivery_of({{8, "x"}, {0, "a"}})));
    EXPECT_TRUE(all.concern(*delivery_of({{9, "a"}}))) << "another target of the same table";
    EXPECT_FALSE(all.concern(*delivery_of({{0, "b"}, {1, "a"}, {3, "a"}})));
    EXPECT_TRUE(all.concern(*delivery_of({{2, "any"}}))) << "a key that is not known may be any";
    EXPECT_TRUE(all.concern(*delivery_of({{1, ""}}))) << "also the other way round";
    EXPECT_FALSE(all.concern(*delivery_of({{3, ""}})));
    DeliveryKeys first;
    waiting.add_keys(first, 0, 2);
    EXPECT_FALSE(first.concern(*delivery_of({{1, "b"}})));
    DeliveryKeys later;
    waiting.add_keys(later, 2, 9);
    EXPECT_FALSE(later.concern(*delivery_of({{0, "a"}})));
    EXPECT_TRUE(later.concern(*delivery_of({{1, "b"}})));
}

TEST_F(WaitingTest, LocksThatCannotBeSeenAreToldByTheirTables)
{
    push({{0, "a"}}, 1);
    auto hidden = delivery_of({{1, "b"}});
    hidden->needs_hidden_lock = true;
    waiting.push({std::move(hidden), 2, 2, 1});
    EXPECT_EQ(waiting.tables_with_hidden_locks(), delivery_of({{1, "other"}})->tables());
}

TEST_F(WaitingTest, AnEventThatIsRefusedAlreadyHasNone)
{
    auto refused = delivery_of({{0, ""}});
    refused->events[0].refusal.sqlstate = "23502";
    DeliveryKeys keys;
    keys.add(*refused);
    EXPECT_FALSE(keys.concern(*delivery_of({{0, "a"}})));
    keys.add(*delivery_of({{0, "a"}}));
    EXPECT_FALSE(keys.concern(*refused));
}

} // namespace
} // namespace cxone_sync
