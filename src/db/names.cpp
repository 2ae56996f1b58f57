#include "db/names.h"
extern "C" {
#include "access/xact.h"
#include "common/hashfn.h"
}

namespace cxone_sync {

namespace {

uint32 add_name(uint32 hash, const char *name)
{
    return hash_combine(hash, string_hash(name, NAMEDATALEN));
}

/* Other sessions cannot rename these while the table is locked. */
uint32 hash_of_table(Relation relation)
{
    TupleDesc row = RelationGetDescr(relation);
    uint32 hash = add_name(RelationGetNamespace(relation), RelationGetRelationName(relation));

    for (int i = 0; i < row->natts; i++)
        hash = add_name(hash, NameStr(TupleDescAttr(row, i)->attname));
    return hash;
}

/* Calls visit(schema or type, its cache) for what has a name of its own. */
template <typename Visit> void for_each_named(Relation relation, Visit visit)
{
    TupleDesc row = RelationGetDescr(relation);

    visit(RelationGetNamespace(relation), NAMESPACEOID);
    for (int i = 0; i < row->natts; i++) {
        const Form_pg_attribute attribute = TupleDescAttr(row, i);

        if (attribute->attisdropped || attribute->atttypid < FirstNormalObjectId)
            continue;
        HeapTuple type = SearchSysCache1(TYPEOID, ObjectIdGetDatum(attribute->atttypid));
        if (!HeapTupleIsValid(type))
            continue;
        const Oid schema = reinterpret_cast<Form_pg_type>(GETSTRUCT(type))->typnamespace;
        ReleaseSysCache(type);
        visit(attribute->atttypid, TYPEOID);
        visit(schema, NAMESPACEOID);
    }
}

uint32 hash_of_others(Relation relation)
{
    uint32 hash = 0;

    for_each_named(relation, [&hash](Oid object, int cache) {
        const char *name = cache == TYPEOID ? format_type_be_qualified(object) : get_namespace_name(object);

        hash = add_name(hash, name != nullptr ? name : "");
    });
    return hash;
}

bool is_changed_by_us(Oid object, int cache)
{
    HeapTuple tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));

    if (!HeapTupleIsValid(tuple))
        return false;
    const bool by_us = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
    ReleaseSysCache(tuple);
    return by_us;
}

} // namespace

void note_names(Target *target, Relation relation)
{
    target->table_names = hash_of_table(relation);
    target->other_names = hash_of_others(relation);
}

void check_names(const Target *target)
{
    Relation relation = table_open(target->config.relation, NoLock);
    bool by_us = hash_of_table(relation) != target->table_names;
    const bool is_same = !by_us && hash_of_others(relation) == target->other_names;

    if (!is_same)
        for_each_named(relation,
                       [&by_us](Oid object, int cache) { by_us |= is_changed_by_us(object, cache); });
    table_close(relation, NoLock);
    if (is_same)
        return;
    if (by_us)
        ereport(
            ERROR,
            (errcode(ERRCODE_OBJECT_IN_USE),
             errmsg("a trigger has renamed table %s, its schema, a column or a type of it while events are "
                    "written to it",
                    target->table),
             errhint("Have it done by a job of its own.")));
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("the schema or a type of table %s was renamed meanwhile", target->table)));
}

} // namespace cxone_sync
