#include "core/counters.h"
#include "core/delivery.h"
#include "cxone/contract.h"

#include <vector>

#include "db/guard.h"
#include "db/shared_state.h"
#include "db/target.h"
#include "db/upsert.h"

namespace cxone_sync {

namespace {

constexpr const char *extension_name = "cxone_sync";

Target *current = nullptr;
Oid watched_relation = InvalidOid;
bool definition_is_stale = true;
char extension_version[32] = "";

std::shared_ptr<const TargetMap> &map_of_current() noexcept
{
    static std::shared_ptr<const TargetMap> map;
    return map;
}

/* Also called for every relation at once, with InvalidOid. */
void on_relation_change(Datum, Oid relation)
{
    if (relation == InvalidOid || relation == watched_relation)
        definition_is_stale = true;
}

/* ---- the extension ---- */

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

/*
 * The lock keeps DROP EXTENSION away until the transaction ends. It may have come first, so the extension is
 * looked up once more when the lock is ours.
 */
void lock_extension()
{
    const Oid seen = find_extension();

    if (OidIsValid(seen))
        LockDatabaseObject(ExtensionRelationId, seen, 0, AccessShareLock);
    if (!OidIsValid(seen) || find_extension() != seen)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("extension \"%s\" does not exist in database \"%s\"", extension_name,
                               get_database_name(MyDatabaseId)),
                        errhint("Run CREATE EXTENSION cxone_sync there, or set cxone_sync.database.")));
    if (strcmp(extension_version, library_version) != 0)
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("extension \"%s\" has version %s, its library needs version %s", extension_name,
                        extension_version, library_version),
                 errhint("Run ALTER EXTENSION cxone_sync UPDATE. If that does not help, install the library "
                         "of that version and restart the server.")));
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

/* ---- the table ---- */

[[noreturn]] void refuse_target(Relation relation, const char *problem, const char *hint)
{
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("target \"%s.%s\" %s", get_namespace_name(RelationGetNamespace(relation)),
                           RelationGetRelationName(relation), problem),
                    errhint("%s", hint)));
    pg_unreachable();
}

/* A unique index on just this column, which ON CONFLICT can use. */
bool is_unique(Relation relation, AttrNumber column)
{
    bool unique = false;
    List *indexes = RelationGetIndexList(relation);
    ListCell *cell;

    foreach (cell, indexes) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        Form_pg_index form = index->rd_index;

        unique |= form->indisunique && form->indisvalid && form->indimmediate && form->indnkeyatts == 1 &&
                  form->indkey.values[0] == column && RelationGetIndexPredicate(index) == NIL;
        index_close(index, AccessShareLock);
    }
    list_free(indexes);
    return unique;
}

void describe_column(Form_pg_attribute attribute, MemoryContext context, TargetColumn *column)
{
    Oid input_function;

    column->name = attribute->attname;
    column->number = attribute->attnum;
    column->type = attribute->atttypid;
    column->base_type = getBaseType(attribute->atttypid);
    column->collation = attribute->attcollation;
    column->typmod = attribute->atttypmod;
    column->plain_text = column->type == TEXTOID || (column->type == VARCHAROID && column->typmod < 0);
    getTypeInputInfo(column->type, &input_function, &column->input_parameter);
    fmgr_info_cxt(input_function, &column->input, context);

    column->parameter_type = column->type;
    /* unnest() would spread an array of rows over several columns */
    column->cast_in_statement =
        !OidIsValid(get_array_type(column->type)) || type_is_rowtype(column->base_type);
    if (column->cast_in_statement)
        column->parameter_type = TEXTOID;
    get_typlenbyvalalign(column->parameter_type, &column->length, &column->by_value, &column->alignment);
}

bool is_written_from_events(Form_pg_attribute attribute)
{
    return !attribute->attisdropped && attribute->attgenerated == '\0' &&
           attribute->attidentity != ATTRIBUTE_IDENTITY_ALWAYS &&
           strcmp(NameStr(attribute->attname), contract::downstream_column) != 0;
}

/* Fills `target` from the table's definition; which columns, is the rule of TargetMap. */
void describe_table(Relation relation, Target *target)
{
    TupleDesc row = RelationGetDescr(relation);
    bool has_order = false;

    target->relation = RelationGetRelid(relation);
    target->owner = relation->rd_rel->relowner;
    target->name = MemoryContextStrdup(
        target->context, quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                                    RelationGetRelationName(relation)));
    target->has_triggers = relation->trigdesc != nullptr;
    target->columns = static_cast<TargetColumn *>(
        MemoryContextAllocZero(target->context, row->natts * sizeof(TargetColumn)));
    target->key = -1;

    for (int i = 0; i < row->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(row, i);

        if (!is_written_from_events(attribute))
            continue;
        if (strcmp(NameStr(attribute->attname), contract::order_column) == 0) {
            describe_column(attribute, target->context, &target->order);
            has_order = true;
            continue;
        }
        if (strcmp(NameStr(attribute->attname), contract::key_column) == 0 &&
            is_unique(relation, attribute->attnum))
            target->key = target->column_count;
        describe_column(attribute, target->context, &target->columns[target->column_count++]);
    }

    if (target->key < 0 || target->columns[target->key].type != TEXTOID)
        refuse_target(relation, "has no unique column \"id\" of type text",
                      "Restore the column and its primary key.");
    if (!has_order || target->order.type != TIMESTAMPTZOID)
        refuse_target(relation, "has no column \"updated_ts\" of type timestamptz", "Restore the column.");
    if (superuser_arg(target->owner))
        refuse_target(relation, "is owned by a superuser",
                      "Run ALTER TABLE ... OWNER TO cxone_sync, or to another role that is no superuser: its "
                      "triggers run as its owner.");
}

bool is_json(Oid type)
{
    return type == JSONOID || type == JSONBOID;
}

TargetMap::Shape shape_of(const TargetColumn &column)
{
    const Oid element = get_element_type(column.base_type);

    if (is_json(column.base_type))
        return TargetMap::Shape::json;
    if (!OidIsValid(element))
        return TargetMap::Shape::scalar;
    return is_json(getBaseType(element)) ? TargetMap::Shape::json_array : TargetMap::Shape::array;
}

/* The same columns for the pure rooms. */
void publish_map(const Target *target)
{
    auto *shapes = static_cast<TargetMap::Shape *>(palloc(target->column_count * sizeof(TargetMap::Shape)));

    for (int i = 0; i < target->column_count; i++)
        shapes[i] = shape_of(target->columns[i]);
    call_cpp([target, shapes] {
        std::vector<TargetMap::Column> columns;
        for (int i = 0; i < target->column_count; i++)
            columns.push_back({.name = NameStr(target->columns[i].name), .shape = shapes[i]});
        map_of_current() = std::make_shared<const TargetMap>(
            std::move(columns), static_cast<std::uint16_t>(target->key), contract::time_key);
    });
    pfree(shapes);
}

void free_target(Target *target)
{
    free_plans(target);
    MemoryContextDelete(target->context);
}

/* The present definition holds no longer. A trigger may call ingest() in the midst of a write that still uses
 * it. */
void retire_target()
{
    Target *old = current;

    current = nullptr;
    if (old != nullptr && old->pins == 0)
        free_target(old);
    else if (old != nullptr)
        old->is_past = true;
}

void unpin_target(void *pinned)
{
    auto *target = static_cast<Target *>(pinned);

    if (--target->pins == 0 && target->is_past)
        free_target(target);
}

/* A reset callback, so that an error unpins as well. */
void pin_target(Target *target, MemoryContext user)
{
    auto *callback =
        static_cast<MemoryContextCallback *>(MemoryContextAlloc(user, sizeof(MemoryContextCallback)));

    callback->func = unpin_target;
    callback->arg = target;
    MemoryContextRegisterResetCallback(user, callback);
    target->pins++;
}

void read_definition(Relation relation)
{
    retire_target();
    /* Before reading: a change that arrives meanwhile marks it stale again. */
    definition_is_stale = false;
    watched_relation = RelationGetRelid(relation);

    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "cxone_sync target", ALLOCSET_SMALL_SIZES);
    auto *target = static_cast<Target *>(MemoryContextAllocZero(context, sizeof(Target)));

    target->context = context;
    describe_table(relation, target);
    publish_map(target);
    /* From here on it outlives the transaction; an error before has freed it with its parent. */
    MemoryContextSetParent(context, TopMemoryContext);
    current = target;
}

} // namespace

void watch_target_changes()
{
    static bool watching = false;

    if (!watching)
        CacheRegisterRelcacheCallback(on_relation_change, 0);
    watching = true;
}

Target *open_target(MemoryContext user)
{
    check_encoding();
    lock_extension();

    const Oid schema = get_namespace_oid(extension_name, false);
    const Oid relation_oid = get_relname_relid(contract::target_table, schema);

    if (!OidIsValid(relation_oid))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("target \"%s.%s\" does not exist", extension_name, contract::target_table),
                        errhint("It may have been renamed: give it its name back.")));
    Relation relation = table_open(relation_oid, RowExclusiveLock);
    if (current == nullptr || current->relation != relation_oid || definition_is_stale)
        read_definition(relation);
    table_close(relation, NoLock);
    if (user != nullptr)
        pin_target(current, user);
    return current;
}

const std::shared_ptr<const TargetMap> &current_target_map() noexcept
{
    return map_of_current();
}

const char *found_extension_version() noexcept
{
    return extension_version;
}

} // namespace cxone_sync
