/* What we know of tables goes with them, and follows their columns: the functions of the event triggers. */

#include "core/shape.h"
#include "cxone/contract.h"

#include "db/extension.h"
#include "db/guard.h"
#include "db/identity.h"
#include "db/spi.h"
#include "db/target.h"
extern "C" {
#include "commands/event_trigger.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_tables_dropped);
PG_FUNCTION_INFO_V1(cxone_sync_names_changed);
}

using namespace cxone_sync;

namespace {

/* Those that a purge under way has locked will be gone anyway. */
constexpr const char *forget_statement =
    "DELETE FROM cxone_sync.tombstones WHERE ctid = ANY (ARRAY("
    "SELECT t.ctid FROM cxone_sync.tombstones AS t WHERE t.relation = ANY (ARRAY("
    "SELECT o.objid FROM pg_event_trigger_dropped_objects() AS o "
    "WHERE o.classid = 'pg_class'::regclass AND o.objsubid = 0)) FOR UPDATE SKIP LOCKED))";

/*
 * The tables one of whose columns has got another name, and whether they are targets': the table of the
 * command, or those of its type, and all their children.
 */
constexpr const char *renamed_query =
    "WITH RECURSIVE named AS (SELECT objid FROM pg_event_trigger_ddl_commands() "
    "WHERE classid = 'pg_class'::regclass), below(relation) AS ("
    "SELECT objid FROM named UNION "
    "SELECT d.objid FROM named JOIN pg_class AS r ON r.oid = named.objid AND r.relkind = 'c' "
    "JOIN pg_depend AS d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = r.reltype "
    "AND d.classid = 'pg_class'::regclass JOIN pg_class AS t ON t.oid = d.objid AND t.reloftype = r.reltype "
    "UNION SELECT i.inhrelid FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.relation) "
    "SELECT relation, relation IN (SELECT c.relation FROM cxone_sync.target_config AS c) FROM below";

/* What has a column's new name was of one that was dropped before. */
constexpr const char *forget_name_statement =
    "DELETE FROM cxone_sync.tombstones WHERE relation = ANY ($1) AND $3 = ANY (key_columns)";
constexpr const char *rename_statement =
    "UPDATE cxone_sync.tombstones SET key_columns = array_replace(key_columns, $2, $3) "
    "WHERE relation = ANY ($1) AND $2 = ANY (key_columns)";
/* %s: the table. A time of extra is an object, which is no column's. */
constexpr const char *rename_time_statement =
    "UPDATE %s SET field_times = nullif(field_times - ARRAY[$1, $2] || "
    "CASE WHEN field_times ? $1 AND 'extra' <> ALL (ARRAY[$1, $2]) "
    "THEN jsonb_build_object($2, field_times -> $1) ELSE '{}' END, '{}') "
    "WHERE field_times ?| ARRAY[$1, $2]";

constexpr const char *moved_query =
    "SELECT c.name, c.relation::text FROM cxone_sync.target_config AS c WHERE c.relation IN ("
    "SELECT objid FROM pg_event_trigger_ddl_commands() "
    "WHERE classid = 'pg_class'::regclass AND objsubid = 0)";

void check_event_trigger(FunctionCallInfo fcinfo)
{
    if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("%s() is an event trigger", get_func_name(fcinfo->flinfo->fn_oid))));
}

/* ---- tables are dropped ---- */

/* Whoever drops a table waits for nobody because of us. */
void forget_dropped_tables()
{
    OwnTable tombstones;
    PgError error;

    if (!find_own_table("tombstones", NoLock, tombstones, error) ||
        !ConditionalLockRelationOid(tombstones.relation, RowExclusiveLock) ||
        !find_own_table("tombstones", NoLock, tombstones, error))
        return;
    connect_spi();
    const SavedIdentity saved = as_owner(tombstones.owner);
    run_spi(forget_statement, 0, nullptr, nullptr, nullptr, SPI_OK_DELETE);
    back_to(saved);
    SPI_finish();
}

/* ---- columns are renamed ---- */

struct Renamed {
    int count;
    Datum *relations;
    bool *are_targets;
};

/* In SPI's memory context. With the rights of the configuration's owner. */
Renamed find_renamed()
{
    bool is_null;

    run_spi(renamed_query, 0, nullptr, nullptr, nullptr, SPI_OK_SELECT);
    const auto count = static_cast<int>(SPI_processed);
    Renamed renamed = {.count = count,
                       .relations = static_cast<Datum *>(palloc(Max(count, 1) * sizeof(Datum))),
                       .are_targets = static_cast<bool *>(palloc(Max(count, 1) * sizeof(bool)))};
    for (int i = 0; i < count; i++) {
        renamed.relations[i] = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null);
        renamed.are_targets[i] =
            DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &is_null));
    }
    SPI_freetuptable(SPI_tuptable);
    return renamed;
}

/* A tombstone belongs to a key, whatever its columns are called. */
void rename_in_tombstones(const Renamed &renamed, const RenameStmt *statement)
{
    OwnTable tombstones;
    PgError error;

    if (!find_own_table("tombstones", RowExclusiveLock, tombstones, error))
        return;
    Oid types[] = {OIDARRAYOID, TEXTOID, TEXTOID};
    Datum values[] = {PointerGetDatum(construct_array(renamed.relations, renamed.count, OIDOID, sizeof(Oid),
                                                      true, TYPALIGN_INT)),
                      CStringGetTextDatum(statement->subname), CStringGetTextDatum(statement->newname)};
    const SavedIdentity saved = as_owner(tombstones.owner);
    run_spi(forget_name_statement, lengthof(values), types, values, nullptr, SPI_OK_DELETE);
    run_spi(rename_statement, lengthof(values), types, values, nullptr, SPI_OK_UPDATE);
    back_to(saved);
}

bool is_in_field_order(Oid relation)
{
    HeapTuple tuple = SearchSysCacheAttName(relation, contract::field_times_column);

    if (!HeapTupleIsValid(tuple))
        return false;
    const bool holds_times = is_field_times(reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple)));
    ReleaseSysCache(tuple);
    return holds_times;
}

/*
 * As the table's owner, whoever renames: the rows' triggers are that owner's code. A superuser's table is no
 * target that could be used.
 */
void rename_in_rows(Oid relation, const RenameStmt *statement)
{
    Oid types[] = {TEXTOID, TEXTOID};
    Datum values[] = {CStringGetTextDatum(statement->subname), CStringGetTextDatum(statement->newname)};
    const Oid owner = owner_of(relation);

    if (superuser_arg(owner) || !is_in_field_order(relation))
        return;
    const char *table =
        quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
    const SavedIdentity saved = as_owner(owner);
    run_spi(psprintf(rename_time_statement, table), lengthof(values), types, values, nullptr, SPI_OK_UPDATE);
    back_to(saved);
}

void rename_columns(const OwnTable &config, const RenameStmt *statement)
{
    const SavedIdentity saved = as_owner(config.owner);
    const Renamed renamed = find_renamed();
    back_to(saved);
    if (renamed.count == 0)
        return;
    rename_in_tombstones(renamed, statement);
    for (int i = 0; i < renamed.count; i++) {
        if (renamed.are_targets[i])
            rename_in_rows(DatumGetObjectId(renamed.relations[i]), statement);
    }
}

/* ---- tables are renamed ---- */

void tell_of_moved_targets(const OwnTable &config)
{
    const SavedIdentity saved = as_owner(config.owner);

    run_spi(moved_query, 0, nullptr, nullptr, nullptr, SPI_OK_SELECT);
    back_to(saved);
    for (uint64 i = 0; i < SPI_processed; i++)
        ereport(NOTICE, (errmsg("target \"%s\" follows its table, which is %s now",
                                SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1),
                                SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2)),
                         errhint("cxone_sync.change_target() gives it another one.")));
}

bool renames_column(const Node *command)
{
    return IsA(command, RenameStmt) &&
           (castNode(RenameStmt, const_cast<Node *>(command))->renameType == OBJECT_COLUMN ||
            castNode(RenameStmt, const_cast<Node *>(command))->renameType == OBJECT_ATTRIBUTE);
}

} // namespace

/* On sql_drop. An error, such as a full disk, is no reason to keep the table. */
Datum cxone_sync_tables_dropped(PG_FUNCTION_ARGS)
{
    PgError error;

    check_event_trigger(fcinfo);
    if (!in_any_subtransaction(CurrentMemoryContext, error, forget_dropped_tables)) {
        if (ERRCODE_TO_CATEGORY(error.sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
            raise(error);
        ereport(WARNING, (errcode(error.sqlerrcode),
                          errmsg("could not forget the deletions in a table that is dropped"),
                          errdetail("%s", error.message)));
    }
    return PointerGetDatum(nullptr);
}

/* On ddl_command_end. */
Datum cxone_sync_names_changed(PG_FUNCTION_ARGS)
{
    OwnTable config;
    PgError error;

    check_event_trigger(fcinfo);
    Node *command = reinterpret_cast<EventTriggerData *>(fcinfo->context)->parsetree;
    if ((!IsA(command, RenameStmt) && !IsA(command, AlterObjectSchemaStmt)) ||
        !find_own_table("target_config", AccessShareLock, config, error))
        return PointerGetDatum(nullptr);
    connect_spi();
    if (renames_column(command))
        rename_columns(config, castNode(RenameStmt, command));
    else
        tell_of_moved_targets(config);
    SPI_finish();
    return PointerGetDatum(nullptr);
}
