#pragma once

#include "db/target.h"

/*
 * The texts of the statements that write a target. Each takes one array for each of its columns, and the rows
 * at the same place of all arrays together; the last column is the order column. Those that look for rows of
 * a partitioned table take behind them, unless for a single row, an array for each column of the key that
 * finds_partition(): which values there are. Identifiers are quoted, values are parameters. The texts are
 * allocated in the current memory context.
 */
namespace cxone_sync {

/* In row order: whether an event wins against a row with its time. In field order the values decide. */
enum class Ties : bool { lose, win };

/* Statements for a single row are for partitioned tables, where they are planned each time: by its values. */
struct Form {
    Ties ties;
    bool is_single;

    bool operator==(const Form &) const = default;
};

/*
 * Whether a write returns the keys that it wrote: a trigger may have dropped or changed them, and Citus
 * counts the rows that it was given, not those that it wrote.
 */
inline bool returns_keys(const Target *target)
{
    return target->is_distributed || target->may_swallow;
}

/*
 * Inserts rows, or updates them where their key is there: unless that row is newer, or as old and they lose
 * ties, or would not change. Of rows that are there note_row() tells, as in all statements below. Returns the
 * keys of the rows that it wrote if returns_keys(), and their times.
 */
char *upsert_statement(const Target *target, const TargetColumn *const *columns, int count, Form form);

/* Only updates, under the same conditions; returns the numbers (from 1) of the rows that it wrote, and their
 * times. */
char *update_statement(const Target *target, const TargetColumn *const *columns, int count, Form form);

/* Only locks the rows that it would update, if nobody else has locked them; returns the numbers of those. */
char *lock_statement(const Target *target, const TargetColumn *const *columns, int count, Form form);

/*
 * The next four take an array for each column of the key and one of times.
 *
 * Returns the numbers of those rows whose key is there; whether the target has something newer; and whether
 * it is marked as deleted at the same time. note_row() is not called.
 */
char *present_statement(const Target *target, bool is_single);

/* Deletes the rows that are not newer; returns their numbers. */
char *delete_statement(const Target *target, bool is_single);

/* Only locks them, if nobody else has locked them; returns the numbers of those. */
char *lock_removals_statement(const Target *target, bool is_single);

/* In field order, resets the fields of newer rows that are not newer themselves. */
char *reset_statement(const Target *target, bool is_single);

/* Parameters of the next two, before the key. */
inline constexpr int fill_parameters = 3;

/*
 * Moves what `extra` holds for a column into it, for the next rows in the order of their keys. Takes the
 * names of the target and of the column, the number of rows, and, if `goes_on`, the key of the last row
 * before. Returns nothing if there are no more rows; else how many there are, how many were filled, and the
 * last one's key.
 */
char *fill_statement(const Target *target, int column, bool goes_on);

/* Takes and returns the same, for a single row that is left as it is. */
char *pass_statement(const Target *target, bool goes_on);

} // namespace cxone_sync
