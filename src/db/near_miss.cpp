#include "db/near_miss.h"
extern "C" {
#include "utils/formatting.h"
#include "utils/varlena.h"
}

namespace cxone_sync {

NearMiss near_miss_of(const char *wanted)
{
    /* as parse_relation.c: not more than three, and less than half of it */
    return {.wanted = wanted,
            .name = nullptr,
            .distance = Min(3, (static_cast<int>(strlen(wanted)) - 1) / 2) + 1};
}

void try_name(NearMiss &nearest, const char *name)
{
    const int wanted_length = static_cast<int>(strlen(nearest.wanted));
    const int length = static_cast<int>(strlen(name));

    if (nearest.distance == 0 || wanted_length >= NAMEDATALEN || length >= NAMEDATALEN)
        return;
    /* upper and lower case are the same */
    const char *x = str_tolower(nearest.wanted, wanted_length, DEFAULT_COLLATION_OID);
    const char *y = str_tolower(name, length, DEFAULT_COLLATION_OID);
    const int distance = varstr_levenshtein_less_equal(
        x, static_cast<int>(strlen(x)), y, static_cast<int>(strlen(y)), 1, 1, 1, nearest.distance - 1, true);
    if (distance >= nearest.distance)
        return;
    nearest.name = name;
    nearest.distance = distance;
}

const char *hint_of(const NearMiss &nearest)
{
    return nearest.name == nullptr ? nullptr : psprintf("Perhaps you meant \"%s\".", nearest.name);
}

const char *hint_of_column(Relation relation, const char *wanted)
{
    TupleDesc row = RelationGetDescr(relation);
    NearMiss nearest = near_miss_of(wanted);

    for (int i = 0; i < row->natts; i++) {
        if (!TupleDescAttr(row, i)->attisdropped)
            try_name(nearest, NameStr(TupleDescAttr(row, i)->attname));
    }
    return hint_of(nearest);
}

void check_column_exists(Oid relation, const char *column)
{
    if (get_attnum(relation, column) > 0)
        return;
    Relation table = relation_open(relation, AccessShareLock);
    const char *hint = hint_of_column(table, column);
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                    errmsg("column \"%s\" of table %s does not exist", column,
                           quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
                                                      RelationGetRelationName(table))),
                    hint != nullptr ? errhint("%s", hint) : 0));
}

} // namespace cxone_sync
