#include "core/delivery.h"

#include "db/deletions.h"
#include "db/extension.h"
#include "db/identity.h"
#include "db/insert_triggers.h"
#include "db/spi.h"
#include "db/statements.h"
#include "db/text.h"
extern "C" {
#include "utils/array.h"
}

namespace cxone_sync {

namespace {

constexpr const char *find_statement =
    "SELECT u.number, t.deleted_ts FROM unnest($3) WITH ORDINALITY AS u(key, number) "
    "JOIN cxone_sync.tombstones AS t ON t.relation = $1 AND t.key_columns = $2 AND t.key = u.key";
constexpr const char *keep_statement =
    "INSERT INTO cxone_sync.tombstones AS t (relation, key_columns, key, deleted_ts) "
    "SELECT $1, $2, u.key, u.time FROM unnest($3, $4) AS u(key, time) "
    "ON CONFLICT (relation, key_columns, key) DO UPDATE SET deleted_ts = excluded.deleted_ts "
    "WHERE excluded.deleted_ts > t.deleted_ts";

const Oid tombstone_types[] = {REGCLASSOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID};

/* The columns of a key in the order of the table: a key is one, however a target lists its columns. */
void order_key(const Target *target, int *order)
{
    for (int k = 0; k < target->key_count; k++) {
        int place = k;

        for (; place > 0 && key_column(target, order[place - 1]).number > key_column(target, k).number;
             place--)
            order[place] = order[place - 1];
        order[place] = k;
    }
}

Datum text_array(Datum *texts, int count)
{
    return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum key_columns(const Target *target, const int *order)
{
    auto *names = static_cast<Datum *>(palloc(target->key_count * sizeof(Datum)));

    for (int k = 0; k < target->key_count; k++)
        names[k] = CStringGetTextDatum(NameStr(key_column(target, order[k]).name));
    return text_array(names, target->key_count);
}

Datum key_text(const Target *target, const int *order, const Row *row)
{
    auto *texts = static_cast<Datum *>(palloc(target->key_count * sizeof(Datum)));

    for (int k = 0; k < target->key_count; k++) {
        Oid output;
        bool is_varlena;

        getTypeOutputInfo(key_column(target, order[k]).type, &output, &is_varlena);
        texts[k] = CStringGetTextDatum(OidOutputFunctionCall(output, row->keys[order[k]]));
    }
    if (target->key_count == 1)
        return texts[0];
    return CStringGetTextDatum(OidOutputFunctionCall(F_ARRAY_OUT, text_array(texts, target->key_count)));
}

/* What identifies the rows' tombstones: the first three parameters of the statements above. */
void tombstone_keys(const Target *target, Row *const *rows, int count, Datum *values)
{
    auto *order = static_cast<int *>(palloc(target->key_count * sizeof(int)));
    auto *texts = static_cast<Datum *>(palloc(count * sizeof(Datum)));
    const int level = pin_text_forms();

    order_key(target, order);
    for (int r = 0; r < count; r++)
        texts[r] = key_text(target, order, rows[r]);
    AtEOXact_GUC(false, level);
    values[0] = ObjectIdGetDatum(target->config.relation);
    values[1] = key_columns(target, order);
    values[2] = text_array(texts, count);
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
    tombstone_keys(target, rows, count, values);
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

/* Copies the rows for which `test` holds to `chosen`; returns how many. */
template <typename Test> int choose(Row *const *rows, int count, Row **chosen, Test test)
{
    int chosen_count = 0;

    for (int r = 0; r < count; r++) {
        if (test(rows[r]))
            chosen[chosen_count++] = rows[r];
    }
    return chosen_count;
}

/* What became of a row that the statement has not deleted. */
void settle_undeleted(const Target *target, Row *row)
{
    if (row->is_present && !row->is_newer)
        raise_swallowed(target);
    else if (row->is_newer && !target->field_order)
        row->event->outcome = Outcome::skipped;
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
    static SPIPlanPtr plan = nullptr;
    Datum values[lengthof(tombstone_types)];

    for (int r = 0; r < count; r++)
        rows[r]->is_repeated = false;
    tombstone_keys(target, rows, count, values);
    const SavedIdentity saved = as_owner(own_table("tombstones", AccessShareLock).owner);
    if (plan == nullptr)
        plan = prepare_spi(find_statement, 3, tombstone_types, Planning::once);
    const int level = begin_by_index(plan, Planning::once);
    run_spi(plan, values, nullptr, SPI_OK_SELECT);
    AtEOXact_GUC(false, level);
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
    return choose(rows, count, rows, [](const Row *row) { return row->event->outcome != Outcome::skipped; });
}

bool delete_rows(Target *target, Row *const *rows, int count)
{
    auto **chosen = static_cast<Row **>(palloc(count * sizeof(Row *)));

    for (int r = 0; r < count; r++) {
        rows[r]->is_written = false;
        rows[r]->event->outcome = Outcome::applied; /* unless something else turns out */
    }
    run_for_keys(target, &target->delete_plan, delete_statement, rows, count, SPI_OK_DELETE_RETURNING);
    int left = choose(rows, count, chosen, [](const Row *row) { return !row->is_written; });
    if (left > 0)
        look_for_rows(target, chosen, left);
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
            run_for_keys(target, &target->reset_plan, reset_statement, chosen, left, SPI_OK_UPDATE);
    }
    keep_tombstones(target, rows, count);
    pfree(chosen);
    return true;
}

} // namespace cxone_sync
