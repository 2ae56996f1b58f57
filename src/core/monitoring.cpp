#include "core/monitoring.h"

#include "core/sqlstate.h"
#include "core/utf8.h"

#include <algorithm>
#include <cstdio>

namespace cxone_sync {

namespace {

/* A queue that is so full will soon send senders away: time for a balancer to choose another server. */
constexpr std::uint64_t queue_mark_percent = 80;
/* A batch takes milliseconds; one that takes so long waits for something, such as a synchronous standby. */
constexpr std::int64_t slow_batch_us = 10 * us_per_second;

constexpr const char *worker_states[] = {"stopped", "starting", "waiting", "running", "stopping"};
constexpr const char *checks[] = {"endpoint", "extension", "schema", "database", "queue"};
constexpr const char *registration_states[] = {"off",    "waiting",      "registered", "retrying",
                                               "failed", "unregistered", "stopped"};
constexpr const char *reasons[] = {"value", "constraint", "target", "raised", "other"};
static_assert(std::size(checks) == check_count);
static_assert(std::size(registration_states) == registration_state_count);
static_assert(std::size(reasons) == dead_letter_reason_count);

std::int64_t age_of_oldest(const Gauges &gauges, Timestamp at) noexcept
{
    const std::int64_t queued = gauges.oldest_queued.load(std::memory_order_relaxed);
    const std::int64_t in_batch = gauges.oldest_in_batch.load(std::memory_order_relaxed);
    const std::int64_t oldest = queued == 0 || (in_batch != 0 && in_batch < queued) ? in_batch : queued;

    return oldest == 0 ? 0 : std::max<std::int64_t>(at - oldest, 0);
}

void find_problems(const WorkerSlot &slot, Timestamp at, WorkerOverview &worker) noexcept
{
    const Gauges &gauges = slot.statistics.gauges;
    ProblemText &endpoint = worker.info.problem(Check::endpoint);
    ProblemText &database = worker.info.problem(Check::database);
    ProblemText &queue = worker.info.problem(Check::queue);
    const std::int64_t batch_began = gauges.batch_began.load(std::memory_order_relaxed);

    if (worker.pid == 0)
        set_text(endpoint, "the worker does not run");
    else if (slot.is_stopping.load(std::memory_order_relaxed))
        set_text(endpoint, "the worker is stopping");
    if (worker.pid != 0 && batch_began != 0 && at - batch_began >= slow_batch_us)
        snprintf(database, sizeof(database), "a batch has been being written for %lld s",
                 static_cast<long long>((at - batch_began) / us_per_second));
    if (worker.queue.bytes * 100 > worker.queue.limit_bytes * queue_mark_percent)
        snprintf(queue, sizeof(queue), "%llu of %llu kB are in use",
                 static_cast<unsigned long long>(worker.queue.bytes / 1024),
                 static_cast<unsigned long long>(worker.queue.limit_bytes / 1024));
}

bool has_no_problem(const WorkerOverview &worker) noexcept
{
    return std::all_of(std::begin(worker.info.problems), std::end(worker.info.problems),
                       [](const ProblemText &problem) { return problem[0] == '\0'; });
}

/* One worker listens for all: its addresses, and what keeps it from having them, are those of the others. */
void share_listener(int number, Overview &overview) noexcept
{
    for (int i = 0; i < overview.worker_count; i++) {
        WorkerOverview &worker = overview.workers[i];
        ProblemText &problem = worker.info.problem(Check::endpoint);

        if (i + 1 == number || worker.pid == 0 || problem[0] != '\0')
            continue;
        if (number == 0) {
            set_text(problem, "no worker listens");
        } else {
            WorkerInfo &listener = overview.workers[number - 1].info;
            set_text(worker.info.address, listener.address);
            set_text(worker.info.metrics_address, listener.metrics_address);
            set_text(problem, listener.problem(Check::endpoint));
        }
        worker.is_ready = has_no_problem(worker);
    }
}

} // namespace

const char *worker_state_name(WorkerState state) noexcept
{
    return worker_states[static_cast<int>(state)];
}

const char *check_name(int check) noexcept
{
    return checks[check];
}

const char *registration_state_name(RegistrationState state) noexcept
{
    return registration_states[static_cast<int>(state)];
}

const char *dead_letter_reason_name(int reason) noexcept
{
    return reasons[reason];
}

DeadLetterReason dead_letter_reason(std::string_view sqlstate) noexcept
{
    switch (kind_of_error(sqlstate)) {
    case ErrorKind::value:
        return DeadLetterReason::value;
    case ErrorKind::constraint:
        return DeadLetterReason::constraint;
    case ErrorKind::target:
    case ErrorKind::extension: /* the table, not the extension, is not as it has to be */
        return DeadLetterReason::target;
    case ErrorKind::raised:
        return DeadLetterReason::raised;
    default:
        return DeadLetterReason::other;
    }
}

void Monitoring::reset_statistics(Timestamp at) noexcept
{
    const std::uint64_t next = epoch.load(std::memory_order_relaxed) + 1;

    for (WorkerSlot &slot : used_workers())
        slot.statistics.banks[next & 1].clear();
    statistics_since[next & 1].store(at, std::memory_order_relaxed);
    epoch.store(next, std::memory_order_release);
}

void QueueOverview::add(const QueueOverview &other) noexcept
{
    connections += other.connections;
    deliveries += other.deliveries;
    events += other.events;
    bytes += other.bytes;
    limit_bytes += other.limit_bytes;
    oldest_waiting_us = std::max(oldest_waiting_us, other.oldest_waiting_us);
}

bool WorkerSlot::takes_deliveries() const noexcept
{
    const WorkerState now = state.load(std::memory_order_relaxed);

    return (now == WorkerState::running || now == WorkerState::waiting) &&
           !is_stopping.load(std::memory_order_relaxed) && pid.load(std::memory_order_relaxed) != 0;
}

bool Overview::decides_readiness(const WorkerOverview &worker) const noexcept
{
    return worker.takes_deliveries || std::ranges::none_of(used_workers(), &WorkerOverview::takes_deliveries);
}

bool Overview::passes(int check) const noexcept
{
    return std::ranges::all_of(used_workers(), [this, check](const WorkerOverview &worker) {
        return !decides_readiness(worker) || worker.info.problems[check][0] == '\0';
    });
}

void read_worker(const WorkerSlot &slot, Timestamp at, WorkerOverview &worker) noexcept
{
    const Gauges &gauges = slot.statistics.gauges;

    worker.pid = slot.pid.load(std::memory_order_relaxed);
    worker.state = slot.state.load(std::memory_order_relaxed);
    worker.started_at = slot.started_at.load(std::memory_order_relaxed);
    worker.starts = slot.starts.load(std::memory_order_relaxed);
    worker.info = slot.info.get();
    worker.queue = {.connections = gauges.connections.load(std::memory_order_relaxed),
                    .deliveries = gauges.queued_deliveries.load(std::memory_order_relaxed) +
                                  gauges.waiting_deliveries.load(std::memory_order_relaxed),
                    .events = gauges.queued_events.load(std::memory_order_relaxed) +
                              gauges.waiting_events.load(std::memory_order_relaxed),
                    .bytes = gauges.queued_bytes.load(std::memory_order_relaxed),
                    .limit_bytes = gauges.queue_limit_bytes.load(std::memory_order_relaxed),
                    .oldest_waiting_us = age_of_oldest(gauges, at)};
    worker.takes_deliveries = slot.takes_deliveries();
    find_problems(slot, at, worker);
    worker.is_ready = has_no_problem(worker);
}

RegistrationInfo read_registration(const RegistrationSlot &slot, bool is_wanted) noexcept
{
    RegistrationInfo info = slot.info.get();

    if (is_wanted && slot.pid.load(std::memory_order_relaxed) == 0) {
        info.state = RegistrationState::stopped;
        info.next_try = 0;
    }
    return info;
}

void read_overview(const Monitoring &monitoring, Timestamp at, Overview &overview) noexcept
{
    overview.at = at;
    overview.queue = {};
    overview.throughput = {};
    overview.worker_count = monitoring.worker_count;
    for (int i = 0; i < overview.worker_count; i++)
        read_worker(monitoring.workers[i], at, overview.workers[i]);
    share_listener(monitoring.listener.load(std::memory_order_relaxed), overview);
    for (int i = 0; i < overview.worker_count; i++) {
        const WorkerSlot &slot = monitoring.workers[i];
        overview.queue.add(overview.workers[i].queue);
        slot.statistics.throughput.add_to(overview.throughput, at);
    }
    overview.is_ready =
        std::ranges::all_of(overview.used_workers(), [&overview](const WorkerOverview &worker) {
            return !overview.decides_readiness(worker) || worker.is_ready;
        });
    overview.dead_letters = monitoring.dead_letters.get();
    overview.registration = read_registration(
        monitoring.registration, monitoring.registration.is_wanted.load(std::memory_order_relaxed));

    std::uint64_t epoch;
    do { /* a copy that a reset has come into is none */
        epoch = monitoring.epoch.load(std::memory_order_acquire);
        overview.statistics = {};
        overview.statistics_since = monitoring.statistics_since[epoch & 1].load(std::memory_order_relaxed);
        for (const WorkerSlot &slot : monitoring.used_workers())
            slot.statistics.banks[epoch & 1].add_to(overview.statistics);
    } while (monitoring.epoch.load(std::memory_order_acquire) != epoch);
}

void set_text(char *target, std::size_t size, std::string_view text) noexcept
{
    const bool is_utf8 = is_valid_utf8(text);
    std::size_t length = std::min(text.size(), size - 1);

    if (is_utf8 && length < text.size()) {
        /* back to the first byte of the character that does not fit */
        while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80)
            length--;
    }
    for (std::size_t i = 0; i < length; i++)
        target[i] = !is_utf8 && static_cast<unsigned char>(text[i]) >= 0x80 ? '?' : text[i];
    target[length] = '\0';
}

} // namespace cxone_sync
