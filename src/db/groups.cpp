#include <algorithm>

#include "db/groups.h"
#include "db/surroundings.h"
extern "C" {
#include "catalog/partition.h"
#include "utils/array.h"
}

namespace cxone_sync {

namespace {

/* ---- foreign keys ---- */

/* Partitions stand for the table that they belong to. */
struct ForeignKey {
    Oid referencing;
    Oid referenced;
    List *updated; /* the columns that it refers to, if their update changes rows that refer to them */
    bool deletes;  /* or the deletion of a row does */
};

struct ForeignKeys {
    ForeignKey *keys;
    int count;
    int room;
    Tables tables;
    int *labels; /* parallel: what foreign keys connect, over however many tables, has the same */
};

Oid whole_table(Oid relation)
{
    return get_rel_relispartition(relation) ? llast_oid(get_partition_ancestors(relation)) : relation;
}

Oid table_of(const Target *target)
{
    return whole_table(target->config.relation);
}

List *referenced_columns(HeapTuple tuple, TupleDesc row)
{
    bool is_null;
    const Datum value = heap_getattr(tuple, Anum_pg_constraint_confkey, row, &is_null);
    List *columns = NIL;

    if (is_null)
        return NIL;
    ArrayType *array = DatumGetArrayTypeP(value);
    const auto *numbers = reinterpret_cast<int16 *>(ARR_DATA_PTR(array));
    for (int i = 0; i < ARR_DIMS(array)[0]; i++)
        columns = lappend_int(columns, numbers[i]);
    return columns;
}

bool only_refuses(char action)
{
    return action == FKCONSTR_ACTION_NOACTION || action == FKCONSTR_ACTION_RESTRICT;
}

void add_key(ForeignKeys *all, HeapTuple tuple, TupleDesc row)
{
    const auto *form = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));

    if (all->count == all->room)
        all->keys = static_cast<ForeignKey *>(repalloc(all->keys, (all->room *= 2) * sizeof(ForeignKey)));
    all->keys[all->count++] = {.referencing = whole_table(form->conrelid),
                               .referenced = whole_table(form->confrelid),
                               .updated =
                                   only_refuses(form->confupdtype) ? NIL : referenced_columns(tuple, row),
                               .deletes = !only_refuses(form->confdeltype)};
}

/* All of the database; but a partition's copies of its table's are not read. */
void read_keys(ForeignKeys *all)
{
    ScanKeyData type;
    Relation catalog = table_open(ConstraintRelationId, AccessShareLock);

    all->room = 16;
    all->keys = static_cast<ForeignKey *>(palloc(all->room * sizeof(ForeignKey)));
    ScanKeyInit(&type, Anum_pg_constraint_contype, BTEqualStrategyNumber, F_CHAREQ,
                CharGetDatum(CONSTRAINT_FOREIGN));
    SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 1, &type);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
        if (!OidIsValid(reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->conparentid))
            add_key(all, tuple, RelationGetDescr(catalog));
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
}

void list_tables(ForeignKeys *all, const List *targets)
{
    Oid *oids = static_cast<Oid *>(palloc((2 * all->count + list_length(targets) + 1) * sizeof(Oid)));
    int count = 0;

    for (int i = 0; i < all->count; i++) {
        oids[count++] = all->keys[i].referencing;
        oids[count++] = all->keys[i].referenced;
    }
    for (const auto *target : Each<Target *>(targets))
        oids[count++] = table_of(target);
    std::sort(oids, oids + count);
    all->tables = {oids, static_cast<int>(std::unique(oids, oids + count) - oids)};
}

/* The table that stands for all that is connected with this one; the way to it gets shorter each time. */
int label_of(const ForeignKeys *all, Oid table)
{
    const Oid *begin = all->tables.oids;
    int label = static_cast<int>(std::lower_bound(begin, begin + all->tables.count, table) - begin);

    while (all->labels[label] != label)
        label = all->labels[label] = all->labels[all->labels[label]];
    return label;
}

void find_labels(ForeignKeys *all)
{
    all->labels = static_cast<int *>(palloc((all->tables.count + 1) * sizeof(int)));
    for (int i = 0; i < all->tables.count; i++)
        all->labels[i] = i;
    for (int i = 0; i < all->count; i++)
        all->labels[label_of(all, all->keys[i].referencing)] = label_of(all, all->keys[i].referenced);
}

/* ---- targets ---- */

bool have_same_keys(const Target *a, const Target *b)
{
    bool same = a->key_count == b->key_count;

    for (int k = 0; same && k < a->key_count; k++)
        same = key_column(a, k).number == key_column(b, k).number;
    return same;
}

/* An event never changes the key of its row. */
bool may_update(const Target *target, const List *columns)
{
    for (int i = 0; i < list_length(columns); i++) {
        bool is_of_key = false;

        for (int k = 0; k < target->key_count; k++)
            is_of_key |= key_column(target, k).number == list_nth_int(columns, i);
        if (!is_of_key)
            return true;
    }
    return false;
}

/* Whether a deletion runs code of users on the tables whose rows refer to the target's, over however many. */
bool deletion_acts_on_tables(const ForeignKeys *all, Target *target)
{
    List *reached = list_make1_oid(table_of(target));

    for (int i = 0; i < list_length(reached); i++) {
        if (i > 0 && has_acting_triggers(target, list_nth_oid(reached, i)))
            return true;
        for (int k = 0; k < all->count; k++) {
            /* further on rows may be changed as well as deleted */
            if (all->keys[k].referenced == list_nth_oid(reached, i) &&
                (all->keys[k].deletes || (i > 0 && all->keys[k].updated != NIL)))
                reached = list_append_unique_oid(reached, all->keys[k].referencing);
        }
    }
    return false;
}

void group_by_label(const ForeignKeys *all, const List *targets)
{
    const int count = list_length(targets);

    for (int i = 0; i < count; i++) {
        auto *a = static_cast<Target *>(list_nth(targets, i));

        a->group = i;
        a->is_ordered |= deletes_rows(a) && deletion_acts_on_tables(all, a);
        a->takes_turns = list_member_oid(a->references, a->config.relation);
        for (int j = 0; j < i; j++) {
            auto *b = static_cast<Target *>(list_nth(targets, j));

            if (label_of(all, table_of(a)) != label_of(all, table_of(b)))
                continue;
            a->group = b->group;
            a->takes_turns = b->takes_turns = true;
            if (a->config.relation == b->config.relation && !have_same_keys(a, b))
                a->has_other_keys = b->has_other_keys = true;
        }
    }
}

/* Flags that hold for all of a group if they hold for one of it. */
void spread_flags(const ForeignKeys *all, const List *targets)
{
    for (const auto *a : Each<Target *>(targets)) {
        bool updates_others = false;

        for (int i = 0; i < all->count; i++)
            updates_others |= all->keys[i].referenced == table_of(a) && may_update(a, all->keys[i].updated);
        for (auto *b : Each<Target *>(targets)) {
            if (a->group != b->group)
                continue;
            b->is_ordered |= updates_others;
            b->keeps_arrival |= a->cascades || a->has_other_keys;
            b->may_lose_rows |= a->config.relation == b->config.relation && deletes_rows(a);
        }
    }
}

/* Referenced tables before those that reference them; in a circle as it comes. */
void rank_targets(const List *targets)
{
    const int count = list_length(targets);

    for (int turn = 0; turn < count; turn++) {
        for (auto *child : Each<Target *>(targets)) {
            for (const auto *parent : Each<Target *>(targets)) {
                if (child->config.relation != parent->config.relation &&
                    list_member_oid(child->references, parent->config.relation))
                    child->rank = Max(child->rank, Min(parent->rank + 1, count));
            }
        }
    }
}

/* Those that are in a group with a target. */
Tables connected_tables(const ForeignKeys *all, const List *targets)
{
    auto *oids = static_cast<Oid *>(palloc((all->tables.count + 1) * sizeof(Oid)));
    Tables connected = {.oids = oids, .count = 0};

    for (int i = 0; i < all->tables.count; i++) {
        bool is_connected = false;

        for (const auto *target : Each<Target *>(targets))
            is_connected |= label_of(all, table_of(target)) == label_of(all, all->tables.oids[i]);
        if (is_connected)
            oids[connected.count++] = all->tables.oids[i];
    }
    return connected;
}

} // namespace

Tables find_groups(const List *targets)
{
    ForeignKeys all = {};

    read_keys(&all);
    list_tables(&all, targets);
    find_labels(&all);
    group_by_label(&all, targets);
    spread_flags(&all, targets);
    rank_targets(targets);
    const Tables connected = connected_tables(&all, targets);
    pfree(all.labels);
    pfree(all.tables.oids);
    pfree(all.keys);
    return connected;
}

} // namespace cxone_sync
