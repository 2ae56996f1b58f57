#include "core/parser.h"
#include "db/settings.h"

#include <algorithm>
#include <climits>
#include <stdexcept>

#include "db/dead_letters.h"
#include "db/guard.h"
#include "db/identity.h"
#include "db/target.h"
#include "db/upsert.h"
#include "db/writer.h"

namespace cxone_sync {

namespace {

bool reached_rows = false;

/* One call's working set, all of it in `context`. */
struct Writer {
    MemoryContext context;
    Target *target;
    Row *rows; /* every event of the batch, by arrival */
    int row_count;
};

/* ---- subtransactions ---- */

/*
 * Runs `work` in a subtransaction. If it raises an error the subtransaction is rolled back and the error is
 * in `error`, unless it is transient: that one goes on upwards, since no event is to blame.
 */
template <typename Work> bool in_subtransaction(MemoryContext context, PgError &error, Work work)
{
    const ResourceOwner owner = CurrentResourceOwner;

    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
    if (guarded(error, work)) {
        ReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
        return true;
    }
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    if (is_transient(error.sqlerrcode))
        raise(error);
    return false;
}

/* ---- dead letters ---- */

void give_up_row(Writer *writer, Row *row, const char *sqlstate, std::string_view message,
                 std::string_view column)
{
    add_dead_letter(row->delivery, row->event, writer->target->name, sqlstate, message, column);
}

void give_up_row(Writer *writer, Row *row, const PgError &error)
{
    give_up_row(writer, row, error.sqlstate(), error.message, error.column);
}

/* ---- events to rows ---- */

/* The definition may have changed between the network thread's look at it and ours. */
void map_again_if_changed(Delivery *delivery)
{
    if (delivery->map == current_target_map())
        return;
    call_cpp([delivery] {
        /* its size was judged when it arrived */
        ParseLimits limits = settings::parse_limits();
        limits.max_events = UINT_MAX;
        limits.max_depth = UINT_MAX;
        const BodyRefusal refusal = parse_delivery(*delivery, current_target_map(), limits);
        if (refusal.status != 0)
            throw std::runtime_error("an accepted delivery could not be read again: " + refusal.reason);
    });
}

void collect_rows(Writer *writer, Delivery *const *deliveries, int count)
{
    int row_count = 0;

    for (int i = 0; i < count; i++) {
        map_again_if_changed(deliveries[i]);
        row_count += static_cast<int>(deliveries[i]->events.size());
    }
    writer->rows = static_cast<Row *>(palloc_extended(std::max(row_count, 1) * sizeof(Row), MCXT_ALLOC_HUGE));
    writer->row_count = 0;
    for (int i = 0; i < count; i++) {
        for (Event &event : deliveries[i]->events) {
            Row *row = &writer->rows[writer->row_count];

            event.outcome = Outcome::pending;
            *row = {.event = &event,
                    .delivery = deliveries[i],
                    .arrival = writer->row_count++,
                    .values = nullptr,
                    .overtaken_by = nullptr,
                    .came_late = false};
        }
    }
}

/* Converts rows from `next` on until one fails; `next` tells which. */
void convert_from(Writer *writer, int *next)
{
    for (; *next < writer->row_count; (*next)++) {
        Row *row = &writer->rows[*next];

        if (row->event->refusal.sqlstate == nullptr)
            convert_row(writer->target, row);
    }
}

void convert_rows(Writer *writer)
{
    int next = 0;

    while (next < writer->row_count) {
        PgError error;

        if (in_subtransaction(writer->context, error, [writer, &next] { convert_from(writer, &next); }))
            break;
        Row *row = &writer->rows[next++];
        const TargetColumn *column = column_being_converted();
        give_up_row(writer, row, error.sqlstate(), error.message,
                    column ? NameStr(column->name) : error.column);
    }
}

void give_up_refused(Writer *writer)
{
    for (int i = 0; i < writer->row_count; i++) {
        Row *row = &writer->rows[i];
        const Refusal &refusal = row->event->refusal;

        if (refusal.sqlstate != nullptr)
            give_up_row(writer, row, refusal.sqlstate, refusal.message, refusal.column);
    }
}

/* ---- order ---- */

bool comes_before(const Row *a, const Row *b)
{
    const int order = a->event->key.compare(b->event->key);

    return order != 0 ? order < 0 : a->arrival < b->arrival;
}

/* True if every column that `old` feeds is fed by `young` too. Both list their columns in ascending order. */
bool feeds_all_of(const Event *young, const Event *old)
{
    int y = 0;

    for (int o = 0; o < old->field_count; o++) {
        while (y < young->field_count && young->fields[y].column < old->fields[o].column)
            y++;
        if (y == young->field_count || young->fields[y].column != old->fields[o].column)
            return false;
    }
    return true;
}

bool have_same_key(const Row *a, const Row *b)
{
    return a->event->key == b->event->key;
}

/*
 * Copies to `kept` the rows that no other row of the batch makes superfluous; returns how many. A row is that
 * if the other one has its key and is newer, or is no older, came after it and writes all its columns once
 * more. Whatever the table holds, the end is the same as if all had been written in turn, provided that the
 * rows kept succeed. `rows` is sorted.
 */
int fold(Row *const *rows, int count, Row **kept)
{
    int kept_count = 0;

    for (int i = 0; i < count; i++) {
        Row *row = rows[i];
        Row *last = kept_count > 0 ? kept[kept_count - 1] : nullptr;

        row->overtaken_by = nullptr;
        row->came_late = false;
        if (last != nullptr && have_same_key(last, row)) {
            if (row->event->time < last->event->time) {
                row->overtaken_by = last;
                row->came_late = true;
                continue;
            }
            if (feeds_all_of(row->event, last->event)) {
                last->overtaken_by = row;
                kept_count--;
            }
        }
        kept[kept_count++] = row;
    }
    return kept_count;
}

/* ---- writing ---- */

/* One statement for each run of rows that can share one, in the order of their keys. */
void write_runs(Writer *writer, Row *const *rows, int count)
{
    for (int begin = 0, end; begin < count; begin = end) {
        end = begin + 1;
        while (end < count && feed_same_columns(rows[begin], rows[end]) &&
               !have_same_key(rows[end - 1], rows[end]))
            end++;
        upsert_rows(writer->target, rows + begin, end - begin);
    }
}

bool feeds_column(const Target *target, const Event *event, AttrNumber number)
{
    if (number == target->order.number)
        return true;
    for (int i = 0; i < event->field_count; i++) {
        if (target->columns[event->fields[i].column].number == number)
            return true;
    }
    return false;
}

/* True if a NOT NULL or CHECK constraint has failed over a column that the event leaves out. */
bool concerns_absent_columns(const Target *target, const Event *event, const PgError &error)
{
    int number = -1;

    if (error.sqlerrcode == ERRCODE_NOT_NULL_VIOLATION)
        return !feeds_column(target, event, get_attnum(target->relation, error.column));
    if (error.sqlerrcode != ERRCODE_CHECK_VIOLATION)
        return false;

    Oid constraint;
    const Bitmapset *numbers =
        get_relation_constraint_attnos(target->relation, error.constraint, true, &constraint);
    while ((number = bms_next_member(numbers, number)) >= 0) {
        if (!feeds_column(target, event,
                          static_cast<AttrNumber>(number + FirstLowInvalidHeapAttributeNumber)))
            return true;
    }
    return false;
}

/*
 * PostgreSQL checks these constraints on the row it would insert before it looks for a conflict. So an event
 * that leaves such a column out is tried as an UPDATE before it is given up: absent keeps.
 */
void write_row(Writer *writer, Row *row)
{
    PgError error;

    if (in_subtransaction(writer->context, error, [writer, row] { upsert_rows(writer->target, &row, 1); }))
        return;
    if (!concerns_absent_columns(writer->target, row->event, error) || !update_row(writer->target, row))
        raise(error);
}

/* One by one until one fails; `next` tells which. */
void write_from(Writer *writer, Row *const *rows, int count, int *next)
{
    for (; *next < count; (*next)++)
        write_row(writer, rows[*next]);
}

/*
 * The rows of one key, which have failed together: all are written one by one, or the first to fail becomes a
 * dead letter and none is written.
 */
void write_key(Writer *writer, Row *const *rows, int count)
{
    PgError error;
    int next = 0;

    if (!in_subtransaction(writer->context, error,
                           [writer, rows, count, &next] { write_from(writer, rows, count, &next); }))
        give_up_row(writer, rows[std::min(next, count - 1)], error);
}

/* Where to split sorted rows near their middle without parting rows of one key; 0: they have one key. */
int middle_between_keys(Row *const *rows, int count)
{
    int middle = count / 2;

    while (middle > 0 && middle < count && have_same_key(rows[middle - 1], rows[middle]))
        middle++;
    if (middle == count) {
        middle = count / 2;
        while (middle > 0 && have_same_key(rows[middle - 1], rows[middle]))
            middle--;
    }
    return middle;
}

/* Writes what succeeds. Of a key whose rows do not, one becomes a dead letter and none is written. */
void write_or_bisect(Writer *writer, Row *const *rows, int count)
{
    PgError error;

    check_stack_depth();
    CHECK_FOR_INTERRUPTS();
    if (count == 0 ||
        in_subtransaction(writer->context, error, [writer, rows, count] { write_runs(writer, rows, count); }))
        return;
    const int middle = middle_between_keys(rows, count);
    if (middle == 0) {
        write_key(writer, rows, count);
        return;
    }
    write_or_bisect(writer, rows, middle);
    write_or_bisect(writer, rows + middle, count - middle);
}

/* ---- the end of a round ---- */

bool has_failed(Row *const *rows, int count)
{
    for (int i = 0; i < count; i++) {
        if (rows[i]->overtaken_by == nullptr && rows[i]->event->outcome == Outcome::dead_lettered)
            return true;
    }
    return false;
}

/* The outcome of a row that was left out: skipped if it came late, else that of the one which overtook it. */
void settle_left_out(Row *const *rows, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        if (rows[i]->came_late)
            rows[i]->event->outcome = Outcome::skipped;
        else if (rows[i]->overtaken_by != nullptr)
            rows[i]->event->outcome = rows[i]->overtaken_by->event->outcome;
    }
}

/*
 * Settles the keys that were written. The others had a dead letter, and without it their rows may fare
 * otherwise: those are moved to the front of `rows`, for another round; returns how many.
 */
int settle_keys(Row **rows, int count)
{
    int again = 0;

    for (int begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && have_same_key(rows[begin], rows[end]);)
            end++;
        if (!has_failed(rows + begin, end - begin)) {
            settle_left_out(rows + begin, end - begin);
            continue;
        }
        for (int i = begin; i < end; i++) {
            if (rows[i]->event->outcome != Outcome::dead_lettered) {
                rows[i]->event->outcome = Outcome::pending;
                rows[again++] = rows[i];
            }
        }
    }
    return again;
}

Row **allocate_rows(int count)
{
    return static_cast<Row **>(palloc_extended(std::max(count, 1) * sizeof(Row *), MCXT_ALLOC_HUGE));
}

/* The end is as if all rows that are no dead letters had been written in turn. */
void write_rows(Writer *writer)
{
    Row **rows = allocate_rows(writer->row_count);
    Row **kept = allocate_rows(writer->row_count);
    int count = 0;

    for (int i = 0; i < writer->row_count; i++) {
        if (writer->rows[i].event->outcome == Outcome::pending)
            rows[count++] = &writer->rows[i];
    }
    std::sort(rows, rows + count, comes_before);
    while (count > 0) {
        write_or_bisect(writer, kept, fold(rows, count, kept));
        count = settle_keys(rows, count);
    }
    pfree(rows);
    pfree(kept);
}

/*
 * Each error has to show while its statement runs: at the commit it could not be told whose it is. To be
 * called with the caller's identity: triggers that the caller's transaction has deferred run here, and they
 * are the caller's code.
 */
void check_constraints_at_once(const Target *target)
{
    if (target->has_triggers && SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) != SPI_OK_UTILITY)
        elog(ERROR, "could not set constraints immediate");
}

} // namespace

bool write_reached_rows() noexcept
{
    return reached_rows;
}

void write_deliveries(Delivery *const *deliveries, int count)
{
    reached_rows = false;
    const MemoryContext caller_context = CurrentMemoryContext;
    Writer writer = {};

    writer.context = AllocSetContextCreate(caller_context, "cxone_sync batch", ALLOCSET_DEFAULT_SIZES);
    writer.target = open_target(writer.context);
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    MemoryContextSwitchTo(writer.context);
    collect_rows(&writer, deliveries, count);

    check_constraints_at_once(writer.target);
    const SavedIdentity saved = as_owner(writer.target->owner);
    reached_rows = true;
    give_up_refused(&writer);
    convert_rows(&writer);
    write_rows(&writer);
    back_to(saved);

    SPI_finish();
    MemoryContextSwitchTo(caller_context);
    MemoryContextDelete(writer.context);
}

} // namespace cxone_sync
