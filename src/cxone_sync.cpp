/*
 * cxone_sync: NICE CXone contact records in PostgreSQL, current and complete.
 *
 * Where things are: http/ takes requests, core/ parses and maps them, db/ writes them, worker/ runs the
 * processes, cxone/ knows the service. Data flows one way: http, core, queue, db, commit, reply.
 */

#include "core/monitoring.h"
#include "db/settings.h"
#include "worker/process.h"

#include "db/shared_state.h"

extern "C" {
PG_MODULE_MAGIC;
void _PG_init(void);
}

void _PG_init(void)
{
    using namespace cxone_sync;

    /* pg_upgrade moves the catalogs as they are: nobody must write meanwhile */
    if (IsBinaryUpgrade)
        return;

    settings::define(process_shared_preload_libraries_in_progress);
    /* loaded by a session that calls ingest(): there is no worker, and too late for one */
    if (!process_shared_preload_libraries_in_progress)
        return;

    install_shared_state();
    install_extension_watch();
    register_intake_workers(settings::workers);
    register_registrar();
}
