#pragma once

#include "core/counters.h"

#include <atomic>

#include "db/pg.h"
#include "db/unmapped_keys.h"

namespace cxone_sync {

/* Schema version and library version go together; a library refuses every other schema. */
inline constexpr const char *library_version = "3.0";

enum class WorkerState : int { stopped, starting, waiting, running, stopping };

/* What one worker shows of itself. Written by the worker (and its network threads: counters), read by all. */
struct WorkerSlot {
    std::atomic<int> pid{0};
    std::atomic<WorkerState> state{WorkerState::stopped};
    std::atomic<std::int64_t> started_at{0};
    /* Set before the latch of the worker: the extension has changed. */
    std::atomic<bool> extension_changed{false};
    /* Starts that ended before the worker had run for a while, in a row: the next one waits longer. */
    std::atomic<unsigned> quick_failures{0};
    Counters counters;

    slock_t mutex{}; /* guards the texts below */
    char address[64] = "";
    char schema_version[32] = "";
    char last_error[512] = "";
    std::int64_t last_error_at = 0;
};

/* Each worker has a slot of its own; readers loop over all of them. */
inline constexpr int worker_count = 1;

struct SharedState {
    WorkerSlot workers[worker_count];
    UnmappedKeys unmapped_keys{};
};

/* Asks for shared memory at server start; to be called by _PG_init when preloaded. */
void install_shared_state();

/* Makes the workers look at the extension and its configuration anew when the transaction has committed. */
void tell_workers_at_commit();

/* Null when the library was not preloaded. */
SharedState *shared_state() noexcept;

/* Like shared_state(), but raises an error that says what to do. */
SharedState &require_shared_state();

/* Guards SharedState::unmapped_keys; only there when preloaded. */
LWLock *unmapped_keys_lock() noexcept;

void show_address(WorkerSlot &slot, const char *address);
void show_schema_version(WorkerSlot &slot, const char *version);
void show_error(WorkerSlot &slot, const char *message);

/* Wakes every worker after the current transaction has committed a change to the extension. */
void install_extension_watch();

} // namespace cxone_sync
