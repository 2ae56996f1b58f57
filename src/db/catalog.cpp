#include "core/delivery.h"
#include "core/json_pointer.h"
#include "core/mapping.h"
#include "cxone/contract.h"

#include <algorithm>
#include <vector>

#include "db/catalog.h"
#include "db/extension.h"
#include "db/groups.h"
#include "db/guard.h"
#include "db/identity.h"
#include "db/spi.h"
#include "db/upsert.h"
extern "C" {
#include "utils/array.h"
}

namespace cxone_sync {

namespace {

constexpr const char *config_query =
    "SELECT c.name, c.relation::oid, c.key_columns, c.order_column, c.event_types, c.type_path, c.root_path, "
    "c.delete_types, c.mark_column, c.kept_columns, "
    "ARRAY(SELECT n.column_name FROM cxone_sync.lasting_names n WHERE n.relation = c.relation ORDER BY 1), "
    "ARRAY(SELECT n.lasting_name FROM cxone_sync.lasting_names n WHERE n.relation = c.relation "
    "ORDER BY n.column_name) "
    "FROM cxone_sync.target_config c ORDER BY c.name COLLATE \"C\"";
/* The keys of a table's tombstones: the index leads from each to the next, however many tombstones have it.
 */
constexpr const char *tombstone_keys_query =
    "SELECT c.name, k.key_columns FROM cxone_sync.target_config c CROSS JOIN LATERAL ("
    "WITH RECURSIVE k(key_columns) AS (SELECT '{}'::text[] UNION ALL SELECT n.key_columns FROM k "
    "CROSS JOIN LATERAL (SELECT s.key_columns FROM cxone_sync.tombstones s WHERE s.relation = c.relation "
    "AND s.key_columns > k.key_columns ORDER BY s.key_columns LIMIT 1) n) SELECT k.key_columns FROM k "
    "WHERE k.key_columns <> '{}') k ORDER BY c.name COLLATE \"C\", k.key_columns";
constexpr const char *field_map_query = "SELECT f.target, f.column_name, f.paths FROM cxone_sync.field_map f "
                                        "ORDER BY f.target COLLATE \"C\", f.column_name COLLATE \"C\"";

constexpr const char *version_query = "SELECT FROM cxone_sync.schema_versions LIMIT 1";

/* The newest one; null until the first is read. */
Catalog *catalog = nullptr;
Oid config_tables[4] = {InvalidOid, InvalidOid, InvalidOid, InvalidOid};
uint64 changes_seen = 0; /* how many were told of */
bool is_reading = false;

std::shared_ptr<const Mapping> &mapping_of_catalog() noexcept
{
    static std::shared_ptr<const Mapping> mapping;
    return mapping;
}

bool concerns_target(const Target *target, Oid relation)
{
    return target->config.relation == relation || list_member_oid(target->relations, relation) ||
           std::binary_search(target->parts, target->parts + target->part_count, relation);
}

/* Also called for every relation at once, with InvalidOid. */
void on_relation_change(Datum, Oid relation)
{
    /* while it is being read it may concern what is in no list yet */
    bool concerns_us = is_reading || relation == InvalidOid;

    for (const Oid table : config_tables)
        concerns_us |= relation == table;
    for (int i = 0; !concerns_us && catalog != nullptr && i < catalog->count; i++)
        concerns_us = concerns_target(catalog->targets[i], relation);
    if (!concerns_us && catalog != nullptr)
        concerns_us = std::binary_search(catalog->connected.oids,
                                         catalog->connected.oids + catalog->connected.count, relation);
    if (concerns_us)
        doubt_catalog();
}

/*
 * A schema was renamed, say, or an enum's value: names that are kept as text may be others now. Or a role was
 * granted, and another policy concerns the owner.
 */
void on_name_change(Datum, int, uint32)
{
    doubt_catalog();
}

/*
 * An owner may have become a superuser, or be one no more, or a type or a function is another now; `hash`
 * tells which one, 0 that all may be. Anybody makes functions and, with each table, types, so only those that
 * targets watch count.
 */
void on_object_change(Datum, int, uint32 hash)
{
    bool concerns_us = hash == 0 || is_reading;

    for (int i = 0; !concerns_us && catalog != nullptr && i < catalog->count; i++)
        concerns_us = list_member_int(catalog->targets[i]->hashes, static_cast<int>(hash));
    if (concerns_us)
        doubt_catalog();
}

/* ---- the life of a catalog ---- */

void free_catalog(Catalog *past)
{
    for (int i = 0; i < past->count; i++)
        free_plans(past->targets[i]);
    MemoryContextDelete(past->context);
}

void unpin_catalog(void *pinned)
{
    auto *past = static_cast<Catalog *>(pinned);

    if (--past->pins == 0 && past != catalog)
        free_catalog(past);
}

/* ---- reading the configuration ---- */

/* One row of a query's result. */
struct ResultRow {
    HeapTuple tuple;
    TupleDesc description;
};

Datum value_of(const ResultRow &row, int column, bool *is_null)
{
    return SPI_getbinval(row.tuple, row.description, column, is_null);
}

/* In the current memory context; null for null. */
char *text_of(const ResultRow &row, int column)
{
    bool is_null;
    Datum value = value_of(row, column, &is_null);

    return is_null ? nullptr : TextDatumGetCString(value);
}

List *texts_of(const ResultRow &row, int column)
{
    bool is_null;
    Datum array = value_of(row, column, &is_null);
    Datum *elements;
    bool *nulls;
    int count;
    List *texts = NIL;

    if (is_null)
        return NIL;
    deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
    for (int i = 0; i < count; i++) {
        if (!nulls[i])
            texts = lappend(texts, TextDatumGetCString(elements[i]));
    }
    return texts;
}

/* In the current memory context, the catalog's. */
Target *new_target()
{
    auto *target = static_cast<Target *>(palloc0(sizeof(Target)));

    new (&target->problem) TargetProblem();
    target->context = CurrentMemoryContext;
    return target;
}

void read_config(Target *target, const ResultRow &row)
{
    TargetConfig &config = target->config;
    bool is_null;

    config.name = text_of(row, 1);
    config.relation = DatumGetObjectId(value_of(row, 2, &is_null));
    config.key_columns = texts_of(row, 3);
    config.order_column = text_of(row, 4);
    config.event_types = texts_of(row, 5);
    config.type_path = text_of(row, 6);
    config.root_path = text_of(row, 7);
    config.delete_types = texts_of(row, 8);
    config.mark_column = text_of(row, 9);
    config.kept_columns = texts_of(row, 10);
    config.renamed_columns = texts_of(row, 11);
    config.lasting_names = texts_of(row, 12);
}

SPITupleTable *run_query(const char *query)
{
    check_spi(SPI_execute(query, true, 0), SPI_OK_SELECT, query);
    return SPI_tuptable;
}

/* What the query tells of targets, whose name is its first column. */
void read_more(List *targets, MemoryContext context, const char *query,
               void (*take)(TargetConfig &config, const ResultRow &row))
{
    SPITupleTable *result = run_query(query);

    MemoryContextSwitchTo(context);

    for (uint64 i = 0; i < result->numvals; i++) {
        const ResultRow row = {result->vals[i], result->tupdesc};
        char *name = text_of(row, 1);

        for (auto *target : Each<Target *>(targets)) {
            if (strcmp(target->config.name, name) == 0)
                take(target->config, row);
        }
    }
    SPI_freetuptable(result);
}

void take_mapped_column(TargetConfig &config, const ResultRow &row)
{
    config.mapped_columns = lappend(config.mapped_columns, text_of(row, 2));
    config.mapped_paths = lappend(config.mapped_paths, texts_of(row, 3));
}

void take_tombstone_key(TargetConfig &config, const ResultRow &row)
{
    config.tombstone_keys = lappend(config.tombstone_keys, texts_of(row, 2));
}

/* Without a wait: true if the table and its indexes are locked then, for this transaction. */
bool try_to_lock_tombstones()
{
    const Oid relation = get_relname_relid("tombstones", get_namespace_oid(extension_name, false));

    if (!ConditionalLockRelationOid(relation, AccessShareLock))
        return false;
    Relation tombstones = RelationIdGetRelation(relation);
    if (!RelationIsValid(tombstones)) /* renamed: the query for it tells */
        return true;
    List *indexes = RelationGetIndexList(tombstones);
    RelationClose(tombstones);
    bool ok = true;

    for (const Oid index : Each<Oid>(indexes))
        ok = ok && ConditionalLockRelationOid(index, AccessShareLock);
    return ok;
}

List *copy_keys(const List *keys)
{
    List *copies = NIL;

    for (const auto *key : Each<List *>(keys)) {
        List *copy = NIL;

        for (const auto *column : Each<char *>(key))
            copy = lappend(copy, pstrdup(column));
        copies = lappend(copies, copy);
    }
    return copies;
}

/* Of a table that is new, the worst: a look too many into tombstones harms nothing. */
void take_what_was_known(Target *target)
{
    target->may_lose_rows = true;
    for (int i = 0; catalog != nullptr && i < catalog->count; i++) {
        const Target *past = catalog->targets[i];

        if (past->config.relation != target->config.relation)
            continue;
        target->may_lose_rows = past->may_lose_rows;
        target->config.tombstone_keys = copy_keys(past->config.tombstone_keys);
        return;
    }
}

/* A lock on the tombstones must hold up nobody who does not need them; false if there is one. */
bool read_tombstone_keys(List *targets, MemoryContext context)
{
    const bool is_known = try_to_lock_tombstones();

    if (is_known)
        read_more(targets, context, tombstone_keys_query, take_tombstone_key);
    MemoryContextSwitchTo(context);
    for (auto *target : Each<Target *>(targets)) {
        if (is_known)
            target->may_lose_rows = target->config.tombstone_keys != NIL;
        else
            take_what_was_known(target);
    }
    return is_known;
}

/* While a dump is restored its configuration comes after the extension. */
void check_is_complete()
{
    run_query(version_query);
    if (SPI_processed == 0)
        ereport(
            ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("extension \"cxone_sync\" is being restored from a dump"),
             errdetail("Table cxone_sync.schema_versions is empty: CREATE EXTENSION ran with row_security = "
                       "off, as it does in a restore."),
             errhint(
                 "If that is over and brought no rows, SET row_security = on, DROP EXTENSION cxone_sync and "
                 "CREATE EXTENSION cxone_sync. The targets' tables stay.")));
}

/*
 * New targets, configured and no more, in `context`. By the newest snapshot, whatever the transaction's own
 * is: what is read here outlives it. `tombstones_locked` is set.
 */
List *read_targets(MemoryContext context, bool *tombstones_locked)
{
    List *targets = NIL;

    connect_spi();
    const OwnTable config = own_table("target_config", AccessShareLock);
    config_tables[0] = config.relation;
    config_tables[1] = own_table("field_map", AccessShareLock).relation;
    config_tables[2] = own_table("schema_versions", AccessShareLock).relation;
    config_tables[3] = own_table("lasting_names", AccessShareLock).relation;
    const SavedIdentity saved = as_owner(config.owner);
    /* nobody analyzes such small tables, so that the planner thinks them larger than compiling is worth */
    pin_setting("jit", "off");
    PushActiveSnapshot(GetLatestSnapshot());
    check_is_complete();
    SPITupleTable *result = run_query(config_query);
    MemoryContextSwitchTo(context);
    for (uint64 i = 0; i < result->numvals; i++) {
        Target *target = new_target();

        targets = lappend(targets, target);
        read_config(target, {result->vals[i], result->tupdesc});
    }
    read_more(targets, context, field_map_query, take_mapped_column);
    *tombstones_locked = !read_tombstone_keys(targets, context);
    PopActiveSnapshot();
    back_to(saved);
    SPI_finish();
    MemoryContextSwitchTo(context);
    return targets;
}

/* Deletions of one target of a table concern all of them. */
void share_deletion_keys(const List *targets)
{
    for (const auto *a : Each<Target *>(targets)) {
        for (auto *b : Each<Target *>(targets)) {
            if (a->config.relation == b->config.relation && deletes_rows(a))
                b->config.deletion_keys = lappend(b->config.deletion_keys, a->config.key_columns);
        }
    }
}

/* ---- describing ---- */

/* Does not wait: a table that is being altered must not hold up the others. */
void describe_if_unlocked(Target *target)
{
    const Oid relation = target->config.relation;

    if (!ConditionalLockRelationOid(relation, AccessShareLock)) {
        target->is_locked = true;
        target->blocker = relation;
        target->table = target->config.name;
        target->extra = target->mark = -1;
        return;
    }
    if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation))) {
        /* whatever of the owner's code a look may run; and defaults are kept as SQL, by a pinned search_path
         */
        const SavedIdentity saved = as_owner(owner_of(relation));
        describe_target(target);
        back_to(saved);
    } else {
        describe_target(target);
    }
    UnlockRelationOid(relation, AccessShareLock);
}

bool share_a_type(const List *a, const List *b)
{
    for (const auto *type : Each<char *>(a)) {
        if (is_in(b, type))
            return true;
    }
    return false;
}

List *all_types(const TargetConfig &config)
{
    return list_concat_copy(config.event_types, config.delete_types);
}

/* Types at different places may meet in one event. */
bool name_one_event(const TargetConfig &a, const TargetConfig &b)
{
    return strcmp(a.type_path, b.type_path) == 0 ? share_a_type(all_types(a), all_types(b))
                                                 : all_types(a) != NIL && all_types(b) != NIL;
}

/*
 * Two targets with one table must not take the same event: it would be written twice. Those without types
 * take what no other names.
 */
bool overlap(const TargetConfig &a, const TargetConfig &b)
{
    return a.relation == b.relation &&
           ((a.event_types == NIL && b.event_types == NIL) || name_one_event(a, b));
}

bool keep_other_columns(const Target *a, const Target *b)
{
    for (const auto *column : Each<char *>(a->config.kept_columns)) {
        if (!is_in(b->config.kept_columns, column))
            return true;
    }
    return list_length(a->config.kept_columns) != list_length(b->config.kept_columns);
}

/* Neither would know of the other's deletions. */
bool are_parts_of_one(const Target *a, const Target *b)
{
    return list_member_oid(a->ancestors, b->config.relation) ||
           list_member_oid(b->ancestors, a->config.relation);
}

/* What decides about a row belongs to its table, whichever target takes an event. */
bool decide_otherwise(const char *name, const char *other)
{
    return name == nullptr || other == nullptr ? name != other : strcmp(name, other) != 0;
}

/* Notes what keeps the target from standing beside the other one. */
void note_conflict(const Target *target, const Target *other, TargetProblem &problem)
{
    const bool share_rows = target->config.relation == other->config.relation;
    const char *message = nullptr;
    const char *hint = nullptr;

    if (overlap(target->config, other->config)) {
        message = "target \"%s\" takes events of the same types into the same table as target \"%s\"";
        hint = "Give them event types that differ, or another table.";
    } else if (share_rows && decide_otherwise(target->config.order_column, other->config.order_column)) {
        message = "target \"%s\" has another order_column than target \"%s\" of the same table";
        hint = "Give them the same one: a row has one time, whichever target has written it last.";
    } else if (share_rows && decide_otherwise(target->config.mark_column, other->config.mark_column)) {
        message = target->config.mark_column != nullptr && other->config.mark_column != nullptr
                      ? "target \"%s\" has another mark_column than target \"%s\" of the same table"
                      : "only one of target \"%s\" and target \"%s\" of the same table has a mark_column";
        hint = "Give them the same one, also where delete_types are missing: each event that does not delete "
               "clears the mark.";
    } else if (share_rows && target->field_order && keep_other_columns(target, other)) {
        message = "target \"%s\" keeps other columns of its table from events than target \"%s\"";
        hint =
            "In field order the targets of a table need the same kept_columns: the time of a field that one "
            "does not know could not be kept.";
    } else if (are_parts_of_one(target, other)) {
        message = "the tables of target \"%s\" and target \"%s\" are a partition and its parent";
        hint = "Use the parent for both.";
    }
    if (message != nullptr)
        set_problem(problem, ERRCODE_INVALID_PARAMETER_VALUE,
                    psprintf(message, target->config.name, other->config.name), hint);
}

/* Of two that do not go together the later one is to blame. */
void note_conflicts(const List *targets, Target *target)
{
    for (const auto *other : Each<Target *>(targets)) {
        if (other == target)
            return;
        note_conflict(target, other, target->problem);
    }
}

/* ---- the same for the pure rooms ---- */

void copy_texts(const List *list, std::vector<std::string> &texts)
{
    for (const auto *text : Each<char *>(list))
        texts.emplace_back(text);
}

InnerValues inner_values(const InnerValuesOfType *type)
{
    InnerValues values;

    if (type == nullptr)
        return values;
    if (type->name != nullptr)
        values.name = type->name;
    values.shape = type->shape;
    for (const auto *field : Each<InnerValuesOfType *>(type->fields))
        values.fields.push_back(inner_values(field));
    return values;
}

Mapping::Column column_spec(const Target *target, int index)
{
    const TargetColumn &column = target->columns[index];
    Mapping::Column spec{.name = NameStr(column.name), .shape = column.shape};

    copy_texts(column.paths, spec.paths);
    spec.from_events = index != target->extra && index != target->mark;
    spec.inner = inner_values(column.inner);
    return spec;
}

Mapping::TargetSpec target_spec(const Target *target)
{
    const TargetConfig &config = target->config;
    Mapping::TargetSpec spec;

    spec.name = config.name;
    spec.table = config.relation;
    spec.is_usable = target->problem.sqlerrcode == 0 && !target->is_locked;
    copy_texts(config.event_types, spec.types);
    copy_texts(config.delete_types, spec.delete_types);
    spec.order_column = config.order_column;
    if (parse_json_pointer(config.type_path))
        spec.type_path = config.type_path;
    if (!spec.is_usable)
        return spec;
    spec.root = config.root_path;
    for (int i = 0; i < target->column_count; i++)
        spec.columns.push_back(column_spec(target, i));
    for (int i = 0; i < target->key_count; i++)
        spec.keys.push_back(static_cast<std::uint16_t>(target->keys[i].column));
    copy_texts(target->order.paths, spec.time_paths);
    spec.time_paths.push_back(json_pointer_to(spec.root, contract::time_key));
    if (!spec.root.empty())
        spec.time_paths.push_back(json_pointer_to("", contract::time_key));
    spec.extra_column = target->extra;
    spec.mark_column = target->mark;
    return spec;
}

/* Pure C++, but for reading what is in memory already. */
std::shared_ptr<const Mapping> mapping_of(Target *const *targets, int count)
{
    std::vector<Mapping::TargetSpec> specs;

    for (int i = 0; i < count; i++)
        specs.push_back(target_spec(targets[i]));
    return std::make_shared<const Mapping>(std::move(specs));
}

/* The root's members that feed a column; in the current memory context, the catalog's. */
void find_members(Target *target, const Mapping &mapping)
{
    const Mapping::Target &mapped = mapping.targets()[target->number];

    for (int i = 0; mapped.is_usable && i < target->column_count; i++) {
        for (const std::uint32_t place : mapped.column_places[i]) {
            for (const auto &member : mapped.root_node->children) {
                if (member.second->place == place)
                    target->columns[i].members =
                        lappend(target->columns[i].members, pstrdup(member.first.c_str()));
            }
        }
    }
}

/* ---- writer locks ---- */

int compare_locks(const void *a, const void *b)
{
    const Oid x = static_cast<const WriterLock *>(a)->relation;
    const Oid y = static_cast<const WriterLock *>(b)->relation;

    return x < y ? -1 : x > y;
}

/* A group's lock is that of its table with the lowest OID. */
WriterLock *find_writer_locks(Target *const *targets, int count)
{
    auto *locks = static_cast<WriterLock *>(palloc(Max(count, 1) * sizeof(WriterLock)));

    for (int i = 0; i < count; i++)
        locks[i] = {targets[i]->config.relation, targets[i]->group, true};
    qsort(locks, count, sizeof(WriterLock), compare_locks);
    for (int i = 0; i < count; i++) {
        for (int before = 0; before < i; before++)
            locks[i].is_used &= locks[before].group != locks[i].group;
    }
    return locks;
}

/* ---- keeping it up to date ---- */

/* The list in place of the catalog, with a mapping to match. The old one goes with its last pin. */
void replace_catalog(const List *targets, const Tables &connected, MemoryContext context,
                     bool tombstones_locked)
{
    auto *fresh = static_cast<Catalog *>(palloc0(sizeof(Catalog)));
    Catalog *past = catalog;

    fresh->context = context;
    fresh->connected = connected;
    fresh->tombstones_locked = tombstones_locked;
    fresh->count = list_length(targets);
    fresh->targets = static_cast<Target **>(palloc(Max(fresh->count, 1) * sizeof(Target *)));
    for (int i = 0; i < fresh->count; i++) {
        fresh->targets[i] = static_cast<Target *>(list_nth(targets, i));
        fresh->targets[i]->catalog = fresh;
        fresh->targets[i]->number = i;
    }
    fresh->writer_locks = find_writer_locks(fresh->targets, fresh->count);
    call_cpp([fresh] { mapping_of_catalog() = mapping_of(fresh->targets, fresh->count); });
    for (int i = 0; i < fresh->count; i++)
        find_members(fresh->targets[i], *mapping_of_catalog());
    /* From here on it outlives the transaction; an error before has freed it with its parent. */
    MemoryContextSetParent(context, TopMemoryContext);
    catalog = fresh;
    if (past != nullptr && past->pins == 0)
        free_catalog(past);
}

void read_catalog()
{
    MemoryContext caller_context = CurrentMemoryContext;
    MemoryContext context = AllocSetContextCreate(caller_context, "cxone_sync catalog", ALLOCSET_SMALL_SIZES);
    const uint64 changes_before = changes_seen;
    bool tombstones_locked;

    is_reading = true; /* an error leaves it so until the next reading, which is due then anyway */
    MemoryContextSwitchTo(context);
    List *targets = read_targets(context, &tombstones_locked);
    share_deletion_keys(targets);
    for (auto *target : Each<Target *>(targets)) {
        describe_if_unlocked(target);
        MemoryContextSwitchTo(context);
        note_conflicts(targets, target);
    }
    const Tables connected = find_groups(targets);
    replace_catalog(targets, connected, context, tombstones_locked);
    is_reading = false;
    /* what has changed while it was read may be missing in it */
    catalog->changes = changes_before;
    MemoryContextSwitchTo(caller_context);
}

/* A table that could not be looked at when it was to be, since it was locked, say, can be looked at now. */
bool can_see_more()
{
    if (catalog->tombstones_locked && try_to_lock_tombstones())
        return true;
    for (int i = 0; i < catalog->count; i++) {
        const Target *target = catalog->targets[i];
        const Oid relation = lock_in_the_way(target);

        if (target->is_uncertain)
            return true;
        if (!target->is_locked || !ConditionalLockRelationOid(relation, AccessShareLock))
            continue;
        UnlockRelationOid(relation, AccessShareLock);
        return true;
    }
    return false;
}

void watch_catalog()
{
    static bool watching = false;

    if (!watching) {
        CacheRegisterRelcacheCallback(on_relation_change, 0);
        CacheRegisterSyscacheCallback(NAMESPACEOID, on_name_change, 0);
        CacheRegisterSyscacheCallback(PROCOID, on_object_change, 0);
        CacheRegisterSyscacheCallback(ENUMOID, on_name_change, 0);
        CacheRegisterSyscacheCallback(TYPEOID, on_object_change, 0);
        CacheRegisterSyscacheCallback(AUTHOID, on_object_change, 0);
        CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_name_change, 0);
    }
    watching = true;
}

/* For the catalog; also when an error ends the context. */
void call_with_end_of_context(MemoryContextCallbackFunction function)
{
    auto *callback = static_cast<MemoryContextCallback *>(palloc(sizeof(MemoryContextCallback)));

    callback->func = function;
    callback->arg = catalog;
    MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
}

} // namespace

const Catalog &open_catalog()
{
    watch_catalog();
    lock_extension();
    if (catalog == nullptr || has_changed_since(*catalog) || can_see_more())
        apart_from_session(read_catalog);
    call_with_end_of_context(unpin_catalog);
    catalog->pins++;
    return *catalog;
}

void begin_write()
{
    call_with_end_of_context([](void *of) { static_cast<Catalog *>(of)->writes--; });
    catalog->writes++;
}

bool has_changed_since(const Catalog &opened) noexcept
{
    return opened.changes != changes_seen;
}

void doubt_catalog() noexcept
{
    changes_seen++;
}

void check_conflicts(const Target *target)
{
    TargetProblem problem;

    for (int i = 0; i < target->catalog->count; i++) {
        const Target *other = target->catalog->targets[i];

        if (other != target)
            note_conflict(target, other, problem);
    }
    raise_problem(problem);
}

Target *find_target(const char *name)
{
    const Catalog &opened = open_catalog();

    for (int i = 0; i < opened.count; i++) {
        if (strcmp(opened.targets[i]->config.name, name) == 0)
            return opened.targets[i];
    }
    return nullptr;
}

Target *require_target(const char *name)
{
    Target *target = find_target(name);

    if (target == nullptr)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("target \"%s\" does not exist", name),
                        errhint("SELECT name FROM cxone_sync.targets shows those that do.")));
    return target;
}

void check_usable(const Target *target)
{
    if (target->is_locked)
        ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                        errmsg("the table of target \"%s\" is locked", target->config.name),
                        errhint("Try again later.")));
    raise_problem(target->problem);
}

void check_caller_owns(Oid relation)
{
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));

    if (!HeapTupleIsValid(tuple)) {
        /* it is gone: then it is for whoever administers the extension's tables */
        if (!has_privs_of_role(GetUserId(), get_role_oid(extension_name, true)))
            ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                            errmsg("the table of this target does not exist"),
                            errhint("Only members of the role cxone_sync may change it.")));
        return;
    }
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    if (!has_privs_of_role(GetUserId(), owner))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("must be owner of table %s", get_rel_name(relation)),
                        errhint("Events are written as the table's owner.")));
}

const std::shared_ptr<const Mapping> &current_mapping() noexcept
{
    return mapping_of_catalog();
}

std::shared_ptr<const Mapping> mapping_of_column(const Target *target, int column)
{
    std::vector<Mapping::TargetSpec> specs;

    specs.push_back(target_spec(target));
    Mapping::TargetSpec &spec = specs[0];
    spec.types.clear();
    spec.delete_types.clear();
    spec.keys.clear();
    spec.time_paths.clear();
    spec.mark_column = -1;
    for (std::size_t i = 0; i < spec.columns.size(); i++) {
        if (i == static_cast<std::size_t>(column))
            continue;
        spec.columns[i].from_events = false;
        spec.columns[i].paths.clear();
    }
    return std::make_shared<const Mapping>(std::move(specs));
}

} // namespace cxone_sync
