#pragma once

#include "core/published.h"
#include "core/statistics.h"
#include "core/timestamp.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

/*
 * What our processes show of themselves: one structure in the server's shared memory, written by the
 * processes and read by whoever asks, by SQL, by /metrics and by the status page. It holds no pointers and no
 * locks, and may be read by threads that must not call PostgreSQL.
 */
namespace cxone_sync {

/* Schema version and library version go together; a library refuses every other schema. */
inline constexpr const char *library_version = "3.0";

/* Each worker has a slot of its own. */
inline constexpr int max_workers = 16;

/* ---- what every process of ours has ---- */

struct ProcessSlot {
    std::atomic<int> pid{0};
    std::atomic<std::int64_t> started_at{0};
    std::atomic<std::uint64_t> starts{0}; /* since the server started */
    /* It has been asked to end, which it may learn late: set by the signal's handler. */
    std::atomic<bool> is_stopping{false};
    /* Set before the latch of the process: the extension or its configuration has changed. */
    std::atomic<bool> extension_changed{false};
    /* Starts that ended before the process had run for a while, in a row: the next one waits longer. */
    std::atomic<unsigned> quick_failures{0};
};

/* ---- an intake worker ---- */

enum class WorkerState : int { stopped, starting, waiting, running, stopping };
const char *worker_state_name(WorkerState state) noexcept;

/* What a worker needs to take deliveries. */
enum class Check : int { endpoint, extension, schema, database, queue };
inline constexpr int check_count = 5;
const char *check_name(int check) noexcept;

using ProblemText = char[256];

/* Texts are valid UTF-8 and empty where there is nothing to say. */
struct WorkerInfo {
    char address[64];         /* where it takes webhooks */
    char metrics_address[64]; /* and scrapes */
    char schema_version[32];
    char last_error[512];
    std::int64_t last_error_at;          /* Timestamp */
    std::int64_t certificate_expires_at; /* the same, of the one for webhooks; 0: no TLS */
    ProblemText problems[check_count];

    ProblemText &problem(Check check) noexcept { return problems[static_cast<int>(check)]; }
};

struct WorkerSlot : ProcessSlot {
    std::atomic<WorkerState> state{WorkerState::stopped};
    WorkerStatistics statistics;
    Published<WorkerInfo> info; /* the worker's main thread writes it */

    /* Whether the worker that listens hands connections to this one. */
    bool takes_deliveries() const noexcept;
};

/* ---- the registrar ---- */

enum class RegistrationState : int {
    off,          /* there is no cxone_sync.api_url */
    waiting,      /* for the extension, the endpoint or the lock */
    registered,   /* as the service's list showed it at the last check */
    retrying,     /* the last check has failed, and is soon repeated */
    failed,       /* the last check has failed, and waits for a change or for the next regular one */
    unregistered, /* by unregister_data_action() */
    stopped,      /* the registrar does not run; only shown, never written */
};
inline constexpr int registration_state_count = 7;
const char *registration_state_name(RegistrationState state) noexcept;

/* What the registrar shows of itself, and what it knows when it is started again. */
struct RegistrationInfo {
    RegistrationState state;
    bool is_unlisted; /* it was created, and then the list did not show it */
    char remote_id[208];
    char remote_status[64];
    char name[204];
    char endpoint_url[1004];
    int duplicates;
    int others;
    std::int64_t last_check; /* Timestamps; 0 = never */
    std::int64_t next_try;   /* 0 = none is due */
    std::int64_t last_error_at;
    char last_error[512];
    char hint[256];
};

struct RegistrationSlot : ProcessSlot {
    /* Set before the latch: register_data_action() or unregister_data_action() has been called. */
    std::atomic<bool> check_requested{false};
    /* The same: an intake worker has begun or ceased to take deliveries. */
    std::atomic<bool> endpoint_changed{false};
    /* There is something to register; an intake worker says so. */
    std::atomic<bool> is_wanted{false};
    Published<RegistrationInfo> info; /* the registrar writes it */
};

/* ---- dead letters ---- */

/* What is wrong with a dead letter, by the class of its SQLSTATE. */
enum class DeadLetterReason : int { value, constraint, target, raised, other };
inline constexpr int dead_letter_reason_count = 5;
const char *dead_letter_reason_name(int reason) noexcept;
DeadLetterReason dead_letter_reason(std::string_view sqlstate) noexcept;

struct DeadLetterCounts {
    /* so many are counted at most, so that a large table holds nobody up */
    static constexpr std::int64_t limit = 10'000;

    std::int64_t counted_at; /* Timestamp, 0 = not yet */
    std::uint64_t open[dead_letter_reason_count];
};

/* ---- all of it ---- */

/*
 * At 0 when the server starts. Then reset_stats() makes the bank of statistics that is not in use the one in
 * use.
 */
struct Monitoring {
    std::atomic<std::uint64_t> epoch{0};
    std::atomic<std::int64_t> statistics_since[2] = {}; /* Timestamp, by bank */
    /* cxone_sync.workers, fixed when the server starts; the slots after them stay as they are */
    int worker_count = 1;
    WorkerSlot workers[max_workers];
    /* Number, from 1, of the worker that listens and hands connections out to all; 0: none does. */
    std::atomic<int> listener{0};
    RegistrationSlot registration;
    std::atomic<bool> dead_letters_changed{false}; /* to be counted, by the first worker */
    Published<DeadLetterCounts> dead_letters;

    std::span<WorkerSlot> used_workers() noexcept
    {
        return {workers, static_cast<std::size_t>(worker_count)};
    }
    std::span<const WorkerSlot> used_workers() const noexcept
    {
        return {workers, static_cast<std::size_t>(worker_count)};
    }
    StatisticsWriter statistics_of(WorkerSlot &slot) noexcept { return {slot.statistics, epoch}; }
    /*
     * One caller at a time. An event that is being counted at this instant counts as before or after; one
     * whose counting takes until the next reset but one may be counted in part.
     */
    void reset_statistics(Timestamp at) noexcept;
};

/* ---- what a reader sees ---- */

/* What waits, and who is connected. */
struct QueueOverview {
    std::uint64_t connections;
    std::uint64_t deliveries;
    std::uint64_t events;
    std::uint64_t bytes;
    std::uint64_t limit_bytes;
    std::int64_t oldest_waiting_us; /* how long the oldest delivery without an answer has waited; 0 = none */

    void add(const QueueOverview &other) noexcept;
};

struct WorkerOverview {
    int pid; /* 0: it does not run */
    WorkerState state;
    std::int64_t started_at;
    std::uint64_t starts;
    WorkerInfo info; /* with the problems that a reader finds by the gauges */
    bool is_ready;   /* no problem */
    bool takes_deliveries;
    QueueOverview queue;
};

/* Plain data: to be read by C++ as well as by frames that PostgreSQL may leave with a longjmp. */
struct Overview {
    Timestamp at;
    std::int64_t statistics_since;
    bool is_ready; /* every worker that decides it is */
    int worker_count;
    WorkerOverview workers[max_workers];
    QueueOverview queue; /* of all workers, as all that follows */
    StatisticsSnapshot statistics;
    Throughput::Sums throughput;
    DeadLetterCounts dead_letters;
    RegistrationInfo registration;

    /* Whether it takes deliveries, or none does: what comes while one is started again the others take. */
    bool decides_readiness(const WorkerOverview &worker) const noexcept;
    /* Whether every worker that decides readiness has what this check looks at. */
    bool passes(int check) const noexcept;
    std::span<const WorkerOverview> used_workers() const noexcept
    {
        return {workers, static_cast<std::size_t>(worker_count)};
    }
};

void read_worker(const WorkerSlot &slot, Timestamp at, WorkerOverview &worker) noexcept;
void read_overview(const Monitoring &monitoring, Timestamp at, Overview &overview) noexcept;
/* `is_wanted`: there is something to register. */
RegistrationInfo read_registration(const RegistrationSlot &slot, bool is_wanted) noexcept;

/* Copies as much of `text` as there is room for, in whole characters; what is no UTF-8 becomes '?'. */
void set_text(char *target, std::size_t size, std::string_view text) noexcept;
template <std::size_t Size> void set_text(char (&target)[Size], std::string_view text) noexcept
{
    set_text(target, Size, text);
}

} // namespace cxone_sync
