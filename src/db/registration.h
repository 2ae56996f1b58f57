#pragma once

#include "db/pg.h"

namespace cxone_sync {

/* What the database has to say about the registration with CXone. Plain frames, in a transaction. */

/* Whether unregister_data_action() is in force. */
bool is_unregistered();

/*
 * The advisory lock that whoever registers holds: hashtextextended('cxone_sync.data_action', 0) in the
 * worker's database. It is the session's and outlives the transaction, since no transaction is open while the
 * service is asked.
 */
bool try_registration_lock();
void release_registration_lock();

} // namespace cxone_sync
