#include "core/json_text.h"
#include "core/monitoring.h"
#include "core/parser.h"
#include "db/settings.h"

#include <algorithm>
#include <climits>
#include <stdexcept>

#include "db/catalog.h"
#include "db/dead_letters.h"
#include "db/deletions.h"
#include "db/guard.h"
#include "db/identity.h"
#include "db/upsert.h"
#include "db/writer.h"

namespace cxone_sync {

namespace {

bool reached_rows = false;

/* The working set for one target, all of it in `context`. */
struct Writer {
    MemoryContext context;
    Target *target;
    Row *rows; /* every event for the target, by arrival */
    int row_count;
};

/* One call's deliveries and the targets that they need. */
struct Batch {
    MemoryContext context;
    Delivery *const *deliveries;
    int count;
    Postponed *postponed;
    Catalog catalog; /* a copy: a trigger may make the catalog change */
    bool *needs;     /* parallel to its targets */
};

/* ---- subtransactions ---- */

/* As in_any_subtransaction(), but a transient error goes on upwards, since no event is to blame. */
template <typename Work> bool in_subtransaction(MemoryContext context, PgError &error, Work work)
{
    if (in_any_subtransaction(context, error, work))
        return true;
    if (is_transient(error.sqlerrcode))
        raise(error);
    return false;
}

/* ---- dead letters ---- */

void give_up_row(Writer *writer, Row *row, const Fault &fault)
{
    add_dead_letter(row->delivery, row->event, writer->target->config.name, fault);
}

void give_up_row(Writer *writer, Row *row, const PgError &error, const char *column)
{
    /* undefined, or not allowed: what is known of the table may be out of date */
    if (ERRCODE_TO_CATEGORY(error.sqlerrcode) == MAKE_SQLSTATE('4', '2', '0', '0', '0'))
        doubt_target(writer->target);
    give_up_row(
        writer, row,
        {.sqlstate = error.sqlstate(), .message = error.message, .hint = error.hint, .column = column});
}

/* ---- events to rows ---- */

/* A payload that was mended into what is no JSON. */
void refuse_letter(Delivery &delivery, std::string_view reason)
{
    Event &event = delivery.events.emplace_back();

    event.raw = delivery.body;
    event.time = delivery.received;
    event.refusal = {"22P02", arena_copy(delivery.arena, reason), {}};
}

/* The catalog may have changed between the network thread's look at it and ours. */
void map_again_if_changed(Delivery *delivery)
{
    if (delivery->mapping == current_mapping())
        return;
    call_cpp([delivery] {
        /* its size was judged when it arrived */
        ParseLimits limits = settings::parse_limits();
        limits.max_events = UINT_MAX;
        limits.max_depth = UINT_MAX;
        limits.envelope = delivery->envelope;
        /* the future that a dead letter was ahead in may have come */
        if (delivery->dead_letter != 0)
            limits.max_future_skew_us += now() - delivery->received;
        const BodyRefusal refusal = parse_delivery(*delivery, current_mapping(), limits);
        if (refusal.status != 0 && delivery->dead_letter != 0)
            refuse_letter(*delivery, refusal.reason);
        else if (refusal.status != 0)
            throw std::runtime_error("an accepted delivery could not be read again: " + refusal.reason);
    });
}

void collect_rows(Writer *writer, const Batch *batch, std::uint16_t target)
{
    int row_count = 0;

    for (int i = 0; i < batch->count; i++) {
        for (const Event &event : batch->deliveries[i]->events)
            row_count += event.target == target;
    }
    writer->rows = static_cast<Row *>(palloc_extended(std::max(row_count, 1) * sizeof(Row), MCXT_ALLOC_HUGE));
    writer->row_count = 0;
    for (int i = 0; i < batch->count; i++) {
        Delivery *delivery = batch->deliveries[i];

        for (Event &event : delivery->events) {
            if (event.target != target || delivery->is_postponed)
                continue;
            writer->rows[writer->row_count] = {.event = &event,
                                               .delivery = delivery,
                                               .arrival = writer->row_count,
                                               .values = nullptr,
                                               .keys = nullptr,
                                               .overtaken_by = nullptr,
                                               .is_written = false,
                                               .came_late = false};
            writer->row_count++;
        }
    }
}

/* Converts rows from `next` on until one fails; `next` tells which. */
void convert_from(Writer *writer, MemoryContext scratch, int *next)
{
    for (; *next < writer->row_count; (*next)++) {
        Row *row = &writer->rows[*next];

        if (row->event->refusal.sqlstate == nullptr)
            convert_row(writer->target, row, scratch);
    }
}

void convert_rows(Writer *writer)
{
    MemoryContext scratch =
        AllocSetContextCreate(writer->context, "cxone_sync value", ALLOCSET_DEFAULT_SIZES);
    int next = 0;

    while (next < writer->row_count) {
        PgError error;

        if (in_subtransaction(writer->context, error,
                              [writer, scratch, &next] { convert_from(writer, scratch, &next); }))
            break;
        Row *row = &writer->rows[next++];
        const TargetColumn *column = column_being_converted();
        give_up_row(writer, row, error, column ? NameStr(column->name) : error.column);
    }
    MemoryContextDelete(scratch);
}

void give_up_refused(Writer *writer)
{
    for (int i = 0; i < writer->row_count; i++) {
        Row *row = &writer->rows[i];
        const Refusal &refusal = row->event->refusal;

        if (refusal.sqlstate != nullptr)
            give_up_row(writer, row,
                        {.sqlstate = refusal.sqlstate,
                         .message = refusal.message,
                         .hint = {},
                         .column = refusal.column});
    }
}

/* ---- order ---- */

/* By key; in field order the events of one key by their time, since that is how they act. */
int compare_rows(const void *a, const void *b, void *argument)
{
    const auto *target = static_cast<const Target *>(argument);
    const Row *x = *static_cast<Row *const *>(a);
    const Row *y = *static_cast<Row *const *>(b);
    const int order = compare_keys(target, x, y);

    if (order != 0)
        return order;
    if (target->field_order && x->event->time != y->event->time)
        return x->event->time < y->event->time ? -1 : 1;
    /* of equal times the deletion wins */
    if (target->field_order && x->event->is_deletion != y->event->is_deletion)
        return y->event->is_deletion ? -1 : 1;
    return x->arrival < y->arrival ? -1 : 1;
}

void sort_rows(const Target *target, Row **rows, int count)
{
    qsort_arg(rows, count, sizeof(Row *), compare_rows, const_cast<Target *>(target));
}

/*
 * True if every column that `old` feeds is fed by `young` too. Both list their columns in ascending order.
 * Members of extra are many fields in one, so that column is never fed for good.
 */
bool feeds_all_of(const Target *target, const Event *young, const Event *old)
{
    int y = 0;

    if (deletes_rows(target) && (young->is_deletion || old->is_deletion))
        return young->is_deletion;
    for (int o = 0; o < old->field_count; o++) {
        while (y < young->field_count && young->fields[y].column < old->fields[o].column)
            y++;
        if (y == young->field_count || young->fields[y].column != old->fields[o].column ||
            old->fields[o].column == target->extra)
            return false;
    }
    return true;
}

bool have_same_key(const Target *target, const Row *a, const Row *b)
{
    return compare_keys(target, a, b) == 0;
}

/* True if `row`, which comes later in order, makes `last` superfluous. */
bool replaces(const Target *target, const Row *row, const Row *last)
{
    /* what wins a tie in field order is the values' affair */
    if (target->field_order && row->event->time == last->event->time &&
        !(deletes_rows(target) && row->event->is_deletion))
        return row->event->raw == last->event->raw;
    return feeds_all_of(target, row->event, last->event);
}

/*
 * True if `last` has come before and is newer; of equal times a deletion counts as that. (Where a deletion is
 * a mark in field order, it is one of several fields.)
 */
bool comes_late(const Target *target, const Row *row, const Row *last)
{
    return row->event->time < last->event->time ||
           (row->event->time == last->event->time && last->event->is_deletion && !row->event->is_deletion &&
            (deletes_rows(target) || !target->field_order));
}

/*
 * Copies to `kept` the rows that no other row of the batch makes superfluous; returns how many. A row is that
 * if another one has its key, is no older and writes all its columns once more; and in row order also if it
 * is older than one that came before. Whatever the table holds, the end is the same as if all had been
 * written in turn, provided that the rows kept succeed. `rows` is sorted.
 */
int fold(const Target *target, Row *const *rows, int count, Row **kept)
{
    int kept_count = 0;

    for (int i = 0; i < count; i++) {
        Row *row = rows[i];
        Row *last = kept_count > 0 ? kept[kept_count - 1] : nullptr;

        row->overtaken_by = nullptr;
        row->came_late = false;
        if (last != nullptr && have_same_key(target, last, row)) {
            if (comes_late(target, row, last)) {
                row->overtaken_by = last;
                row->came_late = true;
                continue;
            }
            if (replaces(target, row, last)) {
                last->overtaken_by = row;
                last->came_late = last->arrival > row->arrival;
                kept_count--;
            }
        }
        kept[kept_count++] = row;
    }
    return kept_count;
}

/* ---- writing ---- */

void write_run(Writer *writer, Row *const *rows, int count)
{
    if (rows[0]->event->is_deletion && deletes_rows(writer->target))
        delete_rows(writer->target, rows, count);
    else
        upsert_rows(writer->target, rows, count);
}

/* One statement for each run of rows that can share one, in the order of their keys. */
void write_runs(Writer *writer, Row *const *rows, int count)
{
    for (int begin = 0, end; begin < count; begin = end) {
        end = begin + 1;
        while (end < count && rows[begin]->event->is_deletion == rows[end]->event->is_deletion &&
               feed_same_columns(rows[begin], rows[end]) &&
               !have_same_key(writer->target, rows[end - 1], rows[end]))
            end++;
        write_run(writer, rows + begin, end - begin);
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
        return !feeds_column(target, event, get_attnum(target->config.relation, error.column));
    if (error.sqlerrcode != ERRCODE_CHECK_VIOLATION)
        return false;

    Oid constraint;
    const Bitmapset *numbers =
        get_relation_constraint_attnos(target->config.relation, error.constraint, true, &constraint);
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

    if (in_subtransaction(writer->context, error, [writer, row] { write_run(writer, &row, 1); }))
        return;
    if (row->event->is_deletion || !concerns_absent_columns(writer->target, row->event, error) ||
        !update_row(writer->target, row))
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
        give_up_row(writer, rows[std::min(next, count - 1)], error, error.column);
}

/* Where to split sorted rows near their middle without parting rows of one key; 0: they have one key. */
int middle_between_keys(const Target *target, Row *const *rows, int count)
{
    int middle = count / 2;

    while (middle > 0 && middle < count && have_same_key(target, rows[middle - 1], rows[middle]))
        middle++;
    if (middle == count) {
        middle = count / 2;
        while (middle > 0 && have_same_key(target, rows[middle - 1], rows[middle]))
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
    const int middle = middle_between_keys(writer->target, rows, count);
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
int settle_keys(const Target *target, Row **rows, int count)
{
    int again = 0;

    for (int begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && have_same_key(target, rows[begin], rows[end]);)
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

/* Copies the rows that are still to be written to `rows`; returns how many. */
int pending_rows(const Writer *writer, Row **rows)
{
    int count = 0;

    for (int i = 0; i < writer->row_count; i++) {
        if (writer->rows[i].event->outcome == Outcome::pending)
            rows[count++] = &writer->rows[i];
    }
    return count;
}

/* The end is as if all rows that are no dead letters had been written in turn. */
void write_rows(Writer *writer)
{
    const Target *target = writer->target;
    Row **rows = allocate_rows(writer->row_count);
    Row **kept = allocate_rows(writer->row_count);
    int count = pending_rows(writer, rows);

    if (deletes_rows(target) && count > 0) {
        skip_deleted(target, rows, count);
        count = pending_rows(writer, rows);
    }
    sort_rows(target, rows, count);
    while (count > 0) {
        write_or_bisect(writer, kept, fold(target, rows, count, kept));
        count = settle_keys(target, rows, count);
    }
    pfree(rows);
    pfree(kept);
}

bool has_deletion(const Writer *writer)
{
    for (int i = 0; i < writer->row_count; i++) {
        if (writer->rows[i].event->is_deletion)
            return true;
    }
    return false;
}

/* All events for one target that can be used. */
void write_target(const Batch *batch, std::uint16_t index)
{
    Writer writer = {};

    writer.context = batch->context;
    writer.target = batch->catalog.targets[index];
    collect_rows(&writer, batch, index);
    if (deletes_rows(writer.target))
        lock_against_deletions(writer.target, has_deletion(&writer));
    const SavedIdentity saved = as_owner(writer.target->owner);
    give_up_refused(&writer);
    convert_rows(&writer);
    write_rows(&writer);
    back_to(saved);
}

/* The same for events without a target, or with one that cannot be used. */
void give_up_events(const Batch *batch, std::uint16_t index)
{
    const Target *target = index == Event::no_target ? nullptr : batch->catalog.targets[index];

    for (int i = 0; i < batch->count; i++) {
        Delivery *delivery = batch->deliveries[i];

        for (Event &event : delivery->events) {
            if (event.target != index || delivery->is_postponed)
                continue;
            if (target == nullptr)
                add_dead_letter(delivery, &event,
                                delivery->only_target.empty() ? nullptr : delivery->only_target.c_str(),
                                {event.refusal.sqlstate, event.refusal.message, {}, event.refusal.column});
            else
                add_dead_letter(delivery, &event, target->config.name,
                                {unpack_sql_state(target->problem.sqlerrcode), target->problem.message,
                                 target->problem.hint, std::string_view()});
        }
    }
}

/* ---- the batch ---- */

void begin_events(const Batch *batch)
{
    for (int i = 0; i < batch->count; i++) {
        batch->deliveries[i]->is_letter_kept = false;
        for (Event &event : batch->deliveries[i]->events) {
            event.outcome = Outcome::pending;
            event.fault = nullptr;
        }
    }
}

void postpone_deliveries(Batch *batch, std::uint16_t index, const PgError &error)
{
    for (int i = 0; i < batch->count; i++) {
        Delivery *delivery = batch->deliveries[i];

        for (const Event &event : delivery->events) {
            if (event.target != index || delivery->is_postponed)
                continue;
            delivery->is_postponed = true;
            batch->postponed->count++;
            batch->postponed->error = error;
        }
    }
}

void describe_lock(const Target *target, PgError &error)
{
    error.sqlerrcode = ERRCODE_LOCK_NOT_AVAILABLE;
    snprintf(error.message, sizeof(error.message), "the table of target \"%s\" is locked",
             target->config.name);
    strlcpy(error.hint, "Look for who holds the lock in pg_locks.", sizeof(error.hint));
}

/* Locks the target's table as a write does, or postpones its deliveries. */
void lock_target(Batch *batch, std::uint16_t index)
{
    Target *target = batch->catalog.targets[index];
    const Oid relation = target->config.relation;
    PgError error;

    if (batch->postponed == nullptr) {
        LockRelationOid(relation, RowExclusiveLock);
        if (target->is_locked)
            doubt_target(target); /* it can be looked at now */
        return;
    }
    if (!target->is_locked && ConditionalLockRelationOid(relation, RowExclusiveLock)) {
        target->is_blocked = false;
        return;
    }
    if (!target->is_blocked && in_any_subtransaction(batch->context, error, [relation] {
            LockRelationOid(relation, RowExclusiveLock);
        })) {
        if (target->is_locked)
            doubt_target(target); /* it can be looked at now */
        return;
    }
    if (error.sqlerrcode != 0 && error.sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
        raise(error);
    target->is_blocked = true;
    describe_lock(target, error);
    postpone_deliveries(batch, index, error);
}

void find_needed_targets(Batch *batch)
{
    batch->needs = static_cast<bool *>(palloc0(batch->catalog.count * sizeof(bool)));
    for (int i = 0; i < batch->count; i++) {
        for (const Event &event : batch->deliveries[i]->events) {
            if (event.target != Event::no_target && !batch->deliveries[i]->is_postponed)
                batch->needs[event.target] = true;
        }
    }
}

/* While a table is known to be locked each batch looks whether it still is, so that the state can be told. */
void find_released_targets(Batch *batch)
{
    for (int i = 0; i < batch->catalog.count; i++) {
        Target *target = batch->catalog.targets[i];

        if (batch->needs[i] || !target->is_blocked ||
            !ConditionalLockRelationOid(target->config.relation, AccessShareLock))
            continue;
        UnlockRelationOid(target->config.relation, AccessShareLock);
        target->is_blocked = false;
    }
}

/*
 * Opens the catalog and locks what the deliveries need. While a lock is waited for the definition may change;
 * then all is done once more, by the new one.
 */
void prepare_targets(Batch *batch)
{
    constexpr int max_turns = 10;

    for (int turn = 0; turn < max_turns; turn++) {
        const Catalog &now = open_catalog();

        batch->catalog.count = now.count;
        batch->catalog.targets = static_cast<Target **>(palloc(std::max(now.count, 1) * sizeof(Target *)));
        std::copy_n(now.targets, now.count, batch->catalog.targets);
        for (int i = 0; i < batch->count; i++)
            map_again_if_changed(batch->deliveries[i]);
        find_needed_targets(batch);
        find_released_targets(batch);
        for (int i = 0; i < batch->catalog.count; i++) {
            Target *target = batch->catalog.targets[i];

            if (batch->needs[i] && target->problem.sqlerrcode == 0)
                lock_target(batch, static_cast<std::uint16_t>(i));
            else if (batch->needs[i] && turn == 0)
                doubt_target(target);
        }
        if (!catalog_is_stale())
            return;
    }
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("the definitions of the targets keep changing")));
}

/*
 * Each error has to show while its statement runs: at the commit it could not be told whose it is. To be
 * called with the caller's identity: triggers that the caller's transaction has deferred run here, and they
 * are the caller's code. (Those of the targets cannot be deferred: as_owner() forbids that.)
 */
void check_constraints_at_once()
{
    if (SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) != SPI_OK_UTILITY)
        elog(ERROR, "could not set constraints immediate");
}

/* An event must never be answered for that nobody has looked at. */
void check_all_settled(const Batch *batch)
{
    for (int i = 0; i < batch->count; i++) {
        for (const Event &event : batch->deliveries[i]->events) {
            if (event.outcome == Outcome::pending && !batch->deliveries[i]->is_postponed)
                elog(ERROR, "an event was neither written nor given up");
        }
    }
}

/*
 * Rows of a table that two targets share are not written in one order of their keys, so writers of such a
 * table follow one another.
 */
void lock_shared_tables(const Batch *batch)
{
    for (int i = 0; i < batch->catalog.count; i++) {
        const Target *target = batch->catalog.targets[i];

        if (batch->needs[i] && target->shares_table)
            LockDatabaseObject(RelationRelationId, target->config.relation, lock_of_sharers, ExclusiveLock);
    }
}

void write_batch(Batch *batch)
{
    lock_shared_tables(batch);
    for (int i = 0; i < batch->catalog.count; i++) {
        Target *target = batch->catalog.targets[i];
        const auto index = static_cast<std::uint16_t>(i);

        if (!batch->needs[i] || target->is_locked)
            continue;
        check_owner_again(target);
        if (target->problem.sqlerrcode != 0) {
            give_up_events(batch, index);
            continue;
        }
        /* for each, since another owner's trigger may have deferred them again */
        if (target->has_triggers)
            check_constraints_at_once();
        write_target(batch, index);
    }
    give_up_events(batch, Event::no_target);
    check_all_settled(batch);
}

} // namespace

bool write_reached_rows() noexcept
{
    return reached_rows;
}

void write_deliveries(Delivery *const *deliveries, int count, Postponed *postponed)
{
    reached_rows = false;
    const MemoryContext caller_context = CurrentMemoryContext;
    Batch batch = {};

    batch.context = AllocSetContextCreate(caller_context, "cxone_sync batch", ALLOCSET_DEFAULT_SIZES);
    batch.deliveries = deliveries;
    batch.count = count;
    batch.postponed = postponed;
    MemoryContextSwitchTo(batch.context);
    for (int i = 0; i < count; i++)
        deliveries[i]->is_postponed = false;
    if (postponed != nullptr)
        postponed->count = 0;
    prepare_targets(&batch);
    for (int i = 0; i < batch.catalog.count; i++)
        pin_target(batch.catalog.targets[i], batch.context);
    if (SPI_connect() != SPI_OK_CONNECT)
        elog(ERROR, "SPI_connect failed");
    MemoryContextSwitchTo(batch.context);
    begin_events(&batch);
    reached_rows = true;
    write_batch(&batch);
    SPI_finish();
    MemoryContextSwitchTo(caller_context);
    MemoryContextDelete(batch.context);
}

} // namespace cxone_sync
