#include "core/delivery.h"

#include "db/deletions.h"
#include "db/extension.h"
#include "db/identity.h"
#include "db/insert_triggers.h"
#include "db/planning.h"
#include "db/spi.h"
#include "db/statements.h"
#include "db/text.h"
extern "C" {
#include "utils/array.h"
}

namespace cxone_sync {

namespace {

/* By its limit the look for one key is no join, which could read all of a table's tombstones instead. */
constexpr const char *find_statement =
    "SELECT u.number, t.deleted_ts FROM unnest($3) WITH ORDINALITY AS u(key, number), LATERAL ("
    "SELECT s.deleted_ts FROM cxone_sync.tombstones AS s "
    "WHERE s.relation = $1 AND s.key_columns = $2 AND s.key = u.key LIMIT 1) AS t";
constexpr const char *keep_statement =
    "INSERT INTO cxone_sync.tombstones AS t (relation, key_columns, key, deleted_ts) "
    "SELECT $1, $2, u.key, u.time FROM unnest($3, $4) AS u(key, time) "
    "ON CONFLICT (relation, key_columns, key) DO UPDATE SET deleted_ts = excluded.deleted_ts "
    "WHERE excluded.deleted_ts > t.deleted_ts";

const Oid tombstone_types[] = {REGCLASSOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID};

Datum text_array(Datum *texts, int count)
{
    return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum key_columns(const Target *target, const List *key)
{
    const int count = list_length(key);
    auto *names = static_cast<Datum *>(palloc(count * sizeof(Datum)));

    for (int k = 0; k < count; k++)
        names[k] = CStringGetTextDatum(target->columns[list_nth_int(key, k)].lasting_name);
    return text_array(names, count);
}

/* What the event says of a column; false if that is nothing, or null. */
bool find_value(const Row *row, int column, Datum *value)
{
    for (int i = 0; i < row->event->field_count; i++) {
        if (row->event->fields[i].column == column) {
            *value = row->values[i];
            return !row->event->fields[i].is_null;
        }
    }
    return false;
}

bool has_key(const Row *row, const List *key)
{
    Datum value;

    for (const int column : Each<int>(key)) {
        if (!find_value(row, column, &value))
            return false;
    }
    return true;
}

/* Of a row that has the key. */
Datum key_text(const Target *target, const List *key, const Row *row)
{
    const int count = list_length(key);
    auto *texts = static_cast<Datum *>(palloc(count * sizeof(Datum)));

    for (int k = 0; k < count; k++) {
        const int column = list_nth_int(key, k);
        Datum value = 0;
        Oid output;
        bool is_varlena;

        (void)find_value(row, column, &value);
        getTypeOutputInfo(target->columns[column].type, &output, &is_varlena);
        texts[k] = CStringGetTextDatum(OidOutputFunctionCall(output, value));
    }
    if (count == 1)
        return texts[0];
    return CStringGetTextDatum(OidOutputFunctionCall(F_ARRAY_OUT, text_array(texts, count)));
}

/* What identifies the rows' tombstones: the first three parameters of the statements above. */
void tombstone_keys(const Target *target, const List *key, Row *const *rows, int count, Datum *values)
{
    auto *texts = static_cast<Datum *>(palloc(count * sizeof(Datum)));
    const int level = pin_text_forms();

    for (int r = 0; r < count; r++)
        texts[r] = key_text(target, key, rows[r]);
    AtEOXact_GUC(false, level);
    values[0] = ObjectIdGetDatum(target->config.relation);
    values[1] = key_columns(target, key);
    values[2] = text_array(texts, count);
}

const List *own_key(const Target *target)
{
    return static_cast<const List *>(linitial(target->deletion_keys));
}

Datum event_times(Row *const *rows, int count)
{
    auto *times = static_cast<Datum *>(palloc(count * sizeof(Datum)));

    for (int r = 0; r < count; r++)
        times[r] = TimestampTzGetDatum(rows[r]->event->time);
    return PointerGetDatum(
        construct_array(times, count, TIMESTAMPTZOID, sizeof(TimestampTz), true, TYPALIGN_DOUBLE));
}

void keep_tombstones(const Target *target, Row *const *rows, int count)
{
    static SPIPlanPtr plan = nullptr;
    Datum values[lengthof(tombstone_types)];

    if (count == 0)
        return;
    tombstone_keys(target, own_key(target), rows, count, values);
    values[3] = event_times(rows, count);
    const SavedIdentity saved = as_owner(own_table("tombstones").owner);
    if (plan == nullptr)
        plan = prepare_spi(keep_statement, 4, tombstone_types, Planning::once);
    run_spi(plan, values, nullptr, SPI_OK_INSERT);
    back_to(saved);
}

void settle_by_tombstone(Row *row, TimestampTz deleted)
{
    Event *event = row->event;

    if (event->time < deleted || (event->time == deleted && !event->is_deletion))
        event->outcome = Outcome::skipped;
    else
        row->is_repeated = event->time == deleted;
}

/* By the tombstones of one key, which the rows have. */
void settle_by_tombstones(const Target *target, const List *key, Row *const *rows, int count)
{
    static SPIPlanPtr plan = nullptr;
    Datum values[lengthof(tombstone_types)];

    tombstone_keys(target, key, rows, count, values);
    const SavedIdentity saved = as_owner(own_table("tombstones", AccessShareLock).owner);
    if (plan == nullptr)
        plan = prepare_spi(find_statement, 3, tombstone_types, Planning::once);
    watch_planning(plan, nullptr, true);
    run_spi(plan, values, nullptr, SPI_OK_SELECT);
    unwatch_planning();
    for (uint64 i = 0; i < SPI_processed; i++) {
        bool is_null;
        HeapTuple found = SPI_tuptable->vals[i];
        TupleDesc description = SPI_tuptable->tupdesc;
        const int64 number = DatumGetInt64(SPI_getbinval(found, description, 1, &is_null));

        settle_by_tombstone(rows[number - 1],
                            DatumGetTimestampTz(SPI_getbinval(found, description, 2, &is_null)));
    }
    SPI_freetuptable(SPI_tuptable);
    back_to(saved);
}

bool is_settled(const Row *row)
{
    return row->event->outcome == Outcome::skipped;
}

/* An event may tell more keys of its row than that of its target; of a deletion that one counts. */
void settle_by_other_keys(const Target *target, Row *const *rows, int count)
{
    auto **chosen = static_cast<Row **>(palloc(count * sizeof(Row *)));

    for (int i = 1; i < list_length(target->deletion_keys); i++) {
        const auto *key = static_cast<const List *>(list_nth(target->deletion_keys, i));
        const int chosen_count = choose(rows, count, chosen, [key](const Row *row) {
            return !is_settled(row) && !is_removal(row) && has_key(row, key);
        });

        if (chosen_count > 0)
            settle_by_tombstones(target, key, chosen, chosen_count);
    }
    pfree(chosen);
}

/* Of rows that were to be deleted and were not: a trigger may have dropped that, or deleted them by itself.
 */
void look_again(Target *target, Row *const *rows, int count)
{
    auto **left = static_cast<Row **>(palloc(Max(count, 1) * sizeof(Row *)));
    const int left_count = choose(
        rows, count, left, [target](const Row *row) { return row->would_change || target->is_distributed; });

    if (left_count > 0)
        look_for_rows(target, left, left_count);
    pfree(left);
}

/* What became of a row that the statement has not deleted. */
void settle_undeleted(const Target *target, Row *row)
{
    if (row->is_present && !row->is_newer)
        raise_swallowed(target);
    else if (row->is_newer && !target->field_order)
        row->event->outcome = Outcome::skipped;
}

/* What was deleted has to be gone still when AFTER triggers have run, of which no statement tells. */
void check_deleted(Target *target, Row *const *rows, int count)
{
    if (!target->has_after_triggers)
        return;
    look_for_rows(target, rows, count);
    for (int r = 0; r < count; r++) {
        if (rows[r]->is_present && !rows[r]->is_newer)
            raise_swallowed(target);
    }
}

} // namespace

void check_isolation(const Target *target)
{
    if (IsolationUsesXactSnapshot())
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("events of target \"%s\" cannot be applied in a transaction with isolation level "
                        "repeatable read or serializable",
                        target->config.name),
                 errdetail("Its deletions could not be seen."),
                 errhint("Use the isolation level read committed.")));
}

int skip_deleted(const Target *target, Row **rows, int count)
{
    for (int r = 0; r < count; r++)
        rows[r]->is_repeated = false;
    settle_by_tombstones(target, own_key(target), rows, count);
    if (list_length(target->deletion_keys) > 1)
        settle_by_other_keys(target, rows, count);
    return choose(rows, count, rows, [](const Row *row) { return !is_settled(row); });
}

bool delete_rows(Target *target, Row *const *rows, int count)
{
    auto **chosen = static_cast<Row **>(palloc(count * sizeof(Row *)));

    for (int r = 0; r < count; r++) {
        rows[r]->is_written = false;
        rows[r]->event->outcome = Outcome::applied; /* unless something else turns out */
    }
    forget_standing(rows, count);
    run_for_keys(target, &target->delete_plans, delete_statement, rows, count, SPI_OK_DELETE_RETURNING);
    int left = choose(rows, count, chosen, [](const Row *row) { return !row->is_written; });
    look_again(target, chosen, left);
    for (int r = 0; r < left; r++) {
        /* it may be there by another key */
        if (chosen[r]->is_present || !target->has_insert_triggers)
            continue;
        if (!chosen[r]->is_alone)
            raise_other_key(target);
        if (take_key_from_triggers(target, chosen[r]))
            return false;
    }
    for (int r = 0; r < left; r++)
        settle_undeleted(target, chosen[r]);
    if (target->field_order) {
        left =
            choose(chosen, left, chosen, [](const Row *row) { return row->is_newer && !row->is_repeated; });
        if (left > 0)
            run_for_keys(target, &target->reset_plans, reset_statement, chosen, left, SPI_OK_UPDATE);
    }
    check_deleted(target, rows, count);
    keep_tombstones(target, rows, count);
    pfree(chosen);
    return true;
}

} // namespace cxone_sync
