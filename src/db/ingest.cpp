/* The SQL function ingest(); sql/cxone_sync--1.0.sql documents it. */

#include "core/parser.h"

#include "db/catalog.h"
#include "db/held_delivery.h"
#include "db/unmapped_keys.h"
#include "db/writer.h"

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_ingest);
}

using namespace cxone_sync;

Datum cxone_sync_ingest(PG_FUNCTION_ARGS)
{
    Jsonb *payload = PG_GETARG_JSONB_P(0);

    (void)open_catalog(); /* by its mapping the events are mapped */
    Delivery *delivery = make_delivery(JsonbToCString(nullptr, &payload->root, VARSIZE(payload)));
    parse_or_refuse(delivery);
    WriteResult result = {};
    write_deliveries(&delivery, 1, Pace::waiting, &result);
    note_unmapped_keys(delivery);

    const DeliveryCounts counts = delivery->counts();
    char *reply = psprintf("{\"received\": %u, \"applied\": %u, \"skipped\": %u, \"dead_lettered\": %u}",
                           counts.received, counts.applied, counts.skipped, counts.dead_lettered);
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(reply));
}
