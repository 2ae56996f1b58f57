#pragma once

namespace cxone_sync {

/* Registers the background worker that takes deliveries; to be called by _PG_init. */
void register_intake_worker(int index);

} // namespace cxone_sync
