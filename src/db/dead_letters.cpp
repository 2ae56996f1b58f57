#include "core/delivery.h"
#include "core/monitoring.h"

#include "db/dead_letters.h"
#include "db/extension.h"
#include "db/identity.h"
#include "db/shared_state.h"
#include "db/spi.h"
#include "db/text.h"
extern "C" {
#include "utils/array.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_dead_letters_changed);
}

namespace cxone_sync {

namespace {

constexpr const char *insert_statement =
    "INSERT INTO cxone_sync.dead_letters (received_at, target, event_key, event_time, sqlstate, message, "
    "detail, hint, column_name, constraint_name, payload, events_path) "
    "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/*
 * Of a line that can be read by now, the letter becomes that of its first event that fails. The history is
 * bounded: nobody reads the hundredth failure.
 */
constexpr const char *retry_statement =
    "UPDATE cxone_sync.dead_letters AS d SET history = CASE WHEN jsonb_array_length(history) < 20 THEN "
    "history ELSE history - 0 END || "
    "jsonb_build_object('at', last_attempt_at, 'sqlstate', d.sqlstate, 'message', d.message), "
    "attempts = attempts + 1, last_attempt_at = clock_timestamp(), received_at = u.received_at, target = "
    "u.target, event_key = u.event_key, event_time = u.event_time, sqlstate = u.sqlstate, message = "
    "u.message, detail = u.detail, hint = u.hint, column_name = u.column_name, constraint_name = "
    "u.constraint_name, payload = u.payload, events_path = u.events_path "
    "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS u (received_at, target, "
    "event_key, event_time, sqlstate, message, detail, hint, column_name, constraint_name, payload, "
    "events_path, id) WHERE d.id = u.id";

/* One that had a target and now has none keeps the reason by which it can be mended. */
constexpr const char *unrouted_statement =
    "UPDATE cxone_sync.dead_letters AS d SET attempts = attempts + 1, last_attempt_at = clock_timestamp(), "
    "hint = 'No target takes such an event any more: have one take its type by add_target or change_target, "
    "or delete the letter.' WHERE d.id = ANY ($13)";

/* What is written of a letter, in the order of the statements' parameters. */
enum LetterColumn {
    received_at,
    target_name,
    event_key,
    event_time,
    sqlstate,
    message,
    detail,
    hint,
    column_name,
    constraint_name,
    payload,
    events_path,
    letter_id,
    letter_columns
};

struct Value {
    Datum datum;
    bool is_null;
};

Value text_value(std::string_view text)
{
    if (text.empty())
        return {0, true};
    return {text_datum(text), false};
}

Value value_of(const Row *row, int column)
{
    const Event *event = row->event;

    switch (column) {
    case received_at:
        return {TimestampTzGetDatum(row->delivery->arrival_of(*event)), false};
    case target_name:
        return text_value(row->target != nullptr ? row->target->config.name
                                                 : row->delivery->only_target.c_str());
    case event_key:
        return text_value(event->key);
    case event_time:
        return {TimestampTzGetDatum(event->time), !event->has_time};
    case sqlstate:
        return text_value(unpack_sql_state(row->fault->sqlerrcode));
    case message:
        return {text_datum(row->fault->message), false};
    case detail:
        return text_value(row->fault->detail);
    case hint:
        return text_value(row->fault->hint);
    case column_name:
        return text_value(row->fault->column);
    case constraint_name:
        return text_value(row->fault->constraint);
    case payload:
        return {text_datum(event->raw), false};
    case events_path:
        return {text_datum(row->delivery->envelope.path), !event->is_envelope};
    default:
        return {Int64GetDatum(row->delivery->dead_letter), false};
    }
}

Oid type_of(int column)
{
    return column == received_at || column == event_time ? TIMESTAMPTZOID
           : column == letter_id                         ? INT8OID
                                                         : TEXTOID;
}

Datum letters_array(Row *const *rows, int count, int column)
{
    auto *values = static_cast<Datum *>(palloc(count * sizeof(Datum)));
    auto *nulls = static_cast<bool *>(palloc(count * sizeof(bool)));
    int lower_bound = 1;
    int16 length;
    bool by_value;
    char alignment;

    get_typlenbyvalalign(type_of(column), &length, &by_value, &alignment);
    for (int r = 0; r < count; r++) {
        const Value value = value_of(rows[r], column);

        values[r] = value.datum;
        nulls[r] = value.is_null;
    }
    return PointerGetDatum(construct_md_array(values, nulls, 1, &count, &lower_bound, type_of(column), length,
                                              by_value, alignment));
}

/* Runs one of the statements above for these letters. */
void write_letters_at_once(SPIPlanPtr *plan, const char *statement, int parameters, Row *const *rows,
                           int count, int expected)
{
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "cxone_sync letters", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller_context = MemoryContextSwitchTo(context);
    Datum values[letter_columns];
    Oid types[letter_columns];

    for (int c = 0; c < parameters; c++) {
        values[c] = letters_array(rows, count, c);
        types[c] = get_array_type(type_of(c));
    }
    if (*plan == nullptr)
        *plan = prepare_spi(statement, parameters, types);
    run_spi(*plan, values, nullptr, expected);
    MemoryContextSwitchTo(caller_context);
    MemoryContextDelete(context);
}

/* In pieces, since a statement takes a multiple of its letters' size. */
void write_letters(SPIPlanPtr *plan, const char *statement, int parameters, Row *const *rows, int count,
                   int expected)
{
    constexpr std::size_t most_bytes = 256 * 1024;

    for (int begin = 0, end; begin < count; begin = end) {
        std::size_t bytes = 0;

        for (end = begin; end < count && (end == begin || bytes < most_bytes); end++)
            bytes += rows[end]->event->raw.size() + 256;
        write_letters_at_once(plan, statement, parameters, rows + begin, end - begin, expected);
    }
}

bool has_lost_its_target(const Row *row)
{
    return row->fault->sqlerrcode == ERRCODE_NO_DATA && !row->delivery->only_target.empty() &&
           row->delivery->envelope.is_event;
}

} // namespace

void write_dead_letters(Row *const *rows, int count)
{
    static SPIPlanPtr insert_plan = nullptr;
    static SPIPlanPtr retry_plan = nullptr;
    static SPIPlanPtr unrouted_plan = nullptr;
    auto **fresh = static_cast<Row **>(palloc(count * sizeof(Row *)));
    auto **again = static_cast<Row **>(palloc(count * sizeof(Row *)));
    auto **unrouted = static_cast<Row **>(palloc(count * sizeof(Row *)));
    int fresh_count = 0;
    int again_count = 0;
    int unrouted_count = 0;

    for (int r = 0; r < count; r++) {
        Delivery *delivery = rows[r]->delivery;

        /* one that was meant for no target may fail for several: each needs a letter */
        if (delivery->dead_letter != 0 && !delivery->is_letter_kept) {
            delivery->is_letter_kept = true;
            if (has_lost_its_target(rows[r]))
                unrouted[unrouted_count++] = rows[r];
            else
                again[again_count++] = rows[r];
        } else {
            fresh[fresh_count++] = rows[r];
        }
    }
    const SavedIdentity saved = as_owner(own_table("dead_letters").owner);
    write_letters(&insert_plan, insert_statement, letter_id, fresh, fresh_count, SPI_OK_INSERT);
    write_letters(&retry_plan, retry_statement, letter_columns, again, again_count, SPI_OK_UPDATE);
    write_letters(&unrouted_plan, unrouted_statement, letter_columns, unrouted, unrouted_count,
                  SPI_OK_UPDATE);
    back_to(saved);
    call_cpp([rows, count] {
        for (int r = 0; r < count; r++) {
            const Fault *fault = rows[r]->fault;

            rows[r]->delivery->set_fault(*rows[r]->event, unpack_sql_state(fault->sqlerrcode), fault->message,
                                         fault->column);
            rows[r]->event->outcome = Outcome::dead_lettered;
        }
    });
    pfree(fresh);
    pfree(again);
    pfree(unrouted);
}

DeadLetterCounts count_open_dead_letters()
{
    DeadLetterCounts counts = {};
    char statement[160];

    pin_setting("lock_timeout", "1ms"); /* until the end of the transaction, which is the count's own */
    snprintf(statement, sizeof(statement),
             "SELECT sqlstate, count(*) FROM (SELECT sqlstate FROM cxone_sync.dead_letters LIMIT %lld) AS l "
             "GROUP BY sqlstate",
             static_cast<long long>(DeadLetterCounts::limit));
    connect_spi();
    const SPITupleTable *found = run_as(own_table("dead_letters", AccessShareLock).owner, statement);
    for (uint64 i = 0; i < found->numvals; i++) {
        bool is_null;
        const DeadLetterReason reason = dead_letter_reason(SPI_getvalue(found->vals[i], found->tupdesc, 1));
        const Datum letters = SPI_getbinval(found->vals[i], found->tupdesc, 2, &is_null);

        counts.open[static_cast<int>(reason)] += static_cast<std::uint64_t>(DatumGetInt64(letters));
    }
    SPI_finish();
    counts.counted_at = GetCurrentTimestamp();
    return counts;
}

} // namespace cxone_sync

/* A trigger on dead_letters: whoever changes them has them counted anew. */
Datum cxone_sync_dead_letters_changed(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_TRIGGER(fcinfo))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("dead_letters_changed() is a trigger")));
    cxone_sync::count_dead_letters_at_commit();
    return PointerGetDatum(nullptr);
}
