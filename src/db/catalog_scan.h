#pragma once

#include "db/pg.h"
extern "C" {
#include "catalog/pg_depend.h"
}

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

/* Calls visit(pg_depend row) for what depends on the object of that catalog. */
template <typename Visit> void for_each_dependent(Oid catalog, Oid object, Visit visit)
{
    ScanKeyData keys[2];
    Relation relation = table_open(DependRelationId, AccessShareLock);

    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(catalog));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
    SysScanDesc scan =
        systable_beginscan(relation, DependReferenceIndexId, true, nullptr, lengthof(keys), keys);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));)
        visit(*reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple)));
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
}

} // namespace cxone_sync
