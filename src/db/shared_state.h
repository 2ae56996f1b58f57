#pragma once

#include "core/monitoring.h"

#include "db/pg.h"
#include "db/unmapped_keys.h"

namespace cxone_sync {

class RecentDeliveries;

/* What we have in the server's shared memory, but for recent_deliveries(). */
struct SharedState {
    Monitoring monitoring;
    UnmappedKeys unmapped_keys{};
};

/* Asks for shared memory at server start; to be called by _PG_init when preloaded. */
void install_shared_state();

/* Makes our processes look at the extension and its configuration anew when the transaction has committed. */
void tell_workers_at_commit();
/* Makes the registrar check the registration when the transaction has committed. */
void request_check_at_commit();
/* Has the dead letters counted anew when the transaction has committed. */
void count_dead_letters_at_commit();
/* Has every intake worker look whether another one listens. */
void wake_workers() noexcept;
/* An intake worker has begun or ceased to take deliveries. */
void tell_registrar_of_endpoint();

/* Null when the library was not preloaded. */
SharedState *shared_state() noexcept;

/* In shared memory as well; only there when preloaded. */
RecentDeliveries &recent_deliveries() noexcept;

/* Like shared_state(), but raises an error that says what to do. */
SharedState &require_shared_state();

/* These guard SharedState::unmapped_keys and resets of statistics; only there when preloaded. */
LWLock *unmapped_keys_lock() noexcept;
LWLock *reset_lock() noexcept;

/* For the main thread of the process whose slot it is. */
void show_error(WorkerSlot &slot, const char *message);

/* Wakes our processes after the current transaction has committed a change to the extension. */
void install_extension_watch();

} // namespace cxone_sync
