#pragma once

namespace cxone_sync {

/*
 * Each error has to show while its statement runs: at the commit it could not be told whose it is. So no
 * trigger waits for the commit any more. To be called with the caller's identity, and only where
 * refuse_deferred_triggers() would have raised nothing. (In what as_owner() begins nothing can be deferred.)
 */
void check_constraints_at_once();

/*
 * Raises 55000 (object_not_in_prerequisite_state) if triggers of this transaction wait for its end: they
 * would run now, as whoever calls, who need not be the one that has written.
 */
void refuse_deferred_triggers();

} // namespace cxone_sync
