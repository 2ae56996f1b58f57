/* The SQL functions that apply dead letters anew, and that tell what an event would do. */

#include "core/delivery.h"
#include "core/monitoring.h"
#include "core/parser.h"

#include "db/catalog.h"
#include "db/dead_letters.h"
#include "db/extension.h"
#include "db/held_delivery.h"
#include "db/identity.h"
#include "db/text.h"
#include "db/upsert.h"
#include "db/writer.h"
extern "C" {
#include "utils/array.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_replay_dead_letters);
PG_FUNCTION_INFO_V1(cxone_sync_simulate);
}

using namespace cxone_sync;

namespace {

/* Locked rows are being replayed by somebody else. Those that failed most often come last. */
constexpr const char *select_statement =
    "SELECT d.id, d.received_at, d.target, d.payload FROM cxone_sync.dead_letters d "
    "WHERE ($1 IS NULL OR d.id = ANY ($1)) AND ($2 IS NULL OR d.target = $2) AND ($3 IS NULL OR d.sqlstate = "
    "$3) "
    "ORDER BY d.attempts, d.id LIMIT $4 FOR UPDATE SKIP LOCKED";
constexpr const char *delete_statement = "DELETE FROM cxone_sync.dead_letters d WHERE d.id = ANY ($1)";

struct Letters {
    int count;
    Delivery **deliveries;
};

Delivery *delivery_of_letter(HeapTuple tuple, TupleDesc description)
{
    bool is_null;
    const int64 id = DatumGetInt64(SPI_getbinval(tuple, description, 1, &is_null));
    const TimestampTz received = DatumGetTimestampTz(SPI_getbinval(tuple, description, 2, &is_null));
    const char *target = SPI_getvalue(tuple, description, 3);
    Delivery *delivery = make_delivery(SPI_getvalue(tuple, description, 4));

    delivery->received = received;
    delivery->dead_letter = id;
    call_cpp([delivery, target] {
        delivery->envelope = {.path = {}, .is_event = true};
        if (target != nullptr)
            delivery->only_target = target;
    });
    return delivery;
}

/* The arguments of a call: numbers, target, sqlstate, most. */
Letters read_letters(FunctionCallInfo fcinfo)
{
    Oid types[] = {INT8ARRAYOID, TEXTOID, TEXTOID, INT4OID};
    Datum values[lengthof(types)];
    char nulls[lengthof(types)];
    MemoryContext context = CurrentMemoryContext;
    Letters letters = {};

    for (std::size_t i = 0; i < lengthof(types); i++) {
        values[i] = PG_GETARG_DATUM(i);
        nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
    }
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    const SavedIdentity saved = as_owner(own_table("dead_letters").owner);
    if (SPI_execute_with_args(select_statement, lengthof(types), types, values, nulls, false, 0) !=
        SPI_OK_SELECT)
        elog(ERROR, "could not read dead letters: %s", SPI_result_code_string(SPI_result));
    MemoryContext spi_context = MemoryContextSwitchTo(context);
    letters.deliveries = static_cast<Delivery **>(palloc(Max(SPI_processed, 1) * sizeof(Delivery *)));
    for (uint64 i = 0; i < SPI_processed; i++)
        letters.deliveries[letters.count++] =
            delivery_of_letter(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
    MemoryContextSwitchTo(spi_context);
    back_to(saved);
    SPI_finish();
    return letters;
}

void delete_applied(const Letters &letters)
{
    auto *ids = static_cast<Datum *>(palloc(Max(letters.count, 1) * sizeof(Datum)));
    int count = 0;
    Oid type = INT8ARRAYOID;

    for (int i = 0; i < letters.count; i++) {
        if (!letters.deliveries[i]->is_letter_kept && !letters.deliveries[i]->events.empty())
            ids[count++] = Int64GetDatum(letters.deliveries[i]->dead_letter);
    }
    Datum array = PointerGetDatum(construct_array(ids, count, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    const SavedIdentity saved = as_owner(own_table("dead_letters").owner);
    if (SPI_execute_with_args(delete_statement, 1, &type, &array, nullptr, false, 0) != SPI_OK_DELETE)
        elog(ERROR, "could not delete dead letters: %s", SPI_result_code_string(SPI_result));
    back_to(saved);
    SPI_finish();
}

const char *outcome_name(const Delivery *delivery)
{
    const DeliveryCounts counts = delivery->counts();

    return counts.dead_lettered > 0 ? "dead_lettered" : counts.applied > 0 ? "applied" : "skipped";
}

const char *outcome_name(const Event &event)
{
    switch (event.outcome) {
    case Outcome::applied:
        return "applied";
    case Outcome::dead_lettered:
        return "dead_lettered";
    case Outcome::skipped:
    case Outcome::pending:
        break;
    }
    return "skipped";
}

const Refusal *fault_of(const Delivery *delivery)
{
    for (const Event &event : delivery->events) {
        if (event.fault != nullptr)
            return event.fault;
    }
    return nullptr;
}

/* The columns that the event feeds, with the texts that their input functions get. */
Datum fields_of(const Mapping::Target &target, const Event &event)
{
    JsonbParseState *state = nullptr;

    pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
    for (int i = 0; i < event.field_count; i++) {
        const Field &field = event.fields[i];
        const char *name = target.columns[field.column].name.c_str();
        JsonbValue key = {};
        JsonbValue value = {};
        char time_text[32];
        const std::string_view text =
            field.is_time ? time_text_of(target.columns[field.column].shape, field.time, time_text)
                          : field.text;

        key.type = jbvString;
        key.val.string = {static_cast<int>(strlen(name)), const_cast<char *>(name)};
        pushJsonbValue(&state, WJB_KEY, &key);
        value.type = field.is_null ? jbvNull : jbvString;
        value.val.string = {static_cast<int>(text.size()), c_string(text)};
        pushJsonbValue(&state, WJB_VALUE, &value);
    }
    return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr)));
}

void put_simulated(ReturnSetInfo *result, const Delivery *delivery, const Event &event)
{
    const bool has_target = event.target != Event::no_target;
    const bool has_fields = has_target && event.field_count > 0;
    const Refusal *fault = event.fault;
    const Mapping::Target *target = has_target ? &delivery->mapping->targets()[event.target] : nullptr;
    Datum values[] = {Int32GetDatum(static_cast<int32>(event.number) + 1),
                      CStringGetTextDatum(has_target ? target->name.c_str() : ""),
                      CStringGetTextDatum(outcome_name(event)),
                      text_datum(event.key),
                      TimestampTzGetDatum(event.time),
                      has_fields ? fields_of(*target, event) : 0,
                      fault ? CStringGetTextDatum(fault->sqlstate) : 0,
                      fault ? text_datum(fault->message) : 0,
                      fault ? text_datum(fault->column) : 0};
    bool nulls[] = {false,
                    !has_target,
                    false,
                    event.key.empty(),
                    !has_target,
                    !has_fields,
                    fault == nullptr,
                    fault == nullptr,
                    fault == nullptr || fault->column.empty()};

    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

} // namespace

Datum cxone_sync_replay_dead_letters(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);

    watch_catalog();
    (void)open_catalog();
    const Letters letters = read_letters(fcinfo);
    if (letters.count == 0)
        return 0;
    WriteResult written = {};
    write_deliveries(letters.deliveries, letters.count, Pace::waiting, &written);
    delete_applied(letters);
    for (int i = 0; i < letters.count; i++) {
        const Delivery *delivery = letters.deliveries[i];
        const Refusal *fault = fault_of(delivery);
        Datum values[] = {Int64GetDatum(delivery->dead_letter), CStringGetTextDatum(outcome_name(delivery)),
                          fault ? CStringGetTextDatum(fault->sqlstate) : 0,
                          fault ? text_datum(fault->message) : 0};
        bool nulls[] = {false, false, fault == nullptr, fault == nullptr};

        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return 0;
}

/* Writes as ingest() does, and takes it back. */
Datum cxone_sync_simulate(PG_FUNCTION_ARGS)
{
    Jsonb *payload = PG_GETARG_JSONB_P(0);
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);

    watch_catalog();
    (void)open_catalog();
    Delivery *delivery = make_delivery(JsonbToCString(nullptr, &payload->root, VARSIZE(payload)));
    parse_or_refuse(delivery);
    PgError error;
    WriteResult written = {};
    const auto write = [&delivery, &written] { write_deliveries(&delivery, 1, Pace::waiting, &written); };
    if (!in_any_subtransaction(CurrentMemoryContext, error, write, false))
        raise(error);
    for (const Event &event : delivery->events)
        put_simulated(result, delivery, event);
    return 0;
}
