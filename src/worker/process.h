#pragma once

namespace cxone_sync {

/* Register our background workers; to be called by _PG_init. */
void register_intake_workers(int count);
void register_registrar();

} // namespace cxone_sync
