/* The SQL functions that apply dead letters anew, and that tell what an event would do. */

#include "core/delivery.h"
#include "core/monitoring.h"
#include "core/parser.h"

#include "db/catalog.h"
#include "db/dead_letters.h"
#include "db/extension.h"
#include "db/held_delivery.h"
#include "db/near_miss.h"
#include "db/output_row.h"
#include "db/spi.h"
#include "db/text.h"
#include "db/upsert.h"
#include "db/writer.h"
extern "C" {
#include "utils/array.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_replay_dead_letters);
PG_FUNCTION_INFO_V1(cxone_sync_purge_dead_letters);
PG_FUNCTION_INFO_V1(cxone_sync_purge_tombstones);
PG_FUNCTION_INFO_V1(cxone_sync_simulate);
}

using namespace cxone_sync;

namespace {

/*
 * Locked rows are being replayed by somebody else. Those that failed least often are taken first; what is
 * taken is applied in the order of arrival.
 */
constexpr const char *select_statement =
    "WITH taken AS (SELECT d.id, d.received_at, d.target, d.payload, d.events_path FROM "
    "cxone_sync.dead_letters d "
    "WHERE ($1 IS NULL OR d.id = ANY ($1)) AND ($2 IS NULL OR d.target = $2) AND ($3 IS NULL OR d.sqlstate = "
    "$3) "
    "ORDER BY d.attempts, d.id LIMIT $4 FOR UPDATE SKIP LOCKED) "
    "SELECT id, received_at, target, payload, events_path FROM taken ORDER BY received_at, id";
constexpr const char *delete_statement = "DELETE FROM cxone_sync.dead_letters d WHERE d.id = ANY ($1)";
constexpr const char *of_target_query = "SELECT FROM cxone_sync.dead_letters d WHERE d.target = $1 LIMIT 1";

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
    const char *events_path = SPI_getvalue(tuple, description, 5);

    delivery->received = received;
    delivery->dead_letter = id;
    call_cpp([delivery, target, events_path] {
        delivery->envelope.is_event = events_path == nullptr;
        delivery->envelope.path = events_path != nullptr ? events_path : "";
        if (target != nullptr)
            delivery->only_target = target;
    });
    return delivery;
}

void check_sqlstate(const char *sqlstate)
{
    if (strlen(sqlstate) == 5 && strspn(sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5)
        return;
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"%s\" is not an SQLSTATE", sqlstate),
                    errhint("It has five digits or capital letters, such as 22P02.")));
}

/* A name that means nothing is a slip, rather than a target without letters. */
void tell_if_unknown(const char *name)
{
    NearMiss nearest = near_miss_of(name);
    Oid type = TEXTOID;
    Datum value = CStringGetTextDatum(name);
    const Catalog &catalog = open_catalog();

    if (find_target(name) != nullptr ||
        execute_as_owner("dead_letters", of_target_query, 1, &type, &value) > 0)
        return;
    for (int i = 0; i < catalog.count; i++)
        try_name(nearest, catalog.targets[i]->config.name);
    const char *hint = hint_of(nearest);
    ereport(NOTICE, (errmsg("target \"%s\" does not exist and has no dead letters", name),
                     hint != nullptr ? errhint("%s", hint) : 0));
}

/* The arguments are numbers, target, sqlstate, most. */
void check_replay(FunctionCallInfo fcinfo)
{
    if (!PG_ARGISNULL(2))
        check_sqlstate(text_to_cstring(PG_GETARG_TEXT_PP(2)));
    if (!PG_ARGISNULL(3) && PG_GETARG_INT32(3) < 0)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"most\" must not be negative")));
    if (!PG_ARGISNULL(1))
        tell_if_unknown(text_to_cstring(PG_GETARG_TEXT_PP(1)));
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
    connect_spi();
    const SPITupleTable *found =
        run_as(own_table("dead_letters").owner, select_statement, lengthof(types), types, values, nulls);
    MemoryContext spi_context = MemoryContextSwitchTo(context);
    letters.deliveries = static_cast<Delivery **>(palloc(Max(found->numvals, 1) * sizeof(Delivery *)));
    for (uint64 i = 0; i < found->numvals; i++)
        letters.deliveries[letters.count++] = delivery_of_letter(found->vals[i], found->tupdesc);
    MemoryContextSwitchTo(spi_context);
    SPI_finish();
    return letters;
}

void delete_applied(const Letters &letters)
{
    auto *ids = static_cast<Datum *>(palloc(Max(letters.count, 1) * sizeof(Datum)));
    int count = 0;
    Oid type = INT8ARRAYOID;

    for (int i = 0; i < letters.count; i++) {
        if (!letters.deliveries[i]->is_letter_kept)
            ids[count++] = Int64GetDatum(letters.deliveries[i]->dead_letter);
    }
    Datum array = PointerGetDatum(construct_array(ids, count, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
    (void)execute_as_owner("dead_letters", delete_statement, 1, &type, &array);
}

TimestampTz before(TimestampTz time, Datum interval)
{
    return DatumGetTimestampTz(
        DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(time), interval));
}

/*
 * What is older than the arguments of a purge say. What they mean is an instant: by that a slip is told, not
 * by the interval, whose months and days have no length of their own. A day is as long as the calendar or 24
 * hours, whichever is less.
 */
TimestampTz limit_of_purge(FunctionCallInfo fcinfo)
{
    const TimestampTz now = GetCurrentTransactionStartTimestamp();

    if (PG_ARGISNULL(0))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("\"older_than\" must not be null")));
    Interval day = {.time = 0, .day = 1, .month = 0};
    const TimestampTz yesterday = Max(before(now, IntervalPGetDatum(&day)), now - USECS_PER_DAY);
    const TimestampTz limit = before(now, PG_GETARG_DATUM(0));
    const bool is_forced = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
    if (limit > now)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"older_than\" must be positive"),
                        errhint("What is older than 90 days goes with '90 days'.")));
    if (limit > yesterday && !is_forced)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("\"older_than\" is %g seconds",
                               static_cast<double>(now - limit) / static_cast<double>(USECS_PER_SEC)),
                        errhint("Write '90 days' for days. Less than a day needs force => true.")));
    return limit;
}

Datum purge(FunctionCallInfo fcinfo, const char *table, const char *statement)
{
    Oid type = TIMESTAMPTZOID;
    Datum limit = TimestampTzGetDatum(limit_of_purge(fcinfo));

    return Int64GetDatum(static_cast<int64>(execute_as_owner(table, statement, 1, &type, &limit)));
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
    auto *names = static_cast<Datum *>(palloc(event.field_count * sizeof(Datum)));
    auto *texts = static_cast<Datum *>(palloc(event.field_count * sizeof(Datum)));
    auto *nulls = static_cast<bool *>(palloc(event.field_count * sizeof(bool)));
    int count = event.field_count;
    int lower_bound = 1;

    for (int i = 0; i < count; i++) {
        const Field &field = event.fields[i];
        const Mapping::Column &column = target.columns[field.column];
        char time_text[32];

        names[i] = text_datum(column.name);
        texts[i] = text_datum(field.is_time ? time_text_of(column.shape, field.time, time_text) : field.text);
        nulls[i] = field.is_null;
    }
    const auto array = [&](Datum *values, bool *are_null) {
        return PointerGetDatum(
            construct_md_array(values, are_null, 1, &count, &lower_bound, TEXTOID, -1, false, TYPALIGN_INT));
    };
    return DirectFunctionCall2(jsonb_object_two_arg, array(names, nullptr), array(texts, nulls));
}

void add_fault(OutputRow &row, const Refusal *fault)
{
    row.add_text(fault != nullptr ? fault->sqlstate : "");
    row.add(fault != nullptr ? text_datum(fault->message) : 0, fault == nullptr);
}

void put_simulated(ReturnSetInfo *result, const Delivery *delivery, const Event &event)
{
    const bool has_target = event.target != Event::no_target;
    const bool has_fields = has_target && event.field_count > 0;
    const Mapping::Target *target = has_target ? &delivery->mapping->targets()[event.target] : nullptr;
    OutputRow row;

    row.add(Int32GetDatum(static_cast<int32>(event.number) + 1));
    row.add_text(has_target ? target->name : std::string_view());
    row.add_text(outcome_name(event));
    row.add_text(event.key);
    row.add(TimestampTzGetDatum(event.time), !has_target);
    row.add(has_fields ? fields_of(*target, event) : 0, !has_fields);
    add_fault(row, event.fault);
    row.add_text(event.fault != nullptr ? event.fault->column : "");
    row.put(result);
}

} // namespace

Datum cxone_sync_replay_dead_letters(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);

    (void)open_catalog();
    check_replay(fcinfo);
    const Letters letters = read_letters(fcinfo);
    if (letters.count == 0)
        return 0;
    WriteResult written = {};
    write_deliveries(letters.deliveries, letters.count, Pace::waiting, &written);
    delete_applied(letters);
    for (int i = 0; i < letters.count; i++) {
        const Delivery *delivery = letters.deliveries[i];
        OutputRow row;

        row.add(Int64GetDatum(delivery->dead_letter));
        row.add_text(outcome_name(delivery));
        add_fault(row, fault_of(delivery));
        row.put(result);
    }
    return 0;
}

Datum cxone_sync_purge_dead_letters(PG_FUNCTION_ARGS)
{
    return purge(fcinfo, "dead_letters", "DELETE FROM cxone_sync.dead_letters WHERE received_at < $1");
}

Datum cxone_sync_purge_tombstones(PG_FUNCTION_ARGS)
{
    return purge(fcinfo, "tombstones", "DELETE FROM cxone_sync.tombstones WHERE deleted_ts < $1");
}

/* Writes as ingest() does, and takes it back. */
Datum cxone_sync_simulate(PG_FUNCTION_ARGS)
{
    Jsonb *payload = PG_GETARG_JSONB_P(0);
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);

    (void)open_catalog();
    Delivery *delivery = make_delivery(JsonbToCString(nullptr, &payload->root, VARSIZE(payload)));
    parse_or_refuse(delivery);
    PgError error;
    WriteResult written = {};
    const auto write_and_forget = [&delivery, &written] {
        write_deliveries(&delivery, 1, Pace::waiting, &written);
        return false;
    };
    (void)in_any_subtransaction(CurrentMemoryContext, error, write_and_forget);
    if (error.sqlerrcode != 0)
        raise(error);
    for (const Event &event : delivery->events)
        put_simulated(result, delivery, event);
    return 0;
}
