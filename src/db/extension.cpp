#include "core/monitoring.h"
#include "db/settings.h"

#include "db/catalog_scan.h"
#include "db/extension.h"
#include "db/guard.h"
#include "db/identity.h"
#include "db/shared_state.h"
#include "db/spi.h"
extern "C" {
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "storage/lock.h"
#include "utils/reltrigger.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_check_schema);
PG_FUNCTION_INFO_V1(cxone_sync_reset_privileges);
PG_FUNCTION_INFO_V1(cxone_sync_copy_privileges);
PG_FUNCTION_INFO_V1(cxone_sync_other_database);
}

namespace cxone_sync {

namespace {

char extension_version[32] = "";

/*
 * Looks the extension up and keeps its version; InvalidOid if it is not there. In the catalog itself: the
 * worker is woken by the commit of CREATE EXTENSION, just before that tells other sessions' caches (xact.c),
 * and since PostgreSQL 18 get_extension_oid() asks such a cache.
 */
Oid find_extension()
{
    ScanKeyData key;
    bool is_null = true;
    Oid extension = InvalidOid;

    extension_version[0] = '\0';
    Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
    ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
                CStringGetDatum(extension_name));
    SysScanDesc scan = systable_beginscan(catalog, ExtensionNameIndexId, true, nullptr, 1, &key);
    HeapTuple tuple = systable_getnext(scan);
    if (HeapTupleIsValid(tuple)) {
        Datum version =
            heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &is_null);
        extension = reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple))->oid;
        if (!is_null)
            text_to_cstring_buffer(DatumGetTextPP(version), extension_version, sizeof(extension_version));
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
    return extension;
}

/* By the numbers of a version a.b; below 0 if it is lower than the library's, above if it is higher. */
int compare_with_library(const char *version)
{
    int major = 0;
    int minor = 0;
    int library_major = 0;
    int library_minor = 0;

    sscanf(version, "%d.%d", &major, &minor);
    sscanf(library_version, "%d.%d", &library_major, &library_minor);
    if (major != library_major)
        return major < library_major ? -1 : 1;
    return minor < library_minor ? -1 : minor > library_minor ? 1 : 0;
}

[[noreturn]] void refuse_version()
{
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("extension \"%s\" has version %s, its library needs version %s", extension_name,
                    extension_version, library_version),
             extension_is_older()
                 ? errhint("Run ALTER EXTENSION cxone_sync UPDATE, or set cxone_sync.auto_upgrade.")
                 : errhint("Install the package of cxone_sync %s for PostgreSQL %d and restart the server.",
                           extension_version, PG_VERSION_NUM / 10000)));
}

/* InvalidOid: our schema has none of that name. */
Oid find_relation(const char *name)
{
    const Oid schema = get_namespace_oid(extension_name, true);

    return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/* A lock on one of them holds up the deliveries of all targets: it is told which one it is. */
void lock_own_table(const char *name, Oid relation, LOCKMODE lock)
{
    PgError error;

    if (guarded(error, [relation, lock] { LockRelationOid(relation, lock); }))
        return;
    if (error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE) {
        snprintf(error.message, sizeof(error.message), "table \"cxone_sync.%s\" is locked", name);
        strlcpy(error.hint, "Look for who holds the lock in pg_locks.", sizeof(error.hint));
    }
    raise(error);
}

/*
 * DROP EXTENSION comes for this lock first, before it has any that we need. Somebody who just holds it must
 * not stop us, so it is waited for only as long as a DROP EXTENSION takes for which nothing is in the way.
 */
void await_extension(Oid extension)
{
    LOCKTAG tag;
    PgError error;

    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension, 0);
    if (LockAcquire(&tag, AccessShareLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
        return;
    const int level = NewGUCNestLevel();
    pin_setting("lock_timeout", "20");
    const bool ok = in_any_subtransaction(CurrentMemoryContext, error, [extension] {
        LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
    });
    AtEOXact_GUC(false, level);
    if (!ok && error.sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
        raise(error);
}

/*
 * The lock on its table keeps DROP EXTENSION away until the transaction ends. It may have come first, so the
 * extension is looked up once more. The lock on the extension itself would do as well, but anybody can hold
 * that one, by ALTER FUNCTION ... DEPENDS ON EXTENSION.
 */
void lock_present_extension()
{
    const Oid seen = find_extension();
    const Oid config = find_relation("target_config");

    if (OidIsValid(seen))
        await_extension(seen);
    if (OidIsValid(config))
        lock_own_table("target_config", config, AccessShareLock);
    if (!OidIsValid(seen) || find_extension() != seen)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("extension \"%s\" does not exist in database \"%s\"", extension_name,
                               get_database_name(MyDatabaseId)),
                        errhint("Run CREATE EXTENSION cxone_sync there, or set cxone_sync.database.")));
    if (strcmp(extension_version, library_version) != 0)
        refuse_version();
}

/* JSON is UTF-8 (RFC 8259 section 8.1), and values go into tables byte for byte. */
void check_encoding()
{
    if (GetDatabaseEncoding() != PG_UTF8)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("database \"%s\" has encoding %s, cxone_sync needs UTF8",
                               get_database_name(MyDatabaseId), GetDatabaseEncodingName()),
                        errhint("Create a database with ENCODING 'UTF8' and set cxone_sync.database.")));
}

/* ---- whose code is on our tables ---- */

bool refuse(PgError &error, const char *message, const char *hint)
{
    error.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    clip_text(error.message, sizeof(error.message), message);
    clip_text(error.hint, sizeof(error.hint), hint);
    return false;
}

/*
 * Whoever holds TRIGGER may name any function that everybody may execute, also a superuser's, with arguments
 * and a condition of their own: so only our functions are trusted, and they take no arguments. What a foreign
 * key does to the rows that refer to ours fires the triggers there.
 */
bool is_trusted(const Trigger &trigger)
{
    if (trigger.tgqual != nullptr)
        return false;
    if (trigger.tgisinternal && RI_FKey_trigger_type(trigger.tgfoid) != RI_TRIGGER_NONE)
        return superuser_arg(owner_of(trigger.tgconstrrelid));
    return trigger.tgnargs == 0 && is_member(ProcedureRelationId, trigger.tgfoid);
}

/*
 * Whether the table keeps what it is given, and all that runs when it is written is ours; if not, `error`
 * says so. Most code on a table, such as defaults, constraints, indexes, rules and policies, only its owner
 * can put there; but others can be granted TRIGGER and REFERENCES. What an owner has left who was none is not
 * searched for, but for rules and children, which cost nothing to see.
 */
bool is_sound(Relation table, PgError &error)
{
    const char *name = RelationGetRelationName(table);
    /* a copy: whoever looks into a catalog may meet an invalidation, which makes the relation's own anew */
    const TriggerDesc *triggers = CopyTriggerDesc(table->trigdesc);

    if (!superuser_arg(table->rd_rel->relowner))
        return refuse(
            error,
            psprintf("table \"cxone_sync.%s\" is owned by role \"%s\", who is no superuser", name,
                     GetUserNameFromId(table->rd_rel->relowner, true)),
            psprintf("Look what triggers, rules, defaults, constraints and indexes it has been given. "
                     "Then run ALTER TABLE cxone_sync.%s OWNER TO a superuser.",
                     name));
    if (table->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
        return refuse(
            error, psprintf("table \"cxone_sync.%s\" is unlogged", name),
            psprintf("Its rows would not survive a crash. Run ALTER TABLE cxone_sync.%s SET LOGGED.", name));
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; i++) {
        if (!is_trusted(triggers->triggers[i]))
            return refuse(
                error,
                psprintf("trigger \"%s\" on table \"cxone_sync.%s\" may run code of others",
                         triggers->triggers[i].tgname, name),
                "Drop it, or the foreign key that it serves, and revoke TRIGGER and REFERENCES on the table: "
                "it may have the extension's own triggers and no others.");
    }
    if (table->rd_rules != nullptr ||
        (table->rd_rel->relhassubclass && find_inheritance_children(RelationGetRelid(table), NoLock) != NIL))
        return refuse(error, psprintf("table \"cxone_sync.%s\" has rules or child tables", name),
                      "Drop them.");
    return true;
}

/* ---- what the scripts run as a superuser ---- */

/* Nobody can put code on them until the script is done. */
void check_own_tables()
{
    for_each_dependent(
        ExtensionRelationId, get_extension_oid(extension_name, false), [](const FormData_pg_depend &member) {
            PgError error;

            if (member.classid != RelationRelationId || get_rel_relkind(member.objid) != RELKIND_RELATION)
                return;
            Relation table = table_open(member.objid, ShareRowExclusiveLock);
            if (!is_sound(table, error))
                raise(error);
            table_close(table, NoLock);
        });
}

/* Functions, operators and types of others in our schema. The bootstrap superuser is recorded nowhere. */
constexpr const char *others_query =
    "SELECT pg_describe_object(d.classid, d.objid, 0), r.rolname "
    "FROM pg_depend AS d JOIN pg_shdepend AS s ON s.classid = d.classid AND s.objid = d.objid "
    "AND s.deptype = 'o' AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "JOIN pg_roles AS r ON r.oid = s.refobjid "
    "WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'cxone_sync'::regnamespace "
    "AND d.classid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass) "
    "AND NOT r.rolsuper ORDER BY 1 LIMIT 1";

/*
 * Takes from everybody but its owner what default privileges have given them: on each member of the extension
 * that came with or after the function $1, the first thing that a script creates, and on the schema if that
 * is the first member of all and CREATE EXTENSION has made the schema. Commands are told apart by their
 * numbers, which go on where one transaction runs several scripts.
 */
constexpr const char *revoke_query =
    "WITH own AS (SELECT refclassid, refobjid, xmin, cmin FROM pg_depend "
    "WHERE classid = 'pg_proc'::regclass AND objid = $1 AND deptype = 'e'), "
    "member AS (SELECT d.classid, d.objid, d.xmin = own.xmin "
    "AND d.cmin::text::bigint >= own.cmin::text::bigint AS is_new "
    "FROM own JOIN pg_depend AS d ON d.refclassid = own.refclassid AND d.refobjid = own.refobjid "
    "AND d.deptype = 'e'), "
    "object (name, owner, acl) AS ("
    "SELECT 'TABLE ' || c.oid::regclass, relowner, relacl FROM pg_class AS c "
    "JOIN member ON classid = 'pg_class'::regclass AND objid = c.oid AND is_new "
    "UNION ALL SELECT 'ROUTINE ' || p.oid::regprocedure, proowner, "
    "coalesce(proacl, acldefault('f', proowner)) FROM pg_proc AS p "
    "JOIN member ON classid = 'pg_proc'::regclass AND objid = p.oid AND is_new "
    "UNION ALL SELECT 'SCHEMA ' || n.nspname, nspowner, nspacl FROM pg_namespace AS n, own "
    "WHERE nspname = 'cxone_sync' AND n.xmin = own.xmin "
    "AND NOT EXISTS (SELECT FROM member WHERE NOT is_new)) "
    "SELECT format('REVOKE ALL ON %s FROM %s', o.name, string_agg(DISTINCT "
    "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', ')) "
    "FROM object AS o, aclexplode(o.acl) AS a WHERE a.grantee <> o.owner GROUP BY o.name ORDER BY o.name";

/* Grants on the function $2 what others than its owner have on $1. */
constexpr const char *copy_query =
    "SELECT format('GRANT EXECUTE ON FUNCTION %s TO %s%s', $2::regprocedure, "
    "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, "
    "CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END) "
    "FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a "
    "WHERE p.oid = $1 AND a.grantee <> p.proowner ORDER BY 1";

/* Runs each statement that the query makes, as whoever runs the script. */
void run_made_statements(const char *query, int count, Datum *objects)
{
    Oid types[] = {OIDOID, OIDOID};

    connect_spi();
    const SavedIdentity saved = as_owner(GetUserId());
    run_spi(query, count, types, objects, nullptr, SPI_OK_SELECT);
    const SPITupleTable *made = SPI_tuptable;
    const uint64 rows = SPI_processed;
    for (uint64 i = 0; i < rows; i++) {
        const char *statement = SPI_getvalue(made->vals[i], made->tupdesc, 1);
        check_spi(SPI_execute(statement, false, 0), SPI_OK_UTILITY, statement);
    }
    back_to(saved);
    SPI_finish();
}

} // namespace

void lock_extension()
{
    check_encoding();
    lock_present_extension();
}

bool extension_is_older() noexcept
{
    return extension_version[0] != '\0' && compare_with_library(extension_version) < 0;
}

bool upgrade_extension()
{
    char statement[64];
    const Oid seen = find_extension();

    if (!OidIsValid(seen))
        return false;
    LockDatabaseObject(ExtensionRelationId, seen, 0, AccessExclusiveLock);
    if (find_extension() != seen || !extension_is_older())
        return false;
    snprintf(statement, sizeof(statement), "ALTER EXTENSION cxone_sync UPDATE TO '%s'", library_version);
    connect_spi();
    check_spi(SPI_execute(statement, false, 0), SPI_OK_UTILITY, statement);
    SPI_finish();
    return true;
}

const char *other_database()
{
    /* without the library in shared_preload_libraries there is no worker */
    const bool is_here =
        settings::database == nullptr || strcmp(settings::database, get_database_name(MyDatabaseId)) == 0;

    return is_here ? nullptr : settings::database;
}

const char *found_extension_version() noexcept
{
    return extension_version;
}

Oid owner_of(Oid relation)
{
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));

    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for relation %u", relation);
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

bool is_member(Oid catalog, Oid object)
{
    const Oid extension = getExtensionOfObject(catalog, object);

    return OidIsValid(extension) && extension == get_extension_oid(extension_name, true);
}

bool find_own_table(const char *name, LOCKMODE lock, OwnTable &table, PgError &error)
{
    table.relation = find_relation(name);
    if (OidIsValid(table.relation) && lock != NoLock)
        lock_own_table(name, table.relation, lock);
    Relation relation = OidIsValid(table.relation) ? RelationIdGetRelation(table.relation) : nullptr;
    if (!RelationIsValid(relation))
        return refuse(error, psprintf("table \"cxone_sync.%s\" does not exist", name),
                      "It may have been renamed: give it its name back.");
    table.owner = relation->rd_rel->relowner;
    const bool is_ours = is_sound(relation, error);
    RelationClose(relation);
    return is_ours;
}

OwnTable own_table(const char *name, LOCKMODE lock)
{
    OwnTable table;
    PgError error;

    if (!find_own_table(name, lock, table, error))
        raise(error);
    return table;
}

const SPITupleTable *run_as(Oid owner, const char *statement, int count, Oid *types, Datum *values,
                            const char *nulls)
{
    MemoryContext caller_context = CurrentMemoryContext;
    const SavedIdentity saved = as_owner(owner);
    const int result = SPI_execute_with_args(statement, count, types, values, nulls, false, 0);

    if (result < 0)
        elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
    back_to(saved);
    MemoryContextSwitchTo(caller_context);
    return SPI_tuptable;
}

uint64 execute_as_owner(const char *table, const char *statement, int count, Oid *types, Datum *values,
                        const char *nulls)
{
    connect_spi();
    (void)run_as(own_table(table).owner, statement, count, types, values, nulls);
    const uint64 rows = SPI_processed;
    SPI_finish();
    return rows;
}

} // namespace cxone_sync

/* Before a script does anything: what is there of others' code. */
Datum cxone_sync_check_schema(PG_FUNCTION_ARGS)
{
    using namespace cxone_sync;

    check_own_tables();
    connect_spi();
    const SPITupleTable *others = run_as(GetUserId(), others_query);
    if (others->numvals > 0) {
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                 errmsg("%s belongs to role \"%s\", who is no superuser",
                        SPI_getvalue(others->vals[0], others->tupdesc, 1),
                        SPI_getvalue(others->vals[0], others->tupdesc, 2)),
                 errdetail("The scripts of the extension run as a superuser, and what others create in "
                           "its schema could be taken for what they mean."),
                 errhint("Drop it or move it to another schema, or make a superuser its owner who has "
                         "looked at it; and see who may create objects in schema cxone_sync.")));
    }
    SPI_finish();
    PG_RETURN_VOID();
}

Datum cxone_sync_reset_privileges(PG_FUNCTION_ARGS)
{
    using namespace cxone_sync;
    Datum own = ObjectIdGetDatum(fcinfo->flinfo->fn_oid);

    run_made_statements(revoke_query, 1, &own);
    PG_RETURN_VOID();
}

/* They are the user's, and no part of the extension: so that a dump has them. */
Datum cxone_sync_copy_privileges(PG_FUNCTION_ARGS)
{
    using namespace cxone_sync;
    Datum functions[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
    const bool is_script = creating_extension;

    creating_extension = false;
    run_made_statements(copy_query, lengthof(functions), functions);
    creating_extension = is_script;
    PG_RETURN_VOID();
}

Datum cxone_sync_other_database(PG_FUNCTION_ARGS)
{
    const char *name = cxone_sync::other_database();

    if (name == nullptr)
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(cstring_to_text(name));
}
