/* The registration with CXone as SQL sees it; the extension's script documents the functions. */

#include "core/monitoring.h"
#include "db/registration_settings.h"
#include "db/settings.h"

#include "db/registration.h"

#include "db/extension.h"
#include "db/output_row.h"
#include "db/shared_state.h"
extern "C" {
#include "access/xlog.h"
#include "common/hashfn.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_data_action);
PG_FUNCTION_INFO_V1(cxone_sync_register_data_action);
PG_FUNCTION_INFO_V1(cxone_sync_unregister_data_action);
}

namespace cxone_sync {

namespace {

constexpr const char *table = "unregistration";

Datum lock_key()
{
    constexpr char name[] = "cxone_sync.data_action";

    return hash_any_extended(reinterpret_cast<const unsigned char *>(name), sizeof(name) - 1, 0);
}

void require_set_up()
{
    (void)require_shared_state();
    if (!settings::registration_is_set_up())
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("cxone_sync.api_url is not set"),
                 errhint("Set it, cxone_sync.endpoint_url, cxone_sync.client_id and "
                         "cxone_sync.client_secret_file, and reload the configuration.")));
    if (other_database() != nullptr)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the registration is made by database \"%s\"", other_database()),
                        errhint("Call the function there, or set cxone_sync.database.")));
    lock_extension();
}

const char *why_stopped()
{
    return RecoveryInProgress() ? "a standby registers nothing before its promotion"
                                : "the registrar does not run: the server's log says why, or "
                                  "max_worker_processes is too small";
}

} // namespace

bool is_unregistered()
{
    return execute_as_owner(table, "SELECT FROM cxone_sync.unregistration") > 0;
}

bool try_registration_lock()
{
    return DatumGetBool(DirectFunctionCall1(pg_try_advisory_lock_int8, lock_key()));
}

void release_registration_lock()
{
    (void)DirectFunctionCall1(pg_advisory_unlock_int8, lock_key());
}

} // namespace cxone_sync

using namespace cxone_sync;

Datum cxone_sync_register_data_action(PG_FUNCTION_ARGS)
{
    require_set_up();
    (void)execute_as_owner(table, "DELETE FROM cxone_sync.unregistration");
    request_check_at_commit();
    PG_RETURN_VOID();
}

Datum cxone_sync_unregister_data_action(PG_FUNCTION_ARGS)
{
    require_set_up();
    (void)execute_as_owner(table,
                           "INSERT INTO cxone_sync.unregistration DEFAULT VALUES ON CONFLICT DO NOTHING");
    request_check_at_commit();
    PG_RETURN_VOID();
}

Datum cxone_sync_data_action(PG_FUNCTION_ARGS)
{
    const RegistrationSlot &slot = require_shared_state().monitoring.registration;
    TupleDesc row;

    RegistrationInfo info = read_registration(slot, settings::registration_is_set_up());
    if (info.state == RegistrationState::stopped && info.last_error[0] == '\0')
        strlcpy(info.last_error, why_stopped(), sizeof(info.last_error));
    if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");

    OutputRow columns;
    columns.add_text(registration_state_name(info.state));
    columns.add_text(info.name);
    columns.add_text(info.remote_id);
    columns.add_text(info.endpoint_url);
    columns.add_text(info.remote_status);
    columns.add(Int32GetDatum(info.duplicates));
    columns.add(Int32GetDatum(info.others));
    columns.add_time(info.last_check);
    columns.add_time(info.next_try);
    columns.add_text(info.last_error);
    columns.add_text(info.hint);
    columns.add_time(info.last_error_at);
    return columns.make(row);
}
