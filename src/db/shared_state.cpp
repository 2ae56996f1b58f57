#include "core/monitoring.h"
#include "core/recent_deliveries.h"
#include "db/settings.h"

#include <new>

#include "db/shared_state.h"

namespace cxone_sync {

namespace {

SharedState *state = nullptr;
RecentDeliveries *deliveries = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;
void (*previous_request_hook)(void) = nullptr;
object_access_hook_type previous_access_hook = nullptr;
bool extension_touched = false; /* by this transaction */
bool check_requested = false;   /* the same */
bool letters_changed = false;   /* the same */

void request_shared_memory()
{
    if (previous_request_hook)
        previous_request_hook();
    RequestAddinShmemSpace(add_size(MAXALIGN(sizeof(SharedState)), MAXALIGN(sizeof(RecentDeliveries))));
    RequestNamedLWLockTranche("cxone_sync", 2);
}

void attach_shared_memory()
{
    if (previous_startup_hook)
        previous_startup_hook();

    bool found;
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    void *memory = ShmemInitStruct("cxone_sync", sizeof(SharedState), &found);
    state = found ? static_cast<SharedState *>(memory) : new (memory) SharedState();
    if (!found) {
        state->monitoring.worker_count = settings::workers;
        state->monitoring.statistics_since[0] = GetCurrentTimestamp();
    }
    memory = ShmemInitStruct("cxone_sync deliveries", sizeof(RecentDeliveries), &found);
    deliveries = found ? static_cast<RecentDeliveries *>(memory) : new (memory) RecentDeliveries;
    LWLockRelease(AddinShmemInitLock);
}

/* CREATE, ALTER and DROP EXTENSION come by here: so an idle worker need not look for them. */
void on_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *argument)
{
    if (previous_access_hook)
        previous_access_hook(access, class_id, object_id, sub_id, argument);
    if (class_id == ExtensionRelationId)
        extension_touched = true;
}

void wake(const ProcessSlot &slot)
{
    const int pid = slot.pid;
    PGPROC *process = pid ? BackendPidGetProc(pid) : nullptr;

    if (process)
        SetLatch(&process->procLatch);
}

void tell_of_extension(ProcessSlot &slot)
{
    slot.extension_changed = true;
    wake(slot);
}

/*
 * Nobody is told of the commit of a prepared transaction, which any session may do, or a later server. So it
 * counts when it is prepared: it keeps its locks, and whoever finds the extension locked or missing looks
 * again and again.
 */
void on_transaction_end(XactEvent event, void *)
{
    if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_PREPARE && event != XACT_EVENT_ABORT)
        return;
    const bool committed = event != XACT_EVENT_ABORT;
    Monitoring &shared = state->monitoring;
    if (committed && extension_touched) {
        for (WorkerSlot &slot : shared.used_workers())
            tell_of_extension(slot);
        tell_of_extension(shared.registration);
    }
    if (committed && check_requested) {
        shared.registration.check_requested = true;
        wake(shared.registration);
    }
    if (committed && letters_changed && !shared.dead_letters_changed.exchange(true))
        wake(shared.workers[0]);
    extension_touched = check_requested = letters_changed = false;
}

} // namespace

void tell_workers_at_commit()
{
    extension_touched = true;
}

void request_check_at_commit()
{
    check_requested = true;
}

void count_dead_letters_at_commit()
{
    letters_changed = true;
}

void wake_workers() noexcept
{
    for (const WorkerSlot &slot : state->monitoring.used_workers())
        wake(slot);
}

void tell_registrar_of_endpoint()
{
    state->monitoring.registration.endpoint_changed = true;
    wake(state->monitoring.registration);
}

void install_shared_state()
{
    compat::request_shared_memory_at(request_shared_memory, &previous_request_hook);
    previous_startup_hook = shmem_startup_hook;
    shmem_startup_hook = attach_shared_memory;
}

SharedState *shared_state() noexcept
{
    return state;
}

RecentDeliveries &recent_deliveries() noexcept
{
    return *deliveries;
}

SharedState &require_shared_state()
{
    if (!state)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("cxone_sync is not loaded by the server"),
                        errhint("Add cxone_sync to shared_preload_libraries and restart the server.")));
    return *state;
}

LWLock *unmapped_keys_lock() noexcept
{
    return &GetNamedLWLockTranche("cxone_sync")[0].lock;
}

LWLock *reset_lock() noexcept
{
    return &GetNamedLWLockTranche("cxone_sync")[1].lock;
}

void show_error(WorkerSlot &slot, const char *message)
{
    const std::int64_t at = GetCurrentTimestamp();

    slot.info.change([message, at](WorkerInfo &info) {
        set_text(info.last_error, message);
        info.last_error_at = at;
    });
}

void install_extension_watch()
{
    previous_access_hook = object_access_hook;
    object_access_hook = on_object_access;
    RegisterXactCallback(on_transaction_end, nullptr);
}

} // namespace cxone_sync
