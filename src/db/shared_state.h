#pragma once

#include "core/counters.h"

#include <atomic>

#include "db/pg.h"
#include "db/unmapped_keys.h"

namespace cxone_sync {

/* Schema version and library version go together; a library refuses every other schema. */
inline constexpr const char *library_version = "3.0";

enum class WorkerState : int { stopped, starting, waiting, running, stopping };

/* What every process of ours has. */
struct ProcessSlot {
    std::atomic<int> pid{0};
    std::atomic<std::int64_t> started_at{0};
    /* Set before the latch of the process: the extension or its configuration has changed. */
    std::atomic<bool> extension_changed{false};
    /* Starts that ended before the process had run for a while, in a row: the next one waits longer. */
    std::atomic<unsigned> quick_failures{0};
};

/*
 * What one intake worker shows of itself. Written by the worker (and its network threads: counters), read by
 * all.
 */
struct WorkerSlot : ProcessSlot {
    std::atomic<WorkerState> state{WorkerState::stopped};
    Counters counters;

    slock_t mutex{}; /* guards the texts below */
    char address[64] = "";
    char schema_version[32] = "";
    char last_error[512] = "";
    std::int64_t last_error_at = 0;
};

enum class RegistrationState : int {
    off,          /* there is no cxone_sync.api_url */
    waiting,      /* for the extension, the endpoint or the lock */
    registered,   /* as the service's list showed it at the last check */
    retrying,     /* the last check has failed, and is soon repeated */
    failed,       /* the last check has failed, and waits for a change or for the next regular one */
    unregistered, /* by unregister_data_action() */
};

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
    slock_t mutex{}; /* guards what follows */
    RegistrationInfo info{};
};

/* Each worker has a slot of its own; readers loop over all of them. */
inline constexpr int worker_count = 1;

struct SharedState {
    WorkerSlot workers[worker_count];
    RegistrationSlot registration;
    UnmappedKeys unmapped_keys{};
};

/* Asks for shared memory at server start; to be called by _PG_init when preloaded. */
void install_shared_state();

/* Makes our processes look at the extension and its configuration anew when the transaction has committed. */
void tell_workers_at_commit();
/* Makes the registrar check the registration when the transaction has committed. */
void request_check_at_commit();
/* An intake worker has begun or ceased to take deliveries. */
void tell_registrar_of_endpoint();

/* Null when the library was not preloaded. */
SharedState *shared_state() noexcept;

/* Like shared_state(), but raises an error that says what to do. */
SharedState &require_shared_state();

/* Guards SharedState::unmapped_keys; only there when preloaded. */
LWLock *unmapped_keys_lock() noexcept;

void show_address(WorkerSlot &slot, const char *address);
void show_schema_version(WorkerSlot &slot, const char *version);
void show_error(WorkerSlot &slot, const char *message);

RegistrationInfo registration_info();
void show_registration(const RegistrationInfo &info);

/* Wakes our processes after the current transaction has committed a change to the extension. */
void install_extension_watch();

} // namespace cxone_sync
