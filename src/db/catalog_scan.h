#pragma once

#include "db/pg.h"

namespace cxone_sync {

/* Calls visit(tuple, description) for the rows of a system catalog with this OID in a column of an index. */
template <typename Visit> void for_each_row(Oid catalog, Oid index, AttrNumber column, Oid value, Visit visit)
{
    ScanKeyData key;
    Relation relation = table_open(catalog, AccessShareLock);

    ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
    SysScanDesc scan = systable_beginscan(relation, index, OidIsValid(index), nullptr, 1, &key);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));)
        visit(tuple, RelationGetDescr(relation));
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
}

} // namespace cxone_sync
