#pragma once

#include "core/delivery.h"

#include "db/target.h"

namespace cxone_sync {

/* An event on its way into the target, with its fields as datums. */
struct Row {
    Event *event;
    Delivery *delivery;
    int arrival;       /* its place in the batch */
    Datum *values;     /* parallel to event->fields, and the event's time */
    Datum *keys;       /* of them, those of the target's key */
    Row *overtaken_by; /* a row of the batch that makes this one superfluous, unless it fails */
    bool is_written;   /* the last statement for it has changed the target */
    bool came_late;    /* overtaken by a newer event that had come before */
};

/*
 * Turns the event's fields into datums, each by its column's input function; `row->values` is allocated. What
 * is in `scratch` is lost.
 */
void convert_row(Target *target, Row *row, MemoryContext scratch);

/* The field that convert_row() is at work on; null outside. For the message of an error it raises. */
const TargetColumn *column_being_converted() noexcept;

/*
 * Writes `count` rows that feed the same columns and have different keys, by one statement: inserts or
 * updates, leaves rows alone that are newer or would not change, and sets each event's outcome (applied or
 * skipped). SPI must be connected.
 */
void upsert_rows(Target *target, Row *const *rows, int count);

/*
 * Writes the row by an UPDATE, under the same conditions, if its key is there; else false, and nothing is
 * written.
 */
bool update_row(Target *target, Row *row);

/* The text of a time for a column of this shape, in a form that reads the same in every session. */
std::string_view time_text_of(Mapping::Shape shape, std::int64_t time, char (&buffer)[32]) noexcept;

/* The text of the column's value for this field, null for null. Raises what the column's type raises. */
char *value_text(TargetColumn *column, const Field &field);

/* Orders rows by their key: below 0, 0 or above, as its types compare. Raises what they raise. */
int compare_keys(const Target *target, const Row *a, const Row *b);

/* True if two rows feed the same columns, hence share a statement. */
bool feed_same_columns(const Row *a, const Row *b);

/* Arrays of the rows' keys and times, for statements that take these, and the arrays' types. */
void key_arrays(const Target *target, Row *const *rows, int count, Datum *values, Oid *types);

/* Makes those of the rows skipped that the target has newer. */
void skip_overtaken(Target *target, Row *const *rows, int count);

void free_plans(Target *target);

} // namespace cxone_sync
