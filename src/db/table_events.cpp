/* What we know of tables goes with them, and follows their columns: the functions of the event triggers. */

#include "core/shape.h"
#include "cxone/contract.h"

#include "db/extension.h"
#include "db/guard.h"
#include "db/spi.h"
#include "db/target.h"
extern "C" {
#include "commands/event_trigger.h"
#include "nodes/parsenodes.h"
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
constexpr const char *forget_names_statement =
    "DELETE FROM cxone_sync.lasting_names WHERE relation = ANY (ARRAY("
    "SELECT o.objid FROM pg_event_trigger_dropped_objects() AS o "
    "WHERE o.classid = 'pg_class'::regclass AND o.objsubid = 0))";

/* The next two return tables and a column's name. */
constexpr const char *dropped_query =
    "WITH gone AS (SELECT objid, objsubid, address_names FROM pg_event_trigger_dropped_objects() "
    "WHERE classid = 'pg_class'::regclass) SELECT objid, address_names[3] FROM gone "
    "WHERE objsubid > 0 AND objid NOT IN (SELECT objid FROM gone WHERE objsubid = 0)";

/*
 * Those one of whose columns has got another name: the table of the command, or those of its type, and all
 * their children.
 */
constexpr const char *renamed_query =
    "WITH RECURSIVE named AS (SELECT objid FROM pg_event_trigger_ddl_commands() "
    "WHERE classid = 'pg_class'::regclass), below(relation) AS ("
    "SELECT objid FROM named UNION "
    "SELECT d.objid FROM named JOIN pg_class AS r ON r.oid = named.objid AND r.relkind = 'c' "
    "JOIN pg_depend AS d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = r.reltype "
    "AND d.classid = 'pg_class'::regclass JOIN pg_class AS t ON t.oid = d.objid AND t.reloftype = r.reltype "
    "UNION SELECT i.inhrelid FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.relation) "
    "SELECT relation, $1 FROM below";

constexpr const char *target_query = "SELECT FROM cxone_sync.target_config WHERE relation = $1";
constexpr const char *deletion_query = "SELECT FROM cxone_sync.tombstones WHERE relation = $1 LIMIT 1";

/* What is known by a column's name is not of the next column that gets it. The same commands give the same
 * names. */
constexpr const char *new_name_statement =
    "INSERT INTO cxone_sync.lasting_names AS n VALUES ($1, $2, $2 || ' (column 2 of this name)', 2) "
    "ON CONFLICT (relation, column_name) DO UPDATE SET uses = n.uses + 1, "
    "lasting_name = n.column_name || ' (column ' || n.uses + 1 || ' of this name)'";
constexpr const char *same_name_statement =
    "INSERT INTO cxone_sync.lasting_names AS n SELECT $1, $3, "
    "COALESCE((SELECT o.lasting_name FROM cxone_sync.lasting_names AS o "
    "WHERE o.relation = $1 AND o.column_name = $2), $2), 1 "
    "ON CONFLICT (relation, column_name) DO UPDATE SET lasting_name = excluded.lasting_name";

/* The targets of a table whose configuration names a column. */
constexpr const char *naming_query =
    "SELECT c.name FROM cxone_sync.target_config AS c WHERE c.relation = $1 AND ("
    "$2 = ANY (c.key_columns || c.kept_columns || ARRAY[c.order_column, c.mark_column]) OR EXISTS ("
    "SELECT FROM cxone_sync.field_map AS f WHERE f.target = c.name AND f.column_name = $2))";
constexpr const char *rename_in_config_statement =
    "UPDATE cxone_sync.target_config SET key_columns = array_replace(key_columns, $2, $3), "
    "kept_columns = array_replace(kept_columns, $2, $3), "
    "order_column = CASE order_column WHEN $2 THEN $3 ELSE order_column END, "
    "mark_column = CASE mark_column WHEN $2 THEN $3 ELSE mark_column END WHERE relation = $1";
/* What was mapped by the new name was a column that is gone. */
constexpr const char *unmap_statement =
    "DELETE FROM cxone_sync.field_map AS f USING cxone_sync.target_config AS c, cxone_sync.field_map AS o "
    "WHERE c.relation = $1 AND f.target = c.name AND f.column_name = $3 "
    "AND o.target = c.name AND o.column_name = $2";
constexpr const char *rename_in_map_statement =
    "UPDATE cxone_sync.field_map AS f SET column_name = $3 FROM cxone_sync.target_config AS c "
    "WHERE c.relation = $1 AND f.target = c.name AND f.column_name = $2";

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
void forget_in(const char *name, const char *statement)
{
    OwnTable table;
    PgError error;

    if (!find_own_table(name, NoLock, table, error) ||
        !ConditionalLockRelationOid(table.relation, RowExclusiveLock) ||
        !find_own_table(name, NoLock, table, error))
        return;
    (void)run_as(table.owner, statement);
}

/* ---- columns are dropped or renamed ---- */

/* Whether a query with the table as its parameter finds anything. */
bool finds_any(Oid owner, const char *query, Oid relation)
{
    Oid type = REGCLASSOID;
    Datum value = ObjectIdGetDatum(relation);

    return run_as(owner, query, 1, &type, &value)->numvals > 0;
}

bool is_of_target(Oid relation)
{
    return finds_any(own_table("target_config", AccessShareLock).owner, target_query, relation);
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

/* Without a wait: where it cannot be seen there may be some, as a name too many does no harm. */
bool may_have_deletions(Oid relation)
{
    OwnTable tombstones;
    PgError error;

    if (!find_own_table("tombstones", NoLock, tombstones, error))
        return false;
    return !ConditionalLockRelationOid(tombstones.relation, AccessShareLock) ||
           finds_any(tombstones.owner, deletion_query, relation);
}

/* Whether times or deletions may know a column of the table: they outlive its targets. */
bool is_known(Oid relation)
{
    return is_of_target(relation) || is_in_field_order(relation) || may_have_deletions(relation);
}

/* Of one of the rows that the queries find: a table and a column's name; and perhaps another name. */
struct NameParameters {
    Oid types[3] = {REGCLASSOID, TEXTOID, TEXTOID};
    Datum values[3] = {};

    NameParameters(const SPITupleTable *found, uint64 row, Datum new_name)
    {
        bool is_null;

        for (int i = 0; i < 2; i++)
            values[i] = SPI_getbinval(found->vals[row], found->tupdesc, i + 1, &is_null);
        values[2] = new_name;
    }
    Oid relation() const { return DatumGetObjectId(values[0]); }
};

void give_new_name(Oid relation, Datum name)
{
    Oid types[] = {REGCLASSOID, TEXTOID};
    Datum values[] = {ObjectIdGetDatum(relation), name};

    (void)execute_as_owner("lasting_names", new_name_statement, lengthof(values), types, values);
}

void rename_in(const char *table, const char *statement, NameParameters &parameters)
{
    (void)execute_as_owner(table, statement, lengthof(parameters.values), parameters.types,
                           parameters.values);
}

/* What is kept at the name extra are the times of members, which are no column's. */
void keep_name(NameParameters &parameters, const RenameStmt *statement)
{
    if (strcmp(statement->subname, contract::extra_column) == 0 ||
        strcmp(statement->newname, contract::extra_column) == 0)
        give_new_name(parameters.relation(), parameters.values[2]);
    else
        rename_in("lasting_names", same_name_statement, parameters);
    give_new_name(parameters.relation(), parameters.values[1]);
}

void forget_dropped_columns(Oid owner)
{
    const SPITupleTable *dropped = run_as(owner, dropped_query);

    for (uint64 i = 0; i < dropped->numvals; i++) {
        const NameParameters parameters(dropped, i, 0);

        if (is_known(parameters.relation()))
            give_new_name(parameters.relation(), parameters.values[1]);
    }
}

void rename_in_config(NameParameters &parameters, const RenameStmt *statement)
{
    const SPITupleTable *targets = run_as(own_table("target_config", AccessShareLock).owner, naming_query, 2,
                                          parameters.types, parameters.values);

    if (targets->numvals == 0)
        return;
    rename_in("target_config", rename_in_config_statement, parameters);
    rename_in("field_map", unmap_statement, parameters);
    rename_in("field_map", rename_in_map_statement, parameters);
    for (uint64 i = 0; i < targets->numvals; i++)
        ereport(NOTICE, (errmsg("target \"%s\" follows its column \"%s\", which is \"%s\" now",
                                SPI_getvalue(targets->vals[i], targets->tupdesc, 1), statement->subname,
                                statement->newname)));
}

void rename_columns(Oid owner, const RenameStmt *statement)
{
    Oid type = TEXTOID;
    Datum old_name = CStringGetTextDatum(statement->subname);
    const SPITupleTable *renamed = run_as(owner, renamed_query, 1, &type, &old_name);

    for (uint64 i = 0; i < renamed->numvals; i++) {
        NameParameters parameters(renamed, i, CStringGetTextDatum(statement->newname));

        if (!is_known(parameters.relation()))
            continue;
        keep_name(parameters, statement);
        rename_in_config(parameters, statement);
    }
}

/* ---- tables are renamed ---- */

void tell_of_moved_targets()
{
    const SPITupleTable *moved = run_as(own_table("target_config", AccessShareLock).owner, moved_query);

    for (uint64 i = 0; i < moved->numvals; i++)
        ereport(NOTICE, (errmsg("target \"%s\" follows its table, which is %s now",
                                SPI_getvalue(moved->vals[i], moved->tupdesc, 1),
                                SPI_getvalue(moved->vals[i], moved->tupdesc, 2)),
                         errhint("cxone_sync.change_target() gives it another one.")));
}

bool renames_column(const Node *command)
{
    return IsA(command, RenameStmt) &&
           (castNode(RenameStmt, const_cast<Node *>(command))->renameType == OBJECT_COLUMN ||
            castNode(RenameStmt, const_cast<Node *>(command))->renameType == OBJECT_ATTRIBUTE);
}

/*
 * Runs `keep_up` with the owner of our tables, if they are there. An error, such as a full disk, is no reason
 * to refuse the command: a warning tells what has failed.
 */
template <typename KeepUp> Datum follow(const char *failure, KeepUp keep_up)
{
    OwnTable config = {};
    PgError error;

    const bool is_sound = find_own_table("target_config", NoLock, config, error);
    const Oid owner = config.owner;
    const bool ok = is_sound && in_any_subtransaction(CurrentMemoryContext, error, [owner, keep_up] {
                        connect_spi();
                        keep_up(owner);
                        SPI_finish();
                    });
    if (!ok && ERRCODE_TO_CATEGORY(error.sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
        raise(error);
    if (!ok && OidIsValid(config.relation))
        ereport(WARNING, (errcode(error.sqlerrcode), errmsg("%s", failure), errdetail("%s", error.message),
                          error.hint[0] != '\0' ? errhint("%s", error.hint) : 0));
    return PointerGetDatum(nullptr);
}

} // namespace

/* On sql_drop. */
Datum cxone_sync_tables_dropped(PG_FUNCTION_ARGS)
{
    check_event_trigger(fcinfo);
    return follow("could not forget what was known of a table or a column that is dropped", [](Oid owner) {
        forget_dropped_columns(owner);
        forget_in("tombstones", forget_statement);
        forget_in("lasting_names", forget_names_statement);
    });
}

/* On ddl_command_end. */
Datum cxone_sync_names_changed(PG_FUNCTION_ARGS)
{
    check_event_trigger(fcinfo);
    Node *command = reinterpret_cast<EventTriggerData *>(fcinfo->context)->parsetree;
    if (!IsA(command, RenameStmt) && !IsA(command, AlterObjectSchemaStmt))
        return PointerGetDatum(nullptr);
    return follow("could not keep what was known by a name that has changed", [command](Oid owner) {
        if (renames_column(command))
            rename_columns(owner, castNode(RenameStmt, command));
        else
            tell_of_moved_targets();
    });
}
