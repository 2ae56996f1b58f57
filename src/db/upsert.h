#pragma once

#include "core/delivery.h"

#include "db/guard.h"
#include "db/spi.h"
#include "db/target.h"

namespace cxone_sync {

/* Why an event cannot be applied. The texts outlive the batch's rows. */
struct Fault {
    int sqlerrcode;
    std::string_view message;
    std::string_view detail;
    std::string_view hint;
    std::string_view column;
    std::string_view constraint;
};

/* An event on its way into the target, with its fields as datums. */
struct Row {
    Event *event;
    Delivery *delivery;
    Target *target;
    Datum *values;            /* parallel to event->fields, and the event's time */
    Datum *keys;              /* of them, those of the target's key */
    std::string_view own_key; /* the event's text of it, and these two, before a trigger changed them */
    Datum *own_values;
    Datum *own_keys;
    const Fault *fault; /* why the event cannot be applied; null: nothing is known against it */
    bool is_refused;    /* for a reason that was known before anything was written */

    /* its place among the rows that are written with it (writer.cpp) */
    int arrival;
    int key_order;
    int wave;
    int stage;
    Row *later;    /* the next event of its key; null: none */
    Row *tied;     /* of a dead letter, the one before it that may have its key and time; null: none */
    bool is_alone; /* no other row is written with it */

    /* what the last statements for it have told */
    bool is_written; /* or locked */
    bool is_present;
    bool is_newer; /* that is, the row in the table */
    bool is_marked;
    bool would_change;
    bool is_repeated; /* a deletion that is kept already */
};

/* Whether its event deletes a row, rather than marks it or writes it. */
inline bool is_removal(const Row *row)
{
    return row->event->is_deletion && deletes_rows(row->target);
}

/*
 * Turns the event's fields into datums, each by its column's input function; `row->values` is allocated. What
 * is in `scratch` is lost.
 */
void convert_row(Target *target, Row *row, MemoryContext scratch);

/* The field that convert_row() is at work on; null outside. For the message of an error it raises. */
const TargetColumn *column_being_converted() noexcept;

/*
 * Writes `count` rows that feed the same columns of one target and have different keys: inserts or updates,
 * leaves rows alone that are newer or would not change, and sets each event's outcome. With `update_first`
 * rows that are there are not proposed as new ones: what only an INSERT needs does not concern them. Returns
 * false if a single row has got another key by a trigger, and nothing has been written. SPI must be
 * connected, as the owner of the table. Raises what the statements raise, and if the table was left as it was
 * for no reason that is known.
 */
bool upsert_rows(Target *target, Row *const *rows, int count, bool update_first);

/* Raises that a trigger has changed, or may have changed, the key of a row: one by one they can be told. */
[[noreturn]] void raise_other_key(const Target *target);

/* Whether an INSERT of such rows cannot succeed: a column that they leave out needs a value. */
bool cannot_be_inserted(const Target *target, const Event *event);

/* The text of a time for a column of this shape, in a form that reads the same in every session. */
std::string_view time_text_of(Shape shape, std::int64_t time, char (&buffer)[32]) noexcept;

/* The text of the column's value for this field, null for null. Raises what the column's type raises. */
char *value_text(TargetColumn *column, const Field &field);

/* Orders two values of one column of the key: below 0, 0 or above, as its type compares. */
inline int compare_in_key(const Target *target, int key, Datum a, Datum b)
{
    return DatumGetInt32(
        FunctionCall2Coll(&target->keys[key].compare, key_column(target, key).collation, a, b));
}

/*
 * Whether it loses to a row that has its time: a dead letter arrived before whatever else gave a row that
 * time, as far as one can know, but behind the letters that were written before it in the same call. Only in
 * row order, and of equal times a deletion wins.
 */
bool loses_ties(const Row *row);

/* Orders rows by their key: below 0, 0 or above, as its types compare. Raises what they raise. */
int compare_keys(const Target *target, const Row *a, const Row *b);

/* True if two rows feed the same columns, hence share a statement. */
bool feed_same_columns(const Row *a, const Row *b);

/* Runs a statement that takes the rows' keys and times, kept in `plans`, and marks the rows it returns. */
void run_for_keys(Target *target, KeyPlans *plans, char *(*statement)(const Target *, bool is_single),
                  Row *const *rows, int count, int expected);

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

/* Nothing is known of what the table holds. */
inline void forget_standing(Row *const *rows, int count)
{
    for (int r = 0; r < count; r++)
        rows[r]->is_present = rows[r]->is_newer = rows[r]->is_marked = rows[r]->would_change = false;
}

/* Looks which of the rows' keys are there. */
void look_for_rows(Target *target, Row *const *rows, int count);

/* Locks the rows that would change and that nobody else has locked, without a wait. Has those that others
 * have locked at the front of `rows`, and returns how many they are. */
int find_locked(Target *target, Row **rows, int count);

/* Raises that what an event wrote is not there. */
[[noreturn]] void raise_swallowed(const Target *target);

/*
 * Has plans made anew that were made when the table was less than half as large as it is: whole small tables
 * are read more cheaply than their indexes, large ones are not. The table must be locked.
 */
void renew_plans(Target *target);

void free_plans(Target *target);

} // namespace cxone_sync
