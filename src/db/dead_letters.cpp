#include "core/delivery.h"
#include "core/monitoring.h"

#include "db/dead_letters.h"
#include "db/extension.h"
#include "db/identity.h"
#include "db/shared_state.h"
#include "db/text.h"

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_dead_letters_changed);
}

namespace cxone_sync {

namespace {

constexpr const char *insert_statement =
    "INSERT INTO cxone_sync.dead_letters "
    "(received_at, target, event_key, event_time, sqlstate, message, column_name, hint, payload) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/* $9, the payload, is there already. The history is bounded: nobody reads the hundredth failure. */
constexpr const char *retry_statement =
    "UPDATE cxone_sync.dead_letters SET history = CASE WHEN jsonb_array_length(history) < 20 THEN history "
    "ELSE history - 0 END || "
    "jsonb_build_object('at', last_attempt_at, 'sqlstate', sqlstate, 'message', message), "
    "attempts = attempts + 1, last_attempt_at = clock_timestamp(), target = $2, event_key = $3, "
    "event_time = $4, sqlstate = $5, message = $6, column_name = $7, hint = $8 "
    "WHERE id = $10 AND received_at = $1 AND $9 IS NOT NULL";

char null_if(bool is_null)
{
    return is_null ? 'n' : ' ';
}

SPIPlanPtr prepare(const char *statement, int count)
{
    Oid types[] = {TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID,
                   TEXTOID,        TEXTOID, TEXTOID, TEXTOID,        INT8OID};
    SPIPlanPtr plan = SPI_prepare(statement, count, types);

    if (plan == nullptr || SPI_keepplan(plan) != 0)
        elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
    return plan;
}

/* Of rows with an SQLSTATE and how many letters have it. */
void add_counts(void *sum)
{
    auto *counts = static_cast<DeadLetterCounts *>(sum);

    for (uint64 i = 0; i < SPI_processed; i++) {
        bool is_null;
        HeapTuple row = SPI_tuptable->vals[i];
        const DeadLetterReason reason = dead_letter_reason(SPI_getvalue(row, SPI_tuptable->tupdesc, 1));
        const Datum letters = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null);
        counts->open[static_cast<int>(reason)] += static_cast<std::uint64_t>(DatumGetInt64(letters));
    }
}

} // namespace

void add_dead_letter(Delivery *delivery, Event *event, const char *target, const Fault &fault)
{
    static SPIPlanPtr insert_plan = nullptr;
    static SPIPlanPtr retry_plan = nullptr;
    /* one that was meant for no target may fail for several: each needs a letter */
    const bool is_retry = delivery->dead_letter != 0 && !delivery->is_letter_kept;
    Datum values[] = {TimestampTzGetDatum(delivery->received),
                      CStringGetTextDatum(target != nullptr ? target : ""),
                      text_datum(event->key),
                      TimestampTzGetDatum(event->time),
                      CStringGetTextDatum(fault.sqlstate),
                      text_datum(fault.message),
                      text_datum(fault.column),
                      text_datum(fault.hint),
                      text_datum(event->raw),
                      Int64GetDatum(delivery->dead_letter)};
    const char nulls[] = {' ',
                          null_if(target == nullptr),
                          null_if(event->key.empty()),
                          null_if(!event->has_time),
                          ' ',
                          ' ',
                          null_if(fault.column.empty()),
                          null_if(fault.hint.empty()),
                          ' ',
                          ' '};
    SPIPlanPtr *plan = is_retry ? &retry_plan : &insert_plan;

    const SavedIdentity saved = as_owner(own_table("dead_letters").owner);
    if (*plan == nullptr)
        *plan = is_retry ? prepare(retry_statement, 10) : prepare(insert_statement, 9);
    const int result = SPI_execute_plan(*plan, values, nulls, false, 0);
    if (result != (is_retry ? SPI_OK_UPDATE : SPI_OK_INSERT))
        elog(ERROR, "could not write a dead letter: %s", SPI_result_code_string(result));
    back_to(saved);
    call_cpp([delivery, event, &fault] {
        delivery->set_fault(*event, fault.sqlstate, fault.message, fault.column);
    });
    delivery->is_letter_kept |= is_retry;
    event->outcome = Outcome::dead_lettered;
}

DeadLetterCounts count_open_dead_letters()
{
    DeadLetterCounts counts = {};
    char statement[160];

    if (!ConditionalLockRelationOid(own_table("dead_letters").relation, AccessShareLock))
        return counts;
    snprintf(statement, sizeof(statement),
             "SELECT sqlstate, count(*) FROM (SELECT sqlstate FROM cxone_sync.dead_letters LIMIT %lld) AS l "
             "GROUP BY sqlstate",
             static_cast<long long>(DeadLetterCounts::limit));
    (void)execute_as_owner("dead_letters", statement, 0, nullptr, nullptr, nullptr, add_counts, &counts);
    counts.counted_at = GetCurrentTimestamp();
    return counts;
}

bool is_transient(int sqlerrcode)
{
    /* such as a table that is published without a replica identity: no retry cures that */
    if (sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
        return false;
    if (sqlerrcode == ERRCODE_DATA_CORRUPTED || sqlerrcode == ERRCODE_INDEX_CORRUPTED)
        return true;
    switch (ERRCODE_TO_CATEGORY(sqlerrcode)) {
    case MAKE_SQLSTATE('0', '8', '0', '0',
                       '0'): /* connection exception, of a foreign table behind a trigger */
    case MAKE_SQLSTATE('2', '5', '0', '0', '0'): /* invalid transaction state: read-only */
    case MAKE_SQLSTATE('4', '0', '0', '0', '0'): /* transaction rollback: deadlock, serialization */
    case MAKE_SQLSTATE('5', '3', '0', '0', '0'): /* insufficient resources: disk full, out of memory */
    case MAKE_SQLSTATE('5', '5', '0', '0', '0'): /* lock not available, object in use */
    case MAKE_SQLSTATE('5', '7', '0', '0', '0'): /* operator intervention: cancel, shutdown */
    case MAKE_SQLSTATE('5', '8', '0', '0', '0'): /* system error: I/O */
        return true;
    default:
        return false;
    }
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
