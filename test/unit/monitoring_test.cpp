#include "core/monitoring.h"

#include "core/utf8.h"
#include "parsed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

namespace cxone_sync {
namespace {

constexpr Timestamp at = arrival;

/* A server's shared memory, as it is when the server starts. */
struct Shared {
    std::unique_ptr<Monitoring> memory = std::make_unique<Monitoring>();
    Monitoring &monitoring = *memory;
    WorkerSlot &slot = monitoring.workers[0];
    StatisticsWriter writer = monitoring.statistics_of(slot);

    explicit Shared(int workers = 1)
    {
        monitoring.worker_count = workers;
        monitoring.listener = 1;
    }

    std::unique_ptr<Overview> read(Timestamp when = at) const
    {
        auto overview = std::make_unique<Overview>();
        std::memset(static_cast<void *>(overview.get()), 0xFF, sizeof(Overview));
        read_overview(monitoring, when, *overview);
        return overview;
    }
    std::string problem(Check check, Timestamp when = at) const
    {
        return read(when)->workers[0].info.problem(check);
    }
};

/* ---- counting ---- */

TEST(Monitoring, ACommittedDelivery)
{
    Shared shared;
    ParsedBody body(R"({"events":[{"id":"a","timestamp":"2024-05-01T11:59:50Z"},{"id":"b"},)"
                    R"({"timestamp":"2024-05-01T11:00:00Z"},{"id":"c","timestamp":"never"}]})",
                    mapping_of({target_of("contacts", {"id", "updated_ts"})}));
    Delivery &delivery = body.delivery;
    ASSERT_EQ(delivery.events.size(), 4u);
    delivery.received = arrival;
    delivery.events[0].outcome = Outcome::skipped;
    delivery.events[1].outcome = Outcome::applied;
    delivery.events[2].outcome = delivery.events[3].outcome = Outcome::dead_lettered;
    shared.writer.count_committed(delivery, delivery.counts(), arrival + second);

    const auto overview = shared.read(arrival + second);
    const StatisticsSnapshot &statistics = overview->statistics;
    EXPECT_EQ(statistics.of(Counter::deliveries_committed), 1u);
    EXPECT_EQ(statistics.of(Counter::events_applied), 1u);
    EXPECT_EQ(statistics.of(Counter::events_skipped), 1u);
    EXPECT_EQ(statistics.of(Counter::events_dead_lettered), 2u);
    for (const LagSnapshot *lag : {&statistics.success, &statistics.failure}) {
        EXPECT_EQ(lag->event.count, 2u);
        EXPECT_EQ(lag->intake.count, 2u);
        EXPECT_EQ(lag->intake.max_us, second);
        EXPECT_EQ(lag->last_commit, arrival + second);
    }
    EXPECT_EQ(statistics.success.event.max_us, 11 * second);
    /* what is refused has its own time all the same, if it can be read */
    EXPECT_EQ(statistics.failure.event.max_us, 3601 * second);
    EXPECT_EQ(statistics.failure.event.sum_us, 3602 * second);
    EXPECT_EQ(overview->throughput.back(), 4u);
}

TEST(Monitoring, EveryRefusalHasAReason)
{
    const auto reason = [](int status) { return std::string(counter_name(refusal_counter(status)).reason); };
    EXPECT_EQ(reason(400), "malformed_http");
    EXPECT_EQ(reason(404), "path");
    EXPECT_EQ(reason(405), "method");
    EXPECT_EQ(reason(408), "timeout");
    for (const int status : {413, 414, 431})
        EXPECT_EQ(reason(status), "too_large");
    EXPECT_EQ(reason(415), "encoding");
    EXPECT_EQ(reason(503), "queue_full");
    for (const int status : {411, 417, 501, 505})
        EXPECT_EQ(reason(status), "malformed_http");
}

/* ---- reset ---- */

TEST(Monitoring, AResetBeginsAllAnew)
{
    constexpr int workers = 3;
    Shared shared(workers);
    shared.monitoring.statistics_since[0] = 5;
    for (int round = 0; round < 5; round++) {
        for (WorkerSlot &slot : shared.monitoring.used_workers()) {
            StatisticsWriter writer = shared.monitoring.statistics_of(slot);
            for (std::size_t i = 0; i < counter_count; i++)
                writer.count(static_cast<Counter>(i), i + 1);
            for (LagStatistics *lag : {&writer.current().success, &writer.current().failure}) {
                lag->event.record(second);
                lag->count_commit(1, 2 * second, at);
            }
        }
        const auto before = shared.read();
        EXPECT_EQ(before->statistics.of(Counter::rollbacks), std::size_t{workers} * counter_count);
        EXPECT_EQ(before->statistics.success.event.count, std::uint64_t{workers});
        EXPECT_EQ(before->statistics.failure.intake.max_us, 2 * second);

        shared.monitoring.reset_statistics(at + round);
        const auto after = shared.read();
        EXPECT_EQ(after->statistics_since, at + round);
        EXPECT_EQ(after->statistics.counters, CounterValues{});
        for (const LagSnapshot *lag : {&after->statistics.success, &after->statistics.failure}) {
            for (const LagHistogram::Snapshot *histogram : {&lag->event, &lag->intake}) {
                EXPECT_EQ(histogram->count, 0u);
                EXPECT_EQ(histogram->sum_us, 0);
                EXPECT_EQ(histogram->max_us, 0);
                EXPECT_EQ(histogram->buckets, LagHistogram::Snapshot().buckets);
            }
            EXPECT_EQ(lag->last_commit, 0);
        }
    }
}

/*
 * A figure that a reset has ended may miss what was being counted, but nothing comes back after it. What is
 * asked of writers is that none takes as long over one event as from one reset to the next.
 */
TEST(Monitoring, ResetsWhileWritersCount)
{
    Shared shared;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> written[2] = {};
    std::vector<std::thread> writers;
    for (std::atomic<std::uint64_t> &own : written)
        writers.emplace_back([&] {
            StatisticsWriter writer = shared.writer;
            for (; !stop; own++) {
                Statistics &statistics = writer.current();
                statistics.count(Counter::events_applied);
                statistics.success.event.record(second);
            }
        });

    std::uint64_t seen = 0, absurd = 0;
    Timestamp since = 0;
    for (int reset = 1; reset <= 1'000 || seen == 0; reset++) {
        const auto overview = shared.read();
        const LagHistogram::Snapshot &lag = overview->statistics.success.event;
        const std::uint64_t events = overview->statistics.of(Counter::events_applied);
        seen += events;
        absurd += overview->statistics_since != since;
        absurd += lag.sum_us < static_cast<std::int64_t>(lag.count) * second;
        absurd += lag.count > 0 && lag.max_us != second;
        since = reset;
        shared.monitoring.reset_statistics(since);
        for (const std::atomic<std::uint64_t> &own : written)
            for (const std::uint64_t before = own; own < before + 2;)
                std::this_thread::yield();
    }
    stop = true;
    for (std::thread &writer : writers)
        writer.join();
    seen += shared.read()->statistics.of(Counter::events_applied);
    EXPECT_LE(seen, written[0] + written[1]) << "something was counted twice";
    EXPECT_EQ(absurd, 0u);

    /* and when nobody writes, two resets leave nothing of it in either bank */
    for (int i = 0; i < 2; i++) {
        shared.monitoring.reset_statistics(at);
        EXPECT_EQ(shared.read()->statistics.of(Counter::events_applied), 0u);
        EXPECT_EQ(shared.read()->statistics.success.event.count, 0u);
    }
}

/* ---- readiness ---- */

TEST(Monitoring, AServerThatHasJustStarted)
{
    const Shared shared;
    const auto overview = shared.read();
    EXPECT_FALSE(overview->is_ready);
    EXPECT_FALSE(overview->workers[0].is_ready);
    EXPECT_STREQ(overview->workers[0].info.problem(Check::endpoint), "the worker does not run");
    EXPECT_EQ(overview->workers[0].pid, 0);
    EXPECT_EQ(overview->workers[0].state, WorkerState::stopped);
    EXPECT_EQ(overview->dead_letters.counted_at, 0);
    EXPECT_EQ(overview->registration.state, RegistrationState::off);
    EXPECT_EQ(overview->queue.oldest_waiting_us, 0);
}

TEST(Monitoring, ProblemsByWhatTheWorkerSays)
{
    Shared shared;
    shared.slot.pid = 42;
    EXPECT_TRUE(shared.read()->is_ready);
    for (int i = 0; i < check_count; i++) {
        shared.slot.info.change([i](WorkerInfo &info) { set_text(info.problems[i], "something"); });
        EXPECT_FALSE(shared.read()->is_ready) << check_name(i);
        shared.slot.info.change([i](WorkerInfo &info) { set_text(info.problems[i], ""); });
    }
    EXPECT_TRUE(shared.read()->is_ready);
    shared.slot.is_stopping = true; /* whatever else its main thread does before it sees that */
    EXPECT_EQ(shared.problem(Check::endpoint), "the worker is stopping");
    shared.slot.pid = 0;
    EXPECT_EQ(shared.problem(Check::endpoint), "the worker does not run");
}

TEST(Monitoring, TheQueuesMark)
{
    Shared shared;
    Gauges &gauges = shared.writer.gauges();
    shared.slot.pid = 42;
    gauges.queue_limit_bytes = 1'000'000;
    gauges.queued_bytes = 800'000;
    EXPECT_EQ(shared.problem(Check::queue), "");
    gauges.queued_bytes = 800'001;
    EXPECT_EQ(shared.problem(Check::queue), "781 of 976 kB are in use");
    EXPECT_FALSE(shared.read()->is_ready);
    /* a limit that was lowered while more waited */
    gauges.queued_bytes = 5'000'000;
    EXPECT_NE(shared.problem(Check::queue), "");
    gauges.queued_bytes = 0;
    EXPECT_TRUE(shared.read()->is_ready);
}

TEST(Monitoring, ASlowBatch)
{
    Shared shared;
    Gauges &gauges = shared.writer.gauges();
    shared.slot.pid = 42;
    gauges.oldest_in_batch = at - 3 * second;
    gauges.batch_began = at;
    EXPECT_EQ(shared.problem(Check::database, at + 10 * second - 1), "");
    EXPECT_EQ(shared.problem(Check::database, at + 10 * second), "a batch has been being written for 10 s");
    EXPECT_EQ(shared.problem(Check::database, at + 99 * second), "a batch has been being written for 99 s");
    EXPECT_EQ(shared.read(at + 10 * second)->queue.oldest_waiting_us, 13 * second);
    /* of a worker that is not there, that is the problem */
    shared.slot.pid = 0;
    EXPECT_EQ(shared.problem(Check::database, at + 99 * second), "");
    shared.slot.pid = 42;
    gauges.batch_began = 0;
    gauges.oldest_in_batch = 0;
    EXPECT_TRUE(shared.read(at + 99 * second)->is_ready);
}

TEST(Monitoring, TheOldestThatWaits)
{
    Shared shared;
    Gauges &gauges = shared.writer.gauges();
    const auto oldest = [&shared] { return shared.read()->queue.oldest_waiting_us; };
    gauges.oldest_queued = at - 5;
    EXPECT_EQ(oldest(), 5);
    gauges.oldest_in_batch = at - 7;
    EXPECT_EQ(oldest(), 7);
    gauges.oldest_queued = at - 9; /* the clock was set back between them */
    EXPECT_EQ(oldest(), 9);
    gauges.oldest_queued = 0;
    EXPECT_EQ(oldest(), 7);
    gauges.oldest_in_batch = at + 5;
    EXPECT_EQ(oldest(), 0) << "not negative";
}

/* ---- the overview ---- */

TEST(Monitoring, OneWorkerListensForAll)
{
    Shared shared(3);
    for (WorkerSlot &slot : shared.monitoring.used_workers())
        slot.pid = 7;
    shared.monitoring.listener = 2;
    shared.monitoring.workers[1].info.change([](WorkerInfo &info) {
        set_text(info.address, "127.0.0.1:8080");
        set_text(info.metrics_address, "127.0.0.1:9090");
    });
    const auto all_up = shared.read();
    EXPECT_TRUE(all_up->is_ready);
    for (const WorkerOverview &worker : all_up->used_workers()) {
        EXPECT_STREQ(worker.info.address, "127.0.0.1:8080");
        EXPECT_STREQ(worker.info.metrics_address, "127.0.0.1:9090");
    }

    shared.monitoring.workers[1].info.change(
        [](WorkerInfo &info) { set_text(info.problem(Check::endpoint), "in use"); });
    shared.monitoring.workers[2].info.change(
        [](WorkerInfo &info) { set_text(info.problem(Check::endpoint), "its own"); });
    const auto one_down = shared.read();
    EXPECT_STREQ(one_down->workers[0].info.problem(Check::endpoint), "in use");
    EXPECT_FALSE(one_down->workers[0].is_ready);
    EXPECT_STREQ(one_down->workers[2].info.problem(Check::endpoint), "its own");

    shared.monitoring.listener = 0;
    EXPECT_EQ(shared.problem(Check::endpoint), "no worker listens");
    shared.slot.pid = 0;
    EXPECT_EQ(shared.problem(Check::endpoint), "the worker does not run");
}

TEST(Monitoring, AWorkerThatTakesNoDeliveriesKeepsNobodyFromReadiness)
{
    Shared shared(2);
    WorkerSlot &other = shared.monitoring.workers[1];
    shared.monitoring.listener = 1;
    shared.slot.pid = 7;
    shared.slot.state = WorkerState::running;
    EXPECT_TRUE(shared.read()->is_ready) << "the other one does not run";
    EXPECT_FALSE(shared.read()->workers[1].is_ready);
    EXPECT_TRUE(shared.read()->passes(static_cast<int>(Check::endpoint)));

    other.pid = 8;
    other.state = WorkerState::starting;
    other.info.change([](WorkerInfo &info) { set_text(info.problem(Check::schema), "too old"); });
    EXPECT_TRUE(shared.read()->is_ready);
    other.state = WorkerState::waiting; /* from here on it is handed connections */
    EXPECT_FALSE(shared.read()->is_ready);
    EXPECT_FALSE(shared.read()->passes(static_cast<int>(Check::schema)));
    EXPECT_TRUE(shared.read()->passes(static_cast<int>(Check::endpoint)));
    other.is_stopping = true;
    EXPECT_TRUE(shared.read()->is_ready);

    shared.slot.state = WorkerState::stopped;
    shared.slot.pid = 0;
    EXPECT_FALSE(shared.read()->is_ready) << "none takes deliveries";
    EXPECT_FALSE(shared.read()->passes(static_cast<int>(Check::endpoint)));
}

TEST(Monitoring, TheOverviewAddsUpWorkers)
{
    constexpr int workers = 3;
    Shared shared(workers);
    for (int i = 0; i < workers; i++) {
        WorkerSlot &slot = shared.monitoring.workers[i];
        StatisticsWriter writer = shared.monitoring.statistics_of(slot);
        slot.pid = 100 + i;
        slot.starts = 2;
        slot.started_at = at - second;
        slot.state = WorkerState::running;
        writer.count(Counter::batches, 3);
        writer.gauges().connections = 4;
        writer.gauges().queued_deliveries = 5;
        writer.gauges().queued_events = 6;
        writer.gauges().queued_bytes = 7;
        writer.gauges().queue_limit_bytes = 800;
        writer.gauges().oldest_queued = at - 9 - i;
        slot.statistics.throughput.count(10, at);
    }
    constexpr std::uint64_t n = workers;
    const auto overview = shared.read();
    EXPECT_EQ(overview->statistics.of(Counter::batches), 3 * n);
    EXPECT_EQ(overview->queue.connections, 4 * n);
    EXPECT_EQ(overview->queue.deliveries, 5 * n);
    EXPECT_EQ(overview->queue.events, 6 * n);
    EXPECT_EQ(overview->queue.bytes, 7 * n);
    EXPECT_EQ(overview->queue.limit_bytes, 800 * n);
    EXPECT_EQ(overview->queue.oldest_waiting_us, 9 + workers - 1);
    EXPECT_EQ(overview->throughput.back(), 10 * n);
    EXPECT_EQ(overview->at, at);
    EXPECT_TRUE(overview->is_ready);
    EXPECT_EQ(overview->workers[workers - 1].pid, 100 + workers - 1);
    EXPECT_EQ(overview->workers[0].starts, 2u);

    QueueOverview sum = overview->queue;
    sum.add({.connections = 1,
             .deliveries = 1,
             .events = 1,
             .bytes = 1,
             .limit_bytes = 1,
             .oldest_waiting_us = 99});
    EXPECT_EQ(sum.connections, 4 * n + 1);
    EXPECT_EQ(sum.limit_bytes, 800 * n + 1);
    EXPECT_EQ(sum.oldest_waiting_us, 99) << "the oldest of all, no sum";
}

TEST(Monitoring, ARegistrarThatDoesNotRun)
{
    Shared shared;
    RegistrationSlot &slot = shared.monitoring.registration;
    slot.info.change([](RegistrationInfo &info) {
        info.state = RegistrationState::registered;
        info.next_try = at;
    });
    EXPECT_EQ(shared.read()->registration.state, RegistrationState::registered) << "not wanted";
    slot.is_wanted = true;
    EXPECT_EQ(shared.read()->registration.state, RegistrationState::stopped);
    EXPECT_EQ(shared.read()->registration.next_try, 0);
    slot.pid = 7;
    EXPECT_EQ(shared.read()->registration.state, RegistrationState::registered);
    EXPECT_EQ(shared.read()->registration.next_try, at);
}

TEST(Monitoring, NamesAreDistinct)
{
    for (int i = 0; i < check_count; i++)
        for (int j = 0; j < i; j++)
            EXPECT_STRNE(check_name(i), check_name(j));
    for (int i = 0; i < dead_letter_reason_count; i++)
        for (int j = 0; j < i; j++)
            EXPECT_STRNE(dead_letter_reason_name(i), dead_letter_reason_name(j));
    for (std::size_t i = 0; i < counter_count; i++)
        for (std::size_t j = 0; j < i; j++) {
            const CounterName &a = counter_name(static_cast<Counter>(i));
            const CounterName &b = counter_name(static_cast<Counter>(j));
            EXPECT_FALSE(std::string(a.name) == b.name && std::string(a.outcome) == b.outcome &&
                         std::string(a.reason) == b.reason);
        }
    EXPECT_STREQ(worker_state_name(WorkerState::stopping), "stopping");
    EXPECT_STREQ(registration_state_name(RegistrationState::stopped), "stopped");
}

TEST(Monitoring, ReasonsOfDeadLetters)
{
    const auto reason = [](std::string_view sqlstate) {
        return std::string(dead_letter_reason_name(static_cast<int>(dead_letter_reason(sqlstate))));
    };
    for (const char *state : {"22P02", "22001", "22007", "22"})
        EXPECT_EQ(reason(state), "value") << state;
    for (const char *state : {"23502", "23505", "23514"})
        EXPECT_EQ(reason(state), "constraint") << state;
    for (const char *state : {"02000", "3F000", "42P01", "42703", "55000"})
        EXPECT_EQ(reason(state), "target") << state;
    for (const char *state : {"P0001", "P0002"})
        EXPECT_EQ(reason(state), "raised") << state;
    for (const char *state : {"", "2", "XX000", "54000", "0A000", "40001", "p0001", "\xFF\xFF", "99999"})
        EXPECT_EQ(reason(state), "other") << state;
}

/* ---- texts ---- */

template <std::size_t Size> std::string fitted(std::string_view text)
{
    char target[Size];
    std::memset(target, 'x', sizeof(target));
    set_text(target, text);
    return target;
}

TEST(SetText, FitsAsItIs)
{
    EXPECT_EQ(fitted<1>(""), "");
    EXPECT_EQ(fitted<1>("a"), "");
    EXPECT_EQ(fitted<4>("abc"), "abc");
    EXPECT_EQ(fitted<4>("abcd"), "abc");
    EXPECT_EQ(fitted<8>("h\xC3\xA9t\xC3\xA9"), "h\xC3\xA9t\xC3\xA9");
}

TEST(SetText, NeverCutsACharacter)
{
    const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
    EXPECT_EQ(fitted<3>(text), "a");
    EXPECT_EQ(fitted<4>(text), "a\xC3\xA9");
    EXPECT_EQ(fitted<5>(text), "a\xC3\xA9");
    EXPECT_EQ(fitted<6>(text), "a\xC3\xA9");
    EXPECT_EQ(fitted<7>(text), "a\xC3\xA9\xE2\x82\xAC");
    EXPECT_EQ(fitted<8>(text), "a\xC3\xA9\xE2\x82\xAC");
    EXPECT_EQ(fitted<10>(text), "a\xC3\xA9\xE2\x82\xAC");
    EXPECT_EQ(fitted<11>(text), "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    EXPECT_EQ(fitted<12>(text), text);
    EXPECT_EQ(fitted<3>("\xF0\x9F\x98\x80"), "");
}

TEST(SetText, WhatIsNoUtf8BecomesPlain)
{
    EXPECT_EQ(fitted<16>("h\xE9t\xE9"), "h?t?");
    EXPECT_EQ(fitted<16>("\xED\xA0\x80\xC0\x80"), "?????");
    for (int c = 0x80; c < 0x100; c++) {
        const std::string text(1, static_cast<char>(c));
        EXPECT_EQ(fitted<16>(text), "?");
        EXPECT_TRUE(is_valid_utf8(fitted<3>("abc" + text)));
        EXPECT_TRUE(is_valid_utf8(fitted<4>("\xC3\xA9" + text + text)));
    }
}

} // namespace
} // namespace cxone_sync
