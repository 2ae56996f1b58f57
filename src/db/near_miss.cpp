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

void refuse_column(Oid relation, const char *column)
{
    NearMiss nearest = near_miss_of(column);
    Relation table = relation_open(relation, AccessShareLock);

    for (int i = 0; i < RelationGetDescr(table)->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), i);

        if (!attribute->attisdropped)
            try_name(nearest, NameStr(attribute->attname));
    }
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                    errmsg("column \"%s\" of table %s does not exist", column,
                           quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
                                                      RelationGetRelationName(table))),
                    nearest.name != nullptr ? errhint("Perhaps you meant \"%s\".", nearest.name) : 0));
}

void check_column_exists(Oid relation, const char *column)
{
    const AttrNumber number = get_attnum(relation, column);

    if (number <= 0)
        refuse_column(relation, column);
}

} // namespace cxone_sync
