#include "db/deferred.h"
#include "db/spi.h"
extern "C" {
#include "commands/trigger.h"
}

namespace cxone_sync {

namespace {

void refuse_if_deferred(Oid relation)
{
    if (!AfterTriggerPendingOnRel(relation))
        return;
    ereport(
        ERROR,
        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
         errmsg("events cannot be applied while triggers of table %s are deferred in this transaction",
                quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
                                           get_rel_name(relation))),
         errdetail("They would have to run now, with the rights of whoever applies the events."),
         errhint("Run SET CONSTRAINTS ALL IMMEDIATE before, or apply the events in another transaction.")));
}

} // namespace

void check_constraints_at_once()
{
    run_spi("SET CONSTRAINTS ALL IMMEDIATE", 0, nullptr, nullptr, nullptr, SPI_OK_UTILITY);
}

void refuse_deferred_triggers()
{
    if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
        return;
    Relation catalog = table_open(TriggerRelationId, AccessShareLock);
    SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
        const auto *trigger = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));

        if (trigger->tgdeferrable)
            refuse_if_deferred(trigger->tgrelid);
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
}

} // namespace cxone_sync
