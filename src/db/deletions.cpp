#include "core/delivery.h"

#include "db/deletions.h"
#include "db/extension.h"
#include "db/identity.h"
#include "db/statements.h"
#include "db/text.h"
extern "C" {
#include "utils/array.h"
}

namespace cxone_sync {

namespace {

constexpr const char *find_statement =
    "SELECT u.number, t.deleted_ts FROM unnest($2) WITH ORDINALITY AS u(key, number) "
    "JOIN cxone_sync.tombstones AS t ON t.relation = $1 AND t.key = u.key";
constexpr const char *keep_statement =
    "INSERT INTO cxone_sync.tombstones AS t (relation, key, deleted_ts) "
    "SELECT $1, u.key, u.time FROM unnest($2, $3) AS u(key, time) "
    "ON CONFLICT (relation, key) DO UPDATE SET deleted_ts = excluded.deleted_ts "
    "WHERE excluded.deleted_ts > t.deleted_ts";

Datum key_text(const Target *target, const Row *row)
{
    auto *texts = static_cast<Datum *>(palloc(target->key_count * sizeof(Datum)));

    for (int k = 0; k < target->key_count; k++) {
        Oid output;
        bool is_varlena;

        getTypeOutputInfo(key_column(target, k).type, &output, &is_varlena);
        texts[k] = CStringGetTextDatum(OidOutputFunctionCall(output, row->keys[k]));
    }
    if (target->key_count == 1)
        return texts[0];
    ArrayType *array = construct_array(texts, target->key_count, TEXTOID, -1, false, TYPALIGN_INT);
    return CStringGetTextDatum(OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array)));
}

Datum key_texts(const Target *target, Row *const *rows, int count)
{
    auto *texts = static_cast<Datum *>(palloc(count * sizeof(Datum)));
    const int level = pin_text_forms();

    for (int r = 0; r < count; r++)
        texts[r] = key_text(target, rows[r]);
    AtEOXact_GUC(false, level);
    return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum event_times(Row *const *rows, int count)
{
    auto *times = static_cast<Datum *>(palloc(count * sizeof(Datum)));

    for (int r = 0; r < count; r++)
        times[r] = TimestampTzGetDatum(rows[r]->event->time);
    return PointerGetDatum(
        construct_array(times, count, TIMESTAMPTZOID, sizeof(TimestampTz), true, TYPALIGN_DOUBLE));
}

void run(const char *statement, int count, Oid *types, Datum *values, int expected)
{
    const int result = SPI_execute_with_args(statement, count, types, values, nullptr, false, 0);

    if (result != expected)
        elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
}

void keep_tombstones(const Target *target, Row *const *rows, int count)
{
    Oid types[] = {REGCLASSOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID};
    Datum values[] = {ObjectIdGetDatum(target->config.relation), key_texts(target, rows, count),
                      event_times(rows, count)};

    const SavedIdentity saved = as_owner(own_table("tombstones").owner);
    run(keep_statement, lengthof(values), types, values, SPI_OK_INSERT);
    back_to(saved);
}

/* Runs a statement that takes the rows' keys and times. */
void run_for_keys(const Target *target, const char *statement, Row *const *rows, int count, int expected)
{
    auto *values = static_cast<Datum *>(palloc((target->key_count + 1) * sizeof(Datum)));
    auto *types = static_cast<Oid *>(palloc((target->key_count + 1) * sizeof(Oid)));

    key_arrays(target, rows, count, values, types);
    run(statement, target->key_count + 1, types, values, expected);
}

} // namespace

bool deletes_rows(const Target *target)
{
    return target->config.delete_types != NIL && target->mark < 0;
}

void lock_against_deletions(const Target *target, bool will_delete)
{
    if (IsolationUsesXactSnapshot())
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("events of target \"%s\" cannot be applied in a transaction with isolation level "
                        "repeatable read or serializable",
                        target->config.name),
                 errdetail("Its deletions could not be seen."),
                 errhint("Use the isolation level read committed.")));
    LockDatabaseObject(RelationRelationId, target->config.relation, lock_of_deletions,
                       will_delete ? ExclusiveLock : ShareLock);
}

void skip_deleted(const Target *target, Row *const *rows, int count)
{
    Oid types[] = {REGCLASSOID, TEXTARRAYOID};
    Datum values[] = {ObjectIdGetDatum(target->config.relation), key_texts(target, rows, count)};

    const SavedIdentity saved = as_owner(own_table("tombstones").owner);
    run(find_statement, lengthof(values), types, values, SPI_OK_SELECT);
    for (uint64 i = 0; i < SPI_processed; i++) {
        bool is_null;
        HeapTuple found = SPI_tuptable->vals[i];
        TupleDesc description = SPI_tuptable->tupdesc;
        const int64 number = DatumGetInt64(SPI_getbinval(found, description, 1, &is_null));
        const TimestampTz deleted = DatumGetTimestampTz(SPI_getbinval(found, description, 2, &is_null));
        Event *event = rows[number - 1]->event;

        if (event->time < deleted || (event->time == deleted && !event->is_deletion))
            event->outcome = Outcome::skipped;
    }
    SPI_freetuptable(SPI_tuptable);
    back_to(saved);
}

void delete_rows(Target *target, Row *const *rows, int count)
{
    run_for_keys(target, delete_statement(target), rows, count, SPI_OK_DELETE);
    for (int r = 0; r < count; r++)
        rows[r]->event->outcome = Outcome::applied;
    if (target->field_order)
        run_for_keys(target, reset_statement(target), rows, count, SPI_OK_UPDATE);
    else
        skip_overtaken(target, rows, count);
    keep_tombstones(target, rows, count);
}

} // namespace cxone_sync
