/*
 * The way of a batch, from deliveries to outcomes:
 *
 *   write_deliveries()
 *     prepare_targets()          opens the catalog, locks the tables, has deliveries mapped by it
 *     hold_tables()              keeps triggers from altering them meanwhile
 *     lock_against_deletions()   keeps apart writers that delete and those that write
 *     collect_rows()             makes a row of each event, in the order of arrival
 *     convert_rows()             has the columns' types read the values, as the table's owner
 *     write_quickly()            all rows at once; what fails is raised, or tried again with care
 *       lock_writers()             keeps other writers from being waited for in a circle
 *       write_rows()               sorts the rows, and
 *         write_run()                writes each run by one statement (upsert.h, deletions.h)
 *     write_carefully()          what fails as a whole is halved, until a single event is at fault
 *       retry_refused()            an event may have waited for a later one
 *     give_up_refused()          writes dead letters
 */

#include "core/json_text.h"
#include "core/monitoring.h"
#include "core/parser.h"
#include "db/settings.h"

#include <algorithm>
#include <climits>
#include <memory>
#include <stdexcept>

#include "db/catalog.h"
#include "db/dead_letters.h"
#include "db/deferred.h"
#include "db/deletions.h"
#include "db/errors.h"
#include "db/extension.h"
#include "db/guard.h"
#include "db/identity.h"
#include "db/names.h"
#include "db/spi.h"
#include "db/upsert.h"
#include "db/writer.h"
extern "C" {
#include "storage/lock.h"
}

namespace cxone_sync {

namespace {

/*
 * How long an attempt waits for a lock on a row. Others may wait for us meanwhile, so it is short: who meets
 * a lock that is held for longer lets go of everything and comes again. It also ends any circle of writers,
 * long before deadlock_timeout.
 */
constexpr const char *quick_lock_timeout = "10ms";
constexpr const char *careful_lock_timeout = "1ms";
constexpr int waiting_lock_timeout_ms = 100;
/* Nothing is held yet that others could wait for; but with us wait all that need no turn. */
constexpr int turn_timeout_ms = 20;

/* How often the refused events of a batch are tried again: so long may a chain of them be that arrived in the
 * wrong order. */
constexpr int max_retry_rounds = 16;

/* One call's deliveries, and what they need. */
struct Batch {
    MemoryContext context;
    Delivery *const *deliveries;
    int count;
    Pace pace;
    WriteResult *result;
    WriteOptions options;
    const Catalog *catalog; /* pinned: a trigger may make another one be read */
    bool *needs;            /* parallel to its targets */
    Relation *relations;    /* likewise: held, so that no trigger changes a table that is described here */
    Row *rows;              /* every event that is to be written or given up, in the order of arrival */
    int row_count;
    int *first_rows;     /* of each delivery, and behind the last */
    Row **order;         /* room for as many: those that are being written */
    LOCKMODE *held;      /* writer locks, parallel to the catalog's */
    int lock_timeout_ms; /* the session's, 0: none */
    bool holds_locks;    /* the caller's transaction has written before */
    bool takes_writer_locks;
    bool keeps_key_order; /* other writers are at work in the same tables */
    bool is_careful;      /* rows that are there are found by UPDATE, not by INSERT */
    bool is_exact;        /* one event after the other */
    bool is_ordered;      /* some event has a place that all others keep to */
    bool knows_locks;     /* the rows that others have locked are postponed */
    bool *hides_locks;    /* parallel to needs: some were met where none could be seen */
    TimestampTz lost_us;  /* by meeting them */
    const Delivery *last_postponed;
};

/* ---- subtransactions ---- */

bool is_lock(const PgError &error)
{
    return error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/* Locks the table as an object, if nobody else holds that lock. */
bool try_lock(Oid relation, TableLock lock, LOCKMODE mode)
{
    LOCKTAG tag;

    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, relation, lock);
    return LockAcquire(&tag, mode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Leaves the delivery out: it is to be written later. */
void leave_out(Batch *batch, Delivery *delivery)
{
    batch->result->postponed += !delivery->is_postponed;
    delivery->is_postponed = true;
}

/* The same, since others hold a lock that it needs. Most share the reason with the one before. */
void postpone(Batch *batch, Delivery *delivery, const PgError &error)
{
    if (delivery->is_postponed)
        return;
    call_cpp([batch, delivery, &error] {
        const Delivery *last = batch->last_postponed;
        delivery->postponed_by = last != nullptr && strcmp(last->postponed_by->message, error.message) == 0
                                     ? last->postponed_by
                                     : std::make_shared<const PgError>(error);
    });
    batch->last_postponed = delivery;
    leave_out(batch, delivery);
}

/* What comes behind one that is left out, and has one of its keys. */
void leave_out_behind(Batch *batch, const Delivery *first, Delivery *delivery)
{
    if (delivery->is_postponed)
        return;
    if (first->is_untried) {
        delivery->is_untried = true;
        leave_out(batch, delivery);
    } else {
        postpone(batch, delivery, *first->postponed_by);
    }
}

/* What a lock is on, which PostgreSQL's own error does not tell. */
PgError lock_on(const char *format, const Target *target, const char *hint)
{
    PgError error;

    error.sqlerrcode = ERRCODE_LOCK_NOT_AVAILABLE;
    snprintf(error.message, sizeof(error.message), format, target != nullptr ? target->config.name : "");
    strlcpy(error.hint, hint, sizeof(error.hint));
    return error;
}

constexpr const char *hint_for_row_locks =
    "Look in pg_stat_activity for a transaction that has been open for "
    "long, and in pg_prepared_xacts.";

/* ---- events to rows ---- */

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
        if (refusal.status != 0)
            throw std::runtime_error("an accepted delivery could not be read again: " + refusal.reason);
    });
}

Fault *new_fault(int sqlerrcode)
{
    auto *fault = static_cast<Fault *>(palloc0(sizeof(Fault)));

    fault->sqlerrcode = sqlerrcode;
    return fault;
}

const Fault *fault_of(const Refusal &refusal)
{
    const char *state = refusal.sqlstate;
    Fault *fault = new_fault(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]));

    fault->message = refusal.message;
    fault->column = refusal.column;
    return fault;
}

const Fault *fault_of(const TargetProblem &problem)
{
    Fault *fault = new_fault(problem.sqlerrcode);

    fault->message = problem.message;
    fault->hint = problem.hint;
    return fault;
}

bool is_undefined(int sqlerrcode)
{
    return sqlerrcode == ERRCODE_UNDEFINED_TABLE || sqlerrcode == ERRCODE_UNDEFINED_FUNCTION ||
           sqlerrcode == ERRCODE_UNDEFINED_OBJECT || sqlerrcode == ERRCODE_INVALID_SCHEMA_NAME;
}

const Fault *fault_of(const PgError &error)
{
    Fault *fault = new_fault(error.sqlerrcode);

    fault->message = pstrdup(error.message);
    fault->detail = pstrdup(error.detail);
    fault->hint = pstrdup(error.hint);
    fault->column = pstrdup(error.column);
    fault->constraint = pstrdup(error.constraint);
    if (doubts_target(error.sqlerrcode))
        doubt_catalog();
    if (is_undefined(error.sqlerrcode))
        fault->hint =
            "Triggers, defaults and constraints run with search_path = pg_catalog, pg_temp: name the "
            "schema, or run ALTER FUNCTION ... SET search_path = ... for the function.";
    return fault;
}

int count_events(const Batch *batch)
{
    std::size_t count = 0;

    for (int i = 0; i < batch->count; i++)
        count += batch->deliveries[i]->events.size();
    return static_cast<int>(count);
}

/* What is known of the event before anything is tried. */
const Fault *known_fault(const Event &event, const Target *target)
{
    if (target != nullptr && target->problem.sqlerrcode != 0)
        return fault_of(target->problem);
    return event.refusal.sqlstate != nullptr ? fault_of(event.refusal) : nullptr;
}

/* An event for several targets: referenced tables first, but for deletions. */
bool comes_before(const Row *row, const Row *other)
{
    if (row->delivery != other->delivery || row->event->number != other->event->number ||
        row->target == nullptr || other->target == nullptr)
        return false;
    return is_removal(row) && is_removal(other) ? row->target->rank > other->target->rank
                                                : row->target->rank < other->target->rank;
}

void add_row(Batch *batch, const Row &row)
{
    int place = batch->row_count++;

    for (; place > 0 && comes_before(&row, &batch->rows[place - 1]); place--)
        batch->rows[place] = batch->rows[place - 1];
    batch->rows[place] = row;
}

void collect_rows(Batch *batch)
{
    const int most = Max(count_events(batch), 1);

    batch->rows = static_cast<Row *>(palloc_extended(most * sizeof(Row), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
    batch->order = static_cast<Row **>(palloc_extended(most * sizeof(Row *), MCXT_ALLOC_HUGE));
    batch->first_rows = static_cast<int *>(palloc((batch->count + 1) * sizeof(int)));
    batch->row_count = 0;
    for (int i = 0; i < batch->count; i++) {
        Delivery *delivery = batch->deliveries[i];

        delivery->is_letter_kept = false;
        batch->first_rows[i] = batch->row_count;
        for (Event &event : delivery->events) {
            event.outcome = Outcome::pending;
            event.fault = nullptr;
            if (delivery->is_postponed)
                continue;
            Row row = {};
            row.event = &event;
            row.delivery = delivery;
            row.target = event.target == Event::no_target ? nullptr : batch->catalog->targets[event.target];
            row.fault = known_fault(event, row.target);
            row.is_refused = row.fault != nullptr;
            add_row(batch, row);
        }
    }
    batch->first_rows[batch->count] = batch->row_count;
    for (int i = 0; i < batch->row_count; i++)
        batch->rows[i].arrival = i;
}

/* Converts rows of the target from `next` on until one fails; `next` tells which. */
void convert_from(Batch *batch, Target *target, MemoryContext scratch, int *next)
{
    for (; *next < batch->row_count; (*next)++) {
        Row *row = &batch->rows[*next];

        if (row->target == target && row->fault == nullptr)
            convert_row(target, row, scratch);
    }
}

void postpone_rows_of(Batch *batch, const Target *target, const PgError &error)
{
    for (int i = 0; i < batch->row_count; i++) {
        if (batch->rows[i].target == target)
            postpone(batch, batch->rows[i].delivery, error);
    }
}

void convert_rows_of(Batch *batch, Target *target, MemoryContext scratch)
{
    const SavedIdentity saved = as_owner(target->owner);
    int next = 0;

    while (next < batch->row_count) {
        PgError error;

        if (in_any_subtransaction(batch->context, error, [batch, target, scratch, &next] {
                convert_from(batch, target, scratch, &next);
            }))
            break;
        /* what a domain's constraint reads, say: the other rows would most likely meet it, too */
        if (is_lock(error) && batch->pace == Pace::careful) {
            postpone_rows_of(batch, target, error);
            break;
        }
        if (is_transient(error.sqlerrcode))
            raise(error);
        const TargetColumn *column = column_being_converted();
        if (column != nullptr)
            strlcpy(error.column, NameStr(column->name), sizeof(error.column));
        Row *row = &batch->rows[next++];
        row->fault = fault_of(error);
        row->is_refused = true;
    }
    back_to(saved);
}

void convert_rows(Batch *batch)
{
    MemoryContext scratch = AllocSetContextCreate(batch->context, "cxone_sync value", ALLOCSET_DEFAULT_SIZES);

    for (int i = 0; i < batch->catalog->count; i++) {
        if (batch->needs[i] && batch->catalog->targets[i]->problem.sqlerrcode == 0)
            convert_rows_of(batch, batch->catalog->targets[i], scratch);
    }
    MemoryContextDelete(scratch);
}

/* ---- order ---- */

/* Rows of one table and key side by side, in the order of arrival. */
int compare_by_key(const void *a, const void *b, void *)
{
    const Row *x = *static_cast<Row *const *>(a);
    const Row *y = *static_cast<Row *const *>(b);

    if (x->target->config.relation != y->target->config.relation)
        return x->target->config.relation < y->target->config.relation ? -1 : 1;
    /* the events of targets with other keys are kept apart by their stages */
    if (x->target != y->target && x->target->keeps_arrival)
        return x->target->number < y->target->number ? -1 : 1;
    const int order = compare_keys(x->target, x, y);
    if (order != 0)
        return order;
    return x->arrival < y->arrival ? -1 : 1;
}

bool have_same_key(const Row *a, const Row *b)
{
    return a->target->config.relation == b->target->config.relation &&
           (a->target == b->target || !a->target->keeps_arrival) && compare_keys(a->target, a, b) == 0;
}

/* Wave n holds the n-th event of each key; the rows are sorted by key. */
void make_waves(Row *const *rows, int count)
{
    for (int r = 0; r < count; r++) {
        const bool goes_on = r > 0 && have_same_key(rows[r - 1], rows[r]);

        rows[r]->key_order = r;
        rows[r]->wave = goes_on ? rows[r - 1]->wave + 1 : 0;
    }
}

/* Whether the order of arrival matters between these two of a group, which came one after the other. */
bool follows_by_itself(const Row *before, const Row *row)
{
    return is_removal(before) != is_removal(row) ||
           (row->target->keeps_arrival && (before->target != row->target || is_removal(row)));
}

/*
 * Stages keep the order of arrival where it matters between keys: deletions of a group are apart from what
 * comes before and after them; with keeps_arrival each target is, and each deletion, which may take others
 * with it. What is_ordered is a stage by itself, between all that came before and after it.
 */
void make_stages(Batch *batch, Row *const *rows, int count)
{
    auto **last = static_cast<const Row **>(palloc0(Max(batch->catalog->count, 1) * sizeof(Row *)));
    int lowest = 0;
    int highest = -1;

    batch->is_ordered = false;
    for (int r = 0; r < count; r++) {
        Row *row = rows[r];
        const Row *before = last[row->target->group];

        if (row->target->is_ordered)
            lowest = highest + 1;
        row->stage = lowest;
        if (before != nullptr)
            row->stage = Max(lowest, before->stage + follows_by_itself(before, row));
        highest = Max(highest, row->stage);
        if (row->target->is_ordered)
            lowest = highest + 1;
        batch->is_ordered |= row->target->is_ordered && count > 1;
        last[row->target->group] = row;
    }
    pfree(last);
}

bool is_pending(const Row *row)
{
    return row->event->outcome == Outcome::pending && row->fault == nullptr && row->target != nullptr &&
           !row->delivery->is_postponed;
}

template <typename Number> int compare_numbers(Number a, Number b)
{
    return a < b ? -1 : a > b;
}

/* Referenced tables are written before those that reference them, and deleted from after them. */
int compare_tables(const Row *a, const Row *b)
{
    const int order = compare_numbers(a->stage, b->stage);

    return order != 0 ? order : compare_numbers(a->target->rank, b->target->rank) * (is_removal(a) ? -1 : 1);
}

/*
 * Of dead letters with one time those side by side that may mean one row, in the order of arrival: those of
 * one key, but of a whole table where a trigger may change keys, or where targets have different ones.
 */
bool may_mean_one_row(const Row *a, const Row *b)
{
    return a->target->config.relation == b->target->config.relation && a->event->time == b->event->time &&
           (a->target->has_insert_triggers || a->target->keeps_arrival || compare_keys(a->target, a, b) == 0);
}

int compare_for_ties(const void *a, const void *b, void *)
{
    const Row *x = *static_cast<Row *const *>(a);
    const Row *y = *static_cast<Row *const *>(b);
    int order = compare_numbers(x->target->config.relation, y->target->config.relation);

    if (order == 0)
        order = compare_numbers(x->event->time, y->event->time);
    if (order == 0 && !may_mean_one_row(x, y))
        order = compare_keys(x->target, x, y);
    return order != 0 ? order : compare_numbers(x->arrival, y->arrival);
}

/* Links the dead letters between which ties are decided by their arrival. */
void link_ties(Batch *batch)
{
    int count = 0;

    for (int i = 0; i < batch->row_count; i++) {
        if (batch->rows[i].delivery->dead_letter != 0 && is_pending(&batch->rows[i]))
            batch->order[count++] = &batch->rows[i];
    }
    qsort_arg(batch->order, count, sizeof(Row *), compare_for_ties, nullptr);
    for (int r = 1; r < count; r++) {
        if (may_mean_one_row(batch->order[r - 1], batch->order[r]))
            batch->order[r]->tied = batch->order[r - 1];
    }
}

/*
 * As few statements as can be: each wave by targets and sets of columns. Of rows that reference others of
 * their table, roots most likely carry the least.
 */
int compare_for_speed(const void *a, const void *b)
{
    const Row *x = *static_cast<Row *const *>(a);
    const Row *y = *static_cast<Row *const *>(b);
    int order = compare_tables(x, y);

    if (order == 0)
        order = compare_numbers(x->wave, y->wave);
    if (order == 0)
        order = compare_numbers(x->target->number, y->target->number);
    if (order == 0)
        order = compare_numbers(is_removal(x), is_removal(y));
    if (order == 0)
        order = compare_numbers(x->event->field_count, y->event->field_count);
    if (order == 0)
        order = compare_numbers(x->event->columns_hash, y->event->columns_hash);
    return order != 0 ? order : compare_numbers(x->key_order, y->key_order);
}

/* In the order of keys, which writers that do not take turns share. */
int compare_for_others(const void *a, const void *b)
{
    const Row *x = *static_cast<Row *const *>(a);
    const Row *y = *static_cast<Row *const *>(b);
    const int order = compare_tables(x, y);

    return order != 0 ? order : compare_numbers(x->key_order, y->key_order);
}

int compare_for_writing(const void *a, const void *b, void *argument)
{
    const auto *batch = static_cast<const Batch *>(argument);

    return batch->keeps_key_order ? compare_for_others(a, b) : compare_for_speed(a, b);
}

/* Collects the rows from `begin` to `end` that are to be written, sorted by key; returns how many. */
int arrange_rows(Batch *batch, int begin, int end)
{
    int count = 0;

    for (int i = begin; i < end; i++) {
        if (is_pending(&batch->rows[i]))
            batch->order[count++] = &batch->rows[i];
    }
    make_stages(batch, batch->order, count);
    qsort_arg(batch->order, count, sizeof(Row *), compare_by_key, nullptr);
    make_waves(batch->order, count);
    return count;
}

/* ---- one statement ---- */

bool share_statement(const Row *a, const Row *b)
{
    return a->target == b->target && a->stage == b->stage && is_removal(a) == is_removal(b) &&
           (is_removal(a) || feed_same_columns(a, b)) && a->key_order < b->key_order &&
           !have_same_key(a, b) && !a->target->hashed_together && loses_ties(a) == loses_ties(b);
}

bool write_statement(const Batch *batch, Target *target, Row **rows, int count)
{
    const SavedIdentity saved = as_owner(target->owner);
    const bool done = is_removal(rows[0]) ? delete_rows(target, rows, count)
                                          : upsert_rows(target, rows, count,
                                                        batch->is_careful || target->inserts_cost ||
                                                            cannot_be_inserted(target, rows[0]->event));
    back_to(saved);
    return done;
}

void write_run(const Batch *batch, Row **rows, int count)
{
    Target *target = rows[0]->target;

    /* by another key the row may have been deleted */
    for (int turn = 0; turn < 2; turn++) {
        if (target->may_lose_rows)
            count = skip_deleted(target, rows, count);
        if (count == 0 || write_statement(batch, target, rows, count))
            return;
    }
    raise_other_key(target);
}

void check_all_names(const Batch *batch)
{
    if (!has_changed_since(*batch->catalog))
        return;
    for (int i = 0; i < batch->catalog->count; i++) {
        if (batch->relations[i] != nullptr)
            check_names(batch->catalog->targets[i]);
    }
}

/* Writes the rows that arrange_rows() has collected, or raises the first error. */
void write_rows(Batch *batch, int count)
{
    Row **rows = batch->order;
    const Target *last = nullptr;

    for (int r = 0; r < count; r++)
        rows[r]->is_alone = batch->is_careful && count == 1;
    qsort_arg(rows, count, sizeof(Row *), compare_for_writing, batch);
    for (int first = 0, next; first < count; first = next) {
        for (next = first + 1; next < count && share_statement(rows[next - 1], rows[next]);)
            next++;
        /* for each, since another owner's trigger may have deferred them again */
        if (rows[first]->target != last && rows[first]->target->has_triggers)
            check_constraints_at_once();
        last = rows[first]->target;
        strlcpy(batch->result->target, last->config.name, sizeof(batch->result->target));
        write_run(batch, rows + first, next - first);
        check_all_names(batch); /* here it is known whose event's trigger has changed them */
    }
    batch->result->target[0] = '\0';
}

/* ---- writers side by side ---- */

/* What a batch wants of the tables of a group of targets. */
struct GroupNeeds {
    bool is_needed;
    bool takes_turns;
    bool is_mixed; /* more than one statement */
    const Row *first;
};

/* Whether writing its rows out of the order of their keys cannot be avoided. */
bool must_take_turns(const Batch *batch, const Row *row)
{
    const Target *target = row->target;

    return batch->is_careful || batch->is_ordered || target->takes_turns || target->other_keys ||
           target->inserts_cost || target->is_partitioned || cannot_be_inserted(target, row->event);
}

GroupNeeds *find_needs(const Batch *batch, int count)
{
    auto *needs = static_cast<GroupNeeds *>(palloc0(Max(batch->catalog->count, 1) * sizeof(GroupNeeds)));

    for (int i = 0; i < count; i++) {
        const Row *row = batch->order[i];
        GroupNeeds *group = &needs[row->target->group];

        if (!group->is_needed)
            *group = {.is_needed = true, .takes_turns = false, .is_mixed = false, .first = row};
        group->takes_turns = group->takes_turns || must_take_turns(batch, row);
        group->is_mixed = group->is_mixed || row->wave > 0 || row->target != group->first->target ||
                          is_removal(row) != is_removal(group->first) ||
                          !feed_same_columns(row, group->first);
    }
    return needs;
}

void postpone_group(Batch *batch, int group, const PgError &error)
{
    for (int i = 0; i < batch->row_count; i++) {
        const Row *row = &batch->rows[i];

        if (row->target != nullptr && row->target->group == group)
            postpone(batch, row->delivery, error);
    }
}

/* False if that takes too long: with Pace::careful the group's deliveries are postponed then. */
bool wait_for_turn(Batch *batch, const WriterLock *lock, LOCKMODE mode)
{
    const Oid relation = lock->relation;
    const auto wait = [relation, mode] {
        LockDatabaseObject(RelationRelationId, relation, lock_of_writers, mode);
    };
    PgError error;

    if (batch->pace != Pace::careful) {
        wait();
        return true;
    }
    if (in_any_subtransaction(batch->context, error, wait))
        return true;
    if (!is_lock(error))
        raise(error);
    postpone_group(batch, lock->group, error);
    return false;
}

/*
 * Keeps writers of the same tables from waiting for each other in a circle. Those that write their rows in
 * the order of keys, by one statement, do so side by side. Who needs several statements takes the tables
 * alone if nobody else writes them, and then has the choice which order is the quickest; else it keeps to the
 * order of keys, too, unless the rows can be in each other's way in more than their keys. A group of targets
 * has one lock. All are taken before the first row, in one order. Where turns are taken a worker keeps its
 * own until the commit, so that the next one sees what it wrote; a caller's transaction may go on for long.
 */
void lock_writers(Batch *batch, int count)
{
    GroupNeeds *needs = find_needs(batch, count);
    const int level = NewGUCNestLevel();

    if (batch->pace != Pace::waiting)
        pin_setting("lock_timeout", psprintf("%d", turn_timeout_ms));
    else if (!batch->holds_locks)
        pin_setting("lock_timeout", psprintf("%d", batch->lock_timeout_ms));
    batch->keeps_key_order = false;
    memset(batch->held, 0, batch->catalog->count * sizeof(LOCKMODE)); /* those of a failed attempt are gone */
    for (int i = 0; i < batch->catalog->count; i++) {
        const WriterLock *lock = &batch->catalog->writer_locks[i];
        const GroupNeeds *group = &needs[lock->group];
        LOCKMODE mode = ExclusiveLock;

        if (!lock->is_used || !group->is_needed)
            continue;
        if (!group->takes_turns && (!group->is_mixed || !try_lock(lock->relation, lock_of_writers, mode))) {
            mode = ShareLock;
            batch->keeps_key_order |= group->is_mixed;
        }
        const bool is_held =
            (mode == ExclusiveLock && !group->takes_turns) || wait_for_turn(batch, lock, mode);
        if (is_held && (batch->pace == Pace::waiting || !group->takes_turns))
            batch->held[i] = mode;
    }
    AtEOXact_GUC(false, level);
    pfree(needs);
}

/* No row is waited for any more. */
void unlock_writers(Batch *batch)
{
    for (int i = 0; i < batch->catalog->count; i++) {
        if (batch->held[i] != NoLock)
            UnlockDatabaseObject(RelationRelationId, batch->catalog->writer_locks[i].relation,
                                 lock_of_writers, batch->held[i]);
        batch->held[i] = NoLock;
    }
}

/* ---- quickly ---- */

/* As they were before anything was written. */
void reset_rows(Batch *batch, int begin, int end)
{
    for (int i = begin; i < end; i++) {
        Row *row = &batch->rows[i];

        if (row->is_refused)
            continue;
        row->event->outcome = Outcome::pending;
        row->event->key = row->own_key;
        row->values = row->own_values;
        row->keys = row->own_keys;
        row->fault = nullptr;
    }
}

/* All rows at once; raises the first error. */
void write_quickly(Batch *batch)
{
    reset_rows(batch, 0, batch->row_count);
    batch->is_careful = false;
    const int count = arrange_rows(batch, 0, batch->row_count);
    if (batch->takes_writer_locks)
        lock_writers(batch, count);
    else
        batch->keeps_key_order = true;
    write_rows(batch, count);
    unlock_writers(batch);
}

/* ---- carefully ---- */

bool write_range(Batch *batch, int begin, int end, PgError &error)
{
    const bool ok = in_any_subtransaction(
        batch->context, error, [batch, begin, end] { write_rows(batch, arrange_rows(batch, begin, end)); });

    if (!ok)
        reset_rows(batch, begin, end);
    return ok;
}

/* Writes what succeeds: what fails as a whole is halved. */
void settle_rows(Batch *batch, int begin, int end)
{
    PgError error;

    check_stack_depth();
    CHECK_FOR_INTERRUPTS();
    if (begin == end || ((!batch->is_exact || end - begin == 1) && write_range(batch, begin, end, error)))
        return;
    if (is_transient(error.sqlerrcode))
        raise(error);
    if (end - begin == 1) {
        if (doubts_target(error.sqlerrcode))
            check_all_names(batch);
        batch->rows[begin].fault = fault_of(error);
        return;
    }
    const int middle = begin + (end - begin) / 2;
    settle_rows(batch, begin, middle);
    settle_rows(batch, middle, end);
}

/* Links the events of each key, whatever becomes of them. */
void link_keys(Batch *batch)
{
    int count = 0;

    for (int i = 0; i < batch->row_count; i++) {
        batch->rows[i].later = nullptr;
        if (batch->rows[i].keys != nullptr && !batch->rows[i].is_refused)
            batch->order[count++] = &batch->rows[i];
    }
    qsort_arg(batch->order, count, sizeof(Row *), compare_by_key, nullptr);
    for (int r = 1; r < count; r++) {
        if (have_same_key(batch->order[r - 1], batch->order[r]))
            batch->order[r - 1]->later = batch->order[r];
    }
}

/*
 * What comes behind a delivery that waits, and has one of its keys, waits as well, and so does what comes
 * behind that: of equal times the later one is to win.
 */
void postpone_followers(Batch *batch)
{
    for (int i = 0; i < batch->count; i++) {
        for (int r = batch->first_rows[i]; batch->deliveries[i]->is_postponed && r < batch->first_rows[i + 1];
             r++) {
            if (batch->rows[r].later != nullptr)
                leave_out_behind(batch, batch->deliveries[i], batch->rows[r].later->delivery);
        }
    }
}

int collect_of_target(Batch *batch, const Target *target)
{
    int count = 0;

    for (int i = 0; i < batch->row_count; i++) {
        if (batch->rows[i].target == target && is_pending(&batch->rows[i]))
            batch->order[count++] = &batch->rows[i];
    }
    return count;
}

/* How many rows of batch->order others have locked; these are at its front. */
int find_locked_rows(Batch *batch, Target *target, int count)
{
    const int step = target->hashed_together ? 1 : count; /* that many can share a statement */
    int locked = 0;
    const SavedIdentity saved = as_owner(target->owner);

    for (int first = 0; first < count; first += step) {
        Row **rows = batch->order + first;
        const int found = find_locked(target, rows, step);

        memmove(batch->order + locked, rows, found * sizeof(Row *));
        locked += found;
    }
    back_to(saved);
    return locked;
}

/*
 * To meet each locked row by itself would take a millisecond, so all of them are found at once. Where a lock
 * keeps us even from looking, or the rows cannot be seen, each is met after all. True if there are some.
 */
bool postpone_locked_rows(Batch *batch)
{
    const int before = batch->result->postponed;

    for (int i = 0; i < batch->catalog->count; i++) {
        Target *target = batch->catalog->targets[i];
        const int count = collect_of_target(batch, target);
        PgError error;

        if (count == 0 || target->hides_rows || target->is_distributed)
            continue;
        const bool ok = in_any_subtransaction(batch->context, error, [batch, target, count] {
            const int locked = find_locked_rows(batch, target, count);
            for (int r = 0; r < locked; r++)
                postpone(batch, batch->order[r]->delivery,
                         lock_on("a row of target \"%s\" is locked", target, hint_for_row_locks));
        });
        if (!ok && is_transient(error.sqlerrcode) && !is_lock(error))
            raise(error);
    }
    postpone_followers(batch);
    return batch->result->postponed > before;
}

/* What events of a delivery need is locked; `error` may tell more. */
PgError lock_met_in(const Batch *batch, int begin, int end, const PgError &error)
{
    PgError lock = error;

    for (int i = begin; i < end; i++) {
        if (!is_pending(&batch->rows[i]))
            continue;
        lock = lock_on("a lock that an event of target \"%s\" needs is held by another transaction",
                       batch->rows[i].target, hint_for_row_locks);
        strlcpy(lock.detail, error.detail, sizeof(lock.detail));
        break;
    }
    return lock;
}

/* One delivery, whose events commit together: if one needs a lock that others hold, none is written. */
void settle_delivery(Batch *batch, int index)
{
    const int begin = batch->first_rows[index];
    const int end = batch->first_rows[index + 1];
    PgError error;

    if (batch->pace == Pace::waiting) {
        settle_rows(batch, begin, end);
        return;
    }
    if (in_any_subtransaction(batch->context, error, [batch, begin, end] { settle_rows(batch, begin, end); }))
        return;
    if (!is_lock(error))
        raise(error);
    error = lock_met_in(batch, begin, end, error);
    reset_rows(batch, begin, end);
    for (const Event &event : batch->deliveries[index]->events) {
        if (event.target != Event::no_target)
            batch->hides_locks[event.target] = true;
    }
    batch->deliveries[index]->needs_hidden_lock = true;
    postpone(batch, batch->deliveries[index], error);
    postpone_followers(batch);
}

bool may_meet_lock(const Batch *batch, const Delivery *delivery)
{
    for (const Event &event : delivery->events) {
        if (event.target != Event::no_target && batch->hides_locks[event.target])
            return true;
    }
    return false;
}

/*
 * Others are not to wait for long while one lock after the other is met. There is none before a delivery has
 * met one, so that with each batch fewer are left.
 */
void leave_out_untried(Batch *batch, int begin, int end)
{
    if (batch->options.patience_us == 0 || batch->lost_us < batch->options.patience_us)
        return;
    for (int i = begin; i < end; i++) {
        Delivery *delivery = batch->deliveries[i];

        if (delivery->is_postponed || !may_meet_lock(batch, delivery))
            continue;
        delivery->is_untried = true;
        leave_out(batch, delivery);
    }
    postpone_followers(batch);
}

/* True if these deliveries are written, or at least settled if it is one. */
bool settle_some(Batch *batch, int begin, int end)
{
    PgError error;

    if (end - begin == 1) {
        settle_delivery(batch, begin);
        return !batch->deliveries[begin]->is_postponed;
    }
    if (write_range(batch, batch->first_rows[begin], batch->first_rows[end], error))
        return true;
    if (is_transient(error.sqlerrcode) && !is_lock(error))
        raise(error);
    return false;
}

/*
 * Where locks are met that cannot be seen before, each takes a millisecond to be met: so one delivery is
 * tried, and as long as that goes well twice as many, which meets each lock among many but once.
 */
void settle_beside_locks(Batch *batch, int begin, int end)
{
    int most = 1;

    while (begin < end) {
        const TimestampTz start = GetCurrentTimestamp();
        const int next = Min(begin + most, end);

        CHECK_FOR_INTERRUPTS();
        if (batch->deliveries[begin]->is_postponed) {
            begin++;
            continue;
        }
        const bool is_done = settle_some(batch, begin, next);
        if (is_done || next - begin == 1)
            begin = next;
        most = is_done ? 2 * most : 1;
        if (is_done)
            continue;
        batch->lost_us += GetCurrentTimestamp() - start;
        leave_out_untried(batch, begin, end);
    }
}

void settle_deliveries(Batch *batch, int begin, int end)
{
    PgError error;

    check_stack_depth();
    if (begin == end ||
        (!batch->is_exact && write_range(batch, batch->first_rows[begin], batch->first_rows[end], error)))
        return;
    if (is_transient(error.sqlerrcode) && !is_lock(error))
        raise(error);
    if (is_lock(error) && batch->pace == Pace::careful) {
        const bool has_looked = batch->knows_locks;
        batch->knows_locks = true;
        if (!has_looked && postpone_locked_rows(batch))
            settle_deliveries(batch, begin, end);
        else
            settle_beside_locks(batch, begin, end);
        return;
    }
    if (end - begin == 1) {
        settle_delivery(batch, begin);
        return;
    }
    const int middle = begin + (end - begin) / 2;
    settle_deliveries(batch, begin, middle);
    settle_deliveries(batch, middle, end);
}

/* ---- what may have waited for a later event ---- */

bool waits_for_others(const Row *row)
{
    return row->fault != nullptr && !row->is_refused && !row->delivery->is_postponed &&
           (row->fault->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION ||
            row->fault->sqlerrcode == ERRCODE_UNIQUE_VIOLATION ||
            row->fault->sqlerrcode == ERRCODE_EXCLUSION_VIOLATION);
}

/*
 * Whether it can be tried behind all others without harm to them: what it did to other rows, by a foreign key
 * or a trigger, it would do to those that came later.
 */
bool may_come_last(const Row *row)
{
    return !is_removal(row) && !row->target->is_ordered;
}

/* Not where a later event of its key has been applied: it would be overwritten. */
bool is_last_of_key(const Row *row)
{
    for (const Row *later = row->later; later != nullptr; later = later->later) {
        if (!waits_for_others(later))
            return false;
    }
    return true;
}

/* Tries these rows once more, together; their faults stay if they fail. No other row is pending. */
bool write_again(Batch *batch, Row *const *rows, int count)
{
    auto **faults = static_cast<const Fault **>(palloc(count * sizeof(Fault *)));
    const int begin = rows[0]->arrival;
    const int end = rows[count - 1]->arrival + 1;
    PgError error;

    for (int r = 0; r < count; r++) {
        faults[r] = rows[r]->fault;
        rows[r]->fault = nullptr;
        rows[r]->event->outcome = Outcome::pending;
    }
    const bool ok = in_any_subtransaction(
        batch->context, error, [batch, begin, end] { write_rows(batch, arrange_rows(batch, begin, end)); });
    for (int r = 0; !ok && r < count; r++)
        rows[r]->fault = faults[r];
    pfree(faults);
    if (!ok && is_transient(error.sqlerrcode) && !is_lock(error))
        raise(error);
    return ok;
}

/* Where triggers may change keys, or rows have several, any later event may be of its row. */
bool is_last_of_table(const Batch *batch, const Row *row)
{
    for (int i = row->arrival + 1; i < batch->row_count; i++) {
        const Row *later = &batch->rows[i];

        if (later->target != nullptr && later->target->config.relation == row->target->config.relation &&
            !later->is_refused && !waits_for_others(later))
            return false;
    }
    return true;
}

int collect_waiting(Batch *batch, Row **rows)
{
    int count = 0;

    for (int i = 0; i < batch->row_count; i++) {
        Row *row = &batch->rows[i];

        if (waits_for_others(row) && may_come_last(row) && is_last_of_key(row) &&
            (!(row->target->has_insert_triggers || row->target->has_other_keys) ||
             is_last_of_table(batch, row)))
            rows[count++] = row;
    }
    return count;
}

/*
 * In the order of arrival an event may have been refused since it needs a later one: its parent, or a unique
 * value that is given up later. It is tried again behind that, all such events at once, then one by one, as
 * long as that helps.
 */
void retry_refused(Batch *batch)
{
    auto **rows =
        static_cast<Row **>(palloc_extended(Max(batch->row_count, 1) * sizeof(Row *), MCXT_ALLOC_HUGE));

    int count = collect_waiting(batch, rows);
    bool goes_on = count > 0 && !(count > 1 && write_again(batch, rows, count));
    for (int round = 0; goes_on && round < max_retry_rounds; round++) {
        goes_on = false;
        count = collect_waiting(batch, rows);
        for (int r = 0; r < count; r++) {
            CHECK_FOR_INTERRUPTS();
            goes_on |= write_again(batch, rows + r, 1);
        }
    }
    pfree(rows);
}

bool any_waits_for_others(const Batch *batch)
{
    for (int i = 0; i < batch->row_count; i++) {
        if (waits_for_others(&batch->rows[i]))
            return true;
    }
    return false;
}

/* Halves; false, and nothing is written, if a constraint between rows has refused an event. */
bool settle_by_halves(Batch *batch)
{
    PgError error;
    const bool ok = in_any_subtransaction(batch->context, error, [batch] {
        settle_deliveries(batch, 0, batch->count);
        return !any_waits_for_others(batch);
    });

    if (error.sqlerrcode != 0)
        raise(error);
    return ok;
}

/*
 * What one event was refused for may be there only since another one was written earlier than its turn, in
 * the same half: then all are written one after the other, and only behind the last are the refused ones
 * tried again.
 */
void write_carefully(Batch *batch)
{
    reset_rows(batch, 0, batch->row_count);
    batch->is_careful = true;
    batch->is_exact = batch->knows_locks = false;
    link_keys(batch);
    postpone_followers(batch);
    if (batch->takes_writer_locks)
        lock_writers(batch, arrange_rows(batch, 0, batch->row_count));
    batch->keeps_key_order = !batch->takes_writer_locks;
    if (!settle_by_halves(batch)) {
        reset_rows(batch, 0, batch->row_count);
        batch->is_exact = true;
        settle_deliveries(batch, 0, batch->count);
        retry_refused(batch);
    }
    unlock_writers(batch);
}

/* ---- locks ---- */

void postpone_target(Batch *batch, int index, const PgError &error,
                     bool Delivery::*reason = &Delivery::needs_locked_table)
{
    for (int i = 0; i < batch->count; i++) {
        for (const Event &event : batch->deliveries[i]->events) {
            if (event.target != index)
                continue;
            postpone(batch, batch->deliveries[i], error);
            batch->deliveries[i]->*reason = true;
        }
    }
}

/* Locks the target's table as a write does; false if others keep it from us. */
bool lock_table(const Batch *batch, const Target *target)
{
    const Oid relation = lock_in_the_way(target);

    if (batch->pace != Pace::waiting)
        return !target->is_locked && ConditionalLockRelationOid(relation, RowExclusiveLock);
    if (OidIsValid(relation))
        LockRelationOid(relation, target->is_locked ? AccessShareLock : RowExclusiveLock);
    if (target->is_locked)
        doubt_catalog(); /* it can be looked at now */
    return true;
}

bool try_to_write(const Target *target)
{
    if (target->is_locked || !ConditionalLockRelationOid(target->config.relation, RowExclusiveLock))
        return false;
    UnlockRelationOid(target->config.relation, RowExclusiveLock);
    return true;
}

void find_needed_targets(Batch *batch)
{
    batch->needs = static_cast<bool *>(palloc0(Max(batch->catalog->count, 1) * sizeof(bool)));
    for (int i = 0; i < batch->count; i++) {
        for (const Event &event : batch->deliveries[i]->events) {
            if (event.target != Event::no_target && !batch->deliveries[i]->is_postponed)
                batch->needs[event.target] = true;
        }
    }
}

void note_locked(Batch *batch, const Target *target)
{
    batch->result->any_table_locked = true;
    for (int i = 0; i < batch->options.watched_count; i++)
        batch->options.watched[i].is_locked |= batch->options.watched[i].table == target->config.relation;
}

/* What others need to know as long as the last word was that a table is locked. */
void look_at_other_tables(Batch *batch)
{
    for (int i = 0; batch->options.looks_at_tables && i < batch->catalog->count; i++) {
        if (!batch->needs[i] && !try_to_write(batch->catalog->targets[i]))
            note_locked(batch, batch->catalog->targets[i]);
    }
}

/* True if all that is needed was locked before; `locked` are tables that are, as a write does. */
bool lock_tables(Batch *batch, List **locked)
{
    bool knew_all = true;

    for (int i = 0; i < batch->catalog->count; i++) {
        Target *target = batch->catalog->targets[i];

        if (!batch->needs[i] || target->problem.sqlerrcode != 0 ||
            (!target->is_locked && list_member_oid(*locked, target->config.relation)))
            continue;
        if (lock_table(batch, target)) {
            /* of one that could not be looked at the lock is a lesser one, and perhaps on another table */
            if (!target->is_locked)
                *locked = lappend_oid(*locked, target->config.relation);
            knew_all = false;
            continue;
        }
        note_locked(batch, target);
        postpone_target(batch, i,
                        lock_on("the table of target \"%s\" is locked", target,
                                "Look for who holds the lock in pg_locks."));
    }
    return knew_all;
}

/*
 * Opens the catalog and locks what the deliveries need. While a lock is waited for the definition may change;
 * then all is done once more, by the new one. What changes when all is locked is no matter of these tables.
 */
void prepare_targets(Batch *batch)
{
    constexpr int max_turns = 10;
    List *locked = NIL;

    for (int turn = 0; turn < max_turns; turn++) {
        batch->catalog = &open_catalog();
        for (int i = 0; i < batch->count; i++)
            map_again_if_changed(batch->deliveries[i]);
        find_needed_targets(batch);
        if (lock_tables(batch, &locked) || !has_changed_since(*batch->catalog)) {
            begin_write();
            look_at_other_tables(batch);
            find_needed_targets(batch);
            return;
        }
    }
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("the definitions of the targets keep changing")));
}

/* PostgreSQL refuses to alter a table that is in use; our lock on it does not keep our own triggers away. */
void hold_tables(Batch *batch)
{
    batch->relations = static_cast<Relation *>(palloc0(Max(batch->catalog->count, 1) * sizeof(Relation)));
    for (int i = 0; i < batch->catalog->count; i++) {
        const Target *target = batch->catalog->targets[i];

        if (!batch->needs[i] || target->problem.sqlerrcode != 0)
            continue;
        if (target->is_locked)
            elog(ERROR, "target \"%s\" was to be written by no description", target->config.name);
        batch->relations[i] = table_open(target->config.relation, NoLock);
    }
}

void release_tables(Batch *batch)
{
    for (int i = 0; i < batch->catalog->count; i++) {
        if (batch->relations[i] != nullptr)
            table_close(batch->relations[i], NoLock);
    }
}

bool deletes_from(const Batch *batch, int index)
{
    for (int i = 0; i < batch->count; i++) {
        for (const Event &event : batch->deliveries[i]->events) {
            if (event.target == index && event.is_deletion && !batch->deliveries[i]->is_postponed)
                return deletes_rows(batch->catalog->targets[index]);
        }
    }
    return false;
}

bool needs_tombstones(const Batch *batch, int index)
{
    const Target *target = batch->catalog->targets[index];

    return batch->needs[index] && target->may_lose_rows && target->problem.sqlerrcode == 0;
}

/* The lock that the batch needs for all targets of the table. */
LOCKMODE mode_against_deletions(const Batch *batch, Oid relation)
{
    LOCKMODE mode = NoLock;

    for (int i = 0; i < batch->catalog->count; i++) {
        if (batch->catalog->targets[i]->config.relation != relation || !needs_tombstones(batch, i))
            continue;
        check_isolation(batch->catalog->targets[i]);
        mode = Max(mode, deletes_from(batch, i) ? ExclusiveLock : ShareLock);
    }
    return mode;
}

void postpone_table(Batch *batch, Oid relation)
{
    for (int i = 0; i < batch->catalog->count; i++) {
        const Target *target = batch->catalog->targets[i];

        if (target->config.relation == relation && needs_tombstones(batch, i))
            postpone_target(batch, i,
                            lock_on("another open transaction has applied events of target \"%s\"", target,
                                    "Look in pg_stat_activity for an open transaction that has called "
                                    "cxone_sync.ingest()."));
    }
}

/*
 * Keeps writers that delete rows apart from those that write some: a deletion that another transaction has
 * not committed yet cannot be seen, and its row would come back. The lock goes with the transaction. Tables
 * are locked in one order, each once.
 */
void lock_against_deletions(Batch *batch)
{
    Oid last = InvalidOid;

    for (int i = 0; i < batch->catalog->count; i++) {
        const Oid relation = batch->catalog->writer_locks[i].relation;
        const LOCKMODE mode = relation != last ? mode_against_deletions(batch, relation) : NoLock;

        last = relation;
        if (mode == NoLock)
            continue;
        if (batch->pace != Pace::careful)
            LockDatabaseObject(RelationRelationId, relation, lock_of_deletions, mode);
        else if (!try_lock(relation, lock_of_deletions, mode))
            postpone_table(batch, relation);
    }
}

/* What makes the table of tombstones unfit is no event's fault: who needs it comes again. */
void check_tombstones(Batch *batch)
{
    OwnTable tombstones;
    PgError error;
    int first = 0;

    while (first < batch->catalog->count && !needs_tombstones(batch, first))
        first++;
    if (first == batch->catalog->count || find_own_table("tombstones", NoLock, tombstones, error))
        return;
    if (batch->pace == Pace::waiting)
        raise(error);
    for (int i = first; i < batch->catalog->count; i++) {
        if (needs_tombstones(batch, i))
            postpone_target(batch, i, error, &Delivery::needs_repair);
    }
}

/* ---- the batch ---- */

/* They come first by their names, also where an owner's function sets a search_path of its own. */
void refuse_temporary_objects(const Batch *batch)
{
    if (!has_temporary_objects())
        return;
    for (int i = 0; i < batch->catalog->count; i++) {
        const Target *target = batch->catalog->targets[i];

        if (!batch->needs[i] || target->problem.sqlerrcode != 0 || caller_has_rights_of(target->owner))
            continue;
        ereport(
            ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("events of target \"%s\" cannot be taken in a session that has temporary objects",
                    target->config.name),
             errdetail(
                 "Functions of the owner of table %s could use them in place of its own tables and types.",
                 target->table),
             errhint("Drop them, or use another session, or a role with the rights of the owner.")));
    }
}

bool needs_triggers(const Batch *batch)
{
    for (int i = 0; i < batch->catalog->count; i++) {
        if (batch->needs[i] && batch->catalog->targets[i]->has_triggers)
            return true;
    }
    return false;
}

/* An event must never be answered for that nobody has looked at. */
void give_up_refused(Batch *batch)
{
    int count = 0;

    batch->result->target[0] = '\0';
    for (int i = 0; i < batch->row_count; i++) {
        Row *row = &batch->rows[i];

        if (row->delivery->is_postponed)
            continue;
        if (row->fault != nullptr)
            batch->order[count++] = row;
        else if (row->event->outcome == Outcome::pending)
            elog(ERROR, "an event was neither written nor given up");
    }
    if (count > 0)
        write_dead_letters(batch->order, count);
}

bool write_in_turn(Batch *batch, PgError &error)
{
    const int level = NewGUCNestLevel();

    if (batch->lock_timeout_ms == 0 || batch->lock_timeout_ms > waiting_lock_timeout_ms)
        pin_setting("lock_timeout", psprintf("%d", waiting_lock_timeout_ms));
    bool ok = in_any_subtransaction(batch->context, error, [batch] { write_quickly(batch); });
    if (!ok && !is_transient(error.sqlerrcode))
        ok = in_any_subtransaction(batch->context, error, [batch] { write_carefully(batch); });
    AtEOXact_GUC(false, level);
    return ok;
}

void write_out_of_turn(Batch *batch)
{
    PgError error;

    batch->takes_writer_locks = false;
    memset(batch->held, 0, batch->catalog->count * sizeof(LOCKMODE)); /* they went with the last attempt */
    if (in_any_subtransaction(batch->context, error, [batch] { write_quickly(batch); }))
        return;
    if (is_transient(error.sqlerrcode))
        raise(error);
    write_carefully(batch);
}

/*
 * A lock that is held for longer is waited for without keeping others from writing: the attempt lets go of
 * everything and comes again. But what the caller's transaction has locked before it does not let go: there
 * a circle has to be seen, as PostgreSQL sees it while somebody waits for long enough.
 */
void write_waiting(Batch *batch)
{
    const TimestampTz first = GetCurrentTimestamp();
    MemoryContext whole = batch->context;

    for (;;) {
        const TimestampTz start = GetCurrentTimestamp();
        PgError error;

        batch->context = AllocSetContextCreate(whole, "cxone_sync attempt", ALLOCSET_DEFAULT_SIZES);
        if (write_in_turn(batch, error))
            return;
        MemoryContextSwitchTo(whole);
        MemoryContextDelete(batch->context);
        batch->context = whole;
        if (!is_lock(error))
            raise(error);
        if (batch->holds_locks)
            return write_out_of_turn(batch);
        const TimestampTz end = GetCurrentTimestamp();
        /* a trigger may raise the same without a wait, and do so each time */
        if (!TimestampDifferenceExceeds(start, end, waiting_lock_timeout_ms) ||
            (batch->lock_timeout_ms > 0 && TimestampDifferenceExceeds(first, end, batch->lock_timeout_ms)))
            raise(error);
        CHECK_FOR_INTERRUPTS();
    }
}

void write_all(Batch *batch)
{
    if (batch->pace == Pace::quick)
        write_quickly(batch);
    else if (batch->pace == Pace::careful)
        write_carefully(batch);
    else
        write_waiting(batch);
}

/* False if there are none any more. */
bool postpone_letters(Batch *batch)
{
    const int before = batch->result->postponed;
    const PgError error = lock_on("cxone_sync.dead_letters is locked", nullptr, hint_for_row_locks);

    for (int i = 0; i < batch->row_count; i++) {
        if (batch->rows[i].fault != nullptr)
            postpone(batch, batch->rows[i].delivery, error);
    }
    return batch->result->postponed > before;
}

/* A trigger may have refused it for what is the same in all of a transaction, such as now(). */
bool may_be_fine_alone(const Row *row)
{
    return row->fault != nullptr && !row->is_refused && row->target->is_ordered &&
           !row->delivery->is_postponed;
}

/*
 * Leaves out the first delivery that is to be written in a transaction of its own before anything of it
 * becomes a dead letter, and all that come behind it; false if there is none.
 */
bool leave_out_suspect(Batch *batch)
{
    int first = 0;

    if (!batch->options.leaves_out_suspects || batch->count - batch->result->postponed <= 1)
        return false;
    while (first < batch->row_count && !may_be_fine_alone(&batch->rows[first]))
        first++;
    if (first == batch->row_count)
        return false;
    Delivery *suspect = batch->rows[first].delivery;
    suspect->needs_own_transaction = true;
    for (int i = batch->count - 1; i >= 0; i--) {
        leave_out(batch, batch->deliveries[i]);
        if (batch->deliveries[i] == suspect)
            break;
    }
    return true;
}

/*
 * Before the dead letters are written. A lock that keeps us from writing these concerns only the deliveries
 * that have some.
 */
void write_with_letters(Batch *batch)
{
    const auto write = [batch] {
        write_all(batch);
        if (batch->pace == Pace::careful && leave_out_suspect(batch))
            return false;
        give_up_refused(batch);
        return true;
    };

    if (batch->pace != Pace::careful) {
        write();
        return;
    }
    for (;;) {
        PgError error;

        if (in_any_subtransaction(batch->context, error, write))
            return;
        if (error.sqlerrcode != 0 && (!is_lock(error) || !postpone_letters(batch)))
            raise(error);
    }
}

void begin_batch(Batch *batch)
{
    batch->result->reached_rows = batch->result->any_table_locked = false;
    batch->result->postponed = 0;
    batch->result->target[0] = '\0';
    batch->takes_writer_locks = true;
    batch->holds_locks = TransactionIdIsValid(GetTopTransactionIdIfAny());
    for (int i = 0; i < batch->options.watched_count; i++)
        batch->options.watched[i].is_locked = false;
    for (int i = 0; i < batch->count; i++) {
        Delivery *delivery = batch->deliveries[i];

        delivery->is_postponed = delivery->is_untried = delivery->needs_hidden_lock =
            delivery->needs_locked_table = delivery->needs_repair = delivery->needs_own_transaction = false;
    }
}

void write_batch(Batch *batch)
{
    const int level = NewGUCNestLevel();

    batch->lock_timeout_ms = LockTimeout;
    if (batch->pace != Pace::waiting)
        pin_setting("lock_timeout", batch->pace == Pace::quick ? quick_lock_timeout : careful_lock_timeout);
    batch->held = static_cast<LOCKMODE *>(palloc0(Max(batch->catalog->count, 1) * sizeof(LOCKMODE)));
    batch->hides_locks = static_cast<bool *>(palloc0(Max(batch->catalog->count, 1) * sizeof(bool)));
    check_tombstones(batch);
    lock_against_deletions(batch);
    for (int i = 0; i < batch->catalog->count; i++) {
        if (batch->needs[i] && batch->catalog->targets[i]->problem.sqlerrcode == 0)
            renew_plans(batch->catalog->targets[i]);
    }
    collect_rows(batch);
    convert_rows(batch);
    link_ties(batch);
    write_with_letters(batch);
    AtEOXact_GUC(false, level);
}

void prepare_and_write(Batch *batch)
{
    MemoryContext context = batch->context;

    prepare_targets(batch);
    if (batch->pace == Pace::waiting) {
        refuse_temporary_objects(batch);
        if (needs_triggers(batch))
            refuse_deferred_triggers();
    }
    hold_tables(batch);
    connect_spi();
    MemoryContextSwitchTo(context);
    batch->result->reached_rows = true;
    write_batch(batch);
    /* what a trigger has deferred would be so for the caller */
    if (batch->pace == Pace::waiting && needs_triggers(batch))
        check_constraints_at_once();
    SPI_finish();
    MemoryContextSwitchTo(context);
    release_tables(batch);
}

} // namespace

void write_deliveries(Delivery *const *deliveries, int count, Pace pace, WriteResult *result,
                      WriteOptions options)
{
    const MemoryContext caller_context = CurrentMemoryContext;
    Batch batch = {};

    batch.context = AllocSetContextCreate(caller_context, "cxone_sync batch", ALLOCSET_DEFAULT_SIZES);
    batch.deliveries = deliveries;
    batch.count = count;
    batch.pace = pace;
    batch.result = result;
    batch.options = options;
    MemoryContext context = batch.context;
    MemoryContextSwitchTo(context);
    begin_batch(&batch);
    apart_from_session([&batch] { prepare_and_write(&batch); });
    MemoryContextSwitchTo(caller_context);
    MemoryContextDelete(context);
}

} // namespace cxone_sync
