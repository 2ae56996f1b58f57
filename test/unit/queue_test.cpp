#include "core/queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <poll.h>
#include <thread>

namespace cxone_sync {
namespace {

std::unique_ptr<Delivery> delivery_of(std::size_t events, Timestamp received = 0)
{
    auto delivery = std::make_unique<Delivery>();
    delivery->events.resize(events);
    delivery->received = received;
    return delivery;
}

struct QueueTest : testing::Test {
    Gauges gauges;
    Queue queue{gauges};

    void push(std::size_t events, Ticket ticket)
    {
        auto delivery = delivery_of(events, static_cast<Timestamp>(ticket));
        ASSERT_EQ(queue.push(delivery, ticket), Queue::Push::done);
        ASSERT_EQ(delivery, nullptr);
    }

    std::vector<Ticket> take(unsigned max_events)
    {
        std::vector<QueuedDelivery> batch;
        queue.take(max_events, batch);
        std::vector<Ticket> tickets;
        for (const QueuedDelivery &item : batch)
            tickets.push_back(item.ticket);
        return tickets;
    }

    /* Whether the main thread has been woken since it was last asked. */
    bool woken(int timeout_ms = 0)
    {
        pollfd fd{queue.event_fd(), POLLIN, 0};
        const bool readable = poll(&fd, 1, timeout_ms) == 1;
        queue.clear_event();
        return readable;
    }

    void expect_inside(std::uint64_t deliveries, std::uint64_t events)
    {
        EXPECT_EQ(gauges.queued_deliveries, deliveries);
        EXPECT_EQ(gauges.queued_events, events);
        Timestamp oldest = 0;
        std::size_t waiting = 0;
        EXPECT_EQ(queue.waiting(oldest, waiting), deliveries > 0);
        EXPECT_EQ(waiting, events);
    }
};

using Tickets = std::vector<Ticket>;

constexpr std::int64_t minute = 60'000'000;

TEST_F(QueueTest, WholeDeliveriesInOrder)
{
    EXPECT_EQ(take(10), Tickets{});
    for (const std::size_t events : {3, 3, 4, 1, 5})
        push(events, 100 + gauges.queued_deliveries);
    expect_inside(5, 16);
    EXPECT_EQ(take(9), (Tickets{100, 101}));
    expect_inside(3, 10);
    EXPECT_EQ(take(5), (Tickets{102, 103}));
    push(2, 105);
    expect_inside(2, 7);
    EXPECT_EQ(take(7), (Tickets{104, 105}));
    expect_inside(0, 0);
    EXPECT_EQ(take(7), Tickets{});
}

TEST_F(QueueTest, AtLeastOneHoweverLarge)
{
    push(50, 1);
    push(1, 2);
    EXPECT_EQ(take(10), Tickets{1});
    EXPECT_EQ(take(0), Tickets{2});
    push(1, 3);
    push(50, 4);
    EXPECT_EQ(take(10), Tickets{3}) << "the next one does not fit beside it";
    EXPECT_EQ(take(10), Tickets{4});
}

TEST_F(QueueTest, ADeliveryWithoutEventsWeighsOne)
{
    for (Ticket ticket = 1; ticket <= 5; ticket++)
        push(0, ticket);
    expect_inside(5, 0);
    EXPECT_EQ(take(3), (Tickets{1, 2, 3}));
    EXPECT_EQ(take(3), (Tickets{4, 5}));
}

TEST_F(QueueTest, TakeAddsToTheBatch)
{
    push(1, 1);
    push(1, 2);
    std::vector<QueuedDelivery> batch;
    queue.take(1, batch);
    queue.take(1, batch);
    ASSERT_EQ(batch.size(), 2u);
    EXPECT_EQ(batch[0].ticket, 1u);
    EXPECT_EQ(batch[1].ticket, 2u);
    EXPECT_EQ(batch[1].delivery->events.size(), 1u);
}

/* One in, one out, behind a crowd: what has been taken is forgotten in time and nothing else is. */
TEST_F(QueueTest, OrderOverALongTime)
{
    Ticket in = 0, out = 0;
    for (; in < 100; in++)
        push(1, in);
    for (; out < 5000; out++) {
        push(1, in++);
        ASSERT_EQ(take(1), Tickets{out});
        Timestamp oldest = 0;
        std::size_t events = 0;
        ASSERT_TRUE(queue.waiting(oldest, events));
        ASSERT_EQ(oldest, static_cast<Timestamp>(out + 1));
        ASSERT_EQ(events, 100u);
    }
    EXPECT_EQ(take(1000).size(), 100u);
}

TEST_F(QueueTest, GatheringEndsWhenAllAreThere)
{
    push(1, 1);
    push(1, 2);
    EXPECT_TRUE(queue.gather(2, 0)) << "they are there, so the time does not matter";
    EXPECT_FALSE(queue.gather(3, 0));
    EXPECT_FALSE(queue.gather(3, 1000)) << "nobody comes";

    std::jthread sender([this] { push(1, 3); });
    EXPECT_TRUE(queue.gather(3, minute));
    EXPECT_EQ(take(10), (Tickets{1, 2, 3})) << "the queue is left as it is";
}

TEST_F(QueueTest, GatheringEndsWhenABatchIsFull)
{
    queue.wake_at(10);
    push(4, 1);
    EXPECT_FALSE(queue.gather(100, 0));
    std::jthread sender([this] { push(6, 2); });
    EXPECT_TRUE(queue.gather(100, minute));
    EXPECT_TRUE(queue.gather(100, 0));
}

TEST_F(QueueTest, AClosedQueueRefusesAndGivesOut)
{
    push(2, 1);
    woken();
    queue.close();
    auto delivery = delivery_of(3);
    const Delivery *const itself = delivery.get();
    EXPECT_EQ(queue.push(delivery, 2), Queue::Push::closed);
    EXPECT_EQ(delivery.get(), itself);
    EXPECT_EQ(delivery->events.size(), 3u);
    EXPECT_FALSE(woken());
    expect_inside(1, 2);
    EXPECT_EQ(take(10), Tickets{1});
}

TEST_F(QueueTest, IsFullAtItsMostEvents)
{
    queue.set_bounds(10, 1'000);
    push(20, 1); /* alone, it fits */
    auto delivery = delivery_of(1);
    EXPECT_EQ(queue.push(delivery, 2), Queue::Push::full);
    ASSERT_NE(delivery, nullptr);
    EXPECT_EQ(take(1), Tickets{1});
    push(4, 3);
    push(6, 4);
    EXPECT_EQ(queue.push(delivery, 5), Queue::Push::full);
    expect_inside(2, 10);
    EXPECT_EQ(take(4), Tickets{3});
    push(1, 6);
    queue.set_bounds(2, 1'000);
    EXPECT_EQ(queue.push(delivery, 7), Queue::Push::full) << "a new limit concerns new ones";
    EXPECT_EQ(take(10), (Tickets{4, 6}));
}

/* So that who comes when all is late hears so at once, and not when its sender has given up. */
TEST_F(QueueTest, IsFullWhenTheOldestHasWaitedForLong)
{
    queue.set_bounds(SIZE_MAX, 1'000);
    push(1, 5'000);
    push(1, 6'000);
    auto late = delivery_of(1, 6'001);
    EXPECT_EQ(queue.push(late, 3), Queue::Push::full);
    EXPECT_EQ(take(1), Tickets{5'000});
    EXPECT_EQ(queue.push(late, 3), Queue::Push::done);
    EXPECT_EQ(take(10), (Tickets{6'000, 3}));
    late = delivery_of(1, 9'000'000);
    EXPECT_EQ(queue.push(late, 4), Queue::Push::done) << "nothing waits before it";
}

TEST_F(QueueTest, WakesForTheFirstOnly)
{
    EXPECT_FALSE(woken());
    push(1, 1);
    EXPECT_TRUE(woken());
    push(1000, 2);
    EXPECT_FALSE(woken());
    /* one is left: the main thread knows of it */
    take(1);
    push(1, 3);
    EXPECT_FALSE(woken());
    take(5000);
    push(1, 4);
    EXPECT_TRUE(woken());
}

TEST_F(QueueTest, WakesAgainAtTheMark)
{
    queue.wake_at(10);
    push(1, 1);
    EXPECT_TRUE(woken());
    push(8, 2);
    EXPECT_FALSE(woken()) << "9";
    push(1, 3);
    EXPECT_TRUE(woken()) << "10";
    push(1, 4);
    EXPECT_FALSE(woken()) << "past it";
    take(2); /* one event in one delivery, and 10 remain */
    push(1, 5);
    EXPECT_FALSE(woken()) << "still past it";
    take(9);
    push(20, 6);
    EXPECT_TRUE(woken()) << "leapt over";
}

TEST_F(QueueTest, WaitingTellsTheOldest)
{
    Timestamp oldest = -1;
    std::size_t events = 77;
    EXPECT_FALSE(queue.waiting(oldest, events));
    push(2, 5);
    push(3, 4);
    ASSERT_TRUE(queue.waiting(oldest, events));
    EXPECT_EQ(oldest, 5);
    EXPECT_EQ(events, 5u);
    take(1);
    ASSERT_TRUE(queue.waiting(oldest, events));
    EXPECT_EQ(oldest, 4);
    EXPECT_EQ(events, 3u);
}

TEST_F(QueueTest, TheLogIsBounded)
{
    EXPECT_TRUE(queue.take_log().empty());
    for (int i = 0; i < 150; i++)
        queue.log("line ", std::to_string(i));
    EXPECT_TRUE(woken());
    const std::vector<LogLine> lines = queue.take_log();
    ASSERT_EQ(lines.size(), 100u);
    EXPECT_EQ(lines.front().text, "line 0");
    EXPECT_EQ(lines.back().text, "line 99");
    EXPECT_TRUE(queue.take_log().empty());

    queue.log("alone");
    EXPECT_TRUE(woken());
    const std::vector<LogLine> last = queue.take_log();
    ASSERT_EQ(last.size(), 1u);
    EXPECT_EQ(last[0].text, "alone");
    EXPECT_EQ(last[0].level, LogLevel::log);
}

TEST(Queue, LeavesNoGaugeBehind)
{
    Gauges gauges;
    {
        Queue queue(gauges);
        auto delivery = delivery_of(3);
        ASSERT_EQ(queue.push(delivery, 1), Queue::Push::done);
        EXPECT_EQ(gauges.queued_deliveries, 1u);
    }
    EXPECT_EQ(gauges.queued_deliveries, 0u);
    EXPECT_EQ(gauges.queued_events, 0u);
}

/* The taker sleeps on the eventfd alone, so a wake-up that is missing ends in the deadline. */
TEST_F(QueueTest, ManyThreadsPushAndNothingIsLost)
{
    constexpr Ticket threads = 4, each = 5000;
    queue.wake_at(30);
    std::vector<std::thread> pushers;
    for (Ticket thread = 0; thread < threads; thread++)
        pushers.emplace_back([&, thread] {
            for (Ticket i = 0; i < each; i++) {
                auto delivery = delivery_of(1 + i % 3);
                EXPECT_EQ(queue.push(delivery, thread << 32 | i), Queue::Push::done);
            }
        });

    std::vector<Ticket> next(threads);
    std::size_t taken = 0;
    while (taken < threads * each) {
        if (!woken(10'000)) {
            ADD_FAILURE() << "not woken after " << taken << " deliveries";
            break;
        }
        for (;;) {
            const Tickets tickets = take(10);
            if (tickets.empty())
                break;
            taken += tickets.size();
            for (const Ticket ticket : tickets)
                EXPECT_EQ(ticket & 0xFFFFFFFF, next[ticket >> 32]++) << "out of its thread's order";
        }
    }
    for (std::thread &pusher : pushers)
        pusher.join();
    EXPECT_EQ(std::count(next.begin(), next.end(), each), static_cast<std::ptrdiff_t>(threads));
    expect_inside(0, 0);
}

/* A push that loses the race against close() keeps its delivery; one that wins is found inside. */
TEST_F(QueueTest, CloseUnderWay)
{
    std::atomic<std::size_t> accepted{0};
    std::vector<std::thread> pushers;
    for (int thread = 0; thread < 4; thread++)
        pushers.emplace_back([&] {
            for (;;) {
                auto delivery = delivery_of(1);
                if (queue.push(delivery, 0) != Queue::Push::done) {
                    EXPECT_NE(delivery, nullptr);
                    return;
                }
                accepted++;
            }
        });
    EXPECT_TRUE(woken(10'000));
    queue.close();
    for (std::thread &pusher : pushers)
        pusher.join();
    EXPECT_EQ(take(UINT_MAX).size(), accepted);
}

} // namespace
} // namespace cxone_sync
