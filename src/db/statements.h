#pragma once

#include "db/target.h"

/*
 * The texts of the statements that write a target. Each takes one array for each of its columns, and the rows
 * at the same place of all arrays together; the last column is the order column. In field order the first two
 * return the keys of the rows that were written. Identifiers are quoted, values are parameters. The texts are
 * allocated in the current memory context.
 */
namespace cxone_sync {

/* Inserts rows, or updates them where their key is there: unless that row is newer, or would not change. */
char *upsert_statement(const Target *target, const TargetColumn *const *columns, int count);

/* Only updates, under the same conditions. */
char *update_statement(const Target *target, const TargetColumn *const *columns, int count);

/*
 * Takes an array for each column of the key and one of times; returns the numbers (from 1) of those that the
 * target has newer, or marked as deleted at the same time, and whether it is the former.
 */
char *overtaken_statement(const Target *target);

/* Takes an array for each column of the key; locks their rows and returns one row for each. */
char *lock_statement(const Target *target);

/* Takes the same as overtaken_statement(); deletes the rows that are not newer. */
char *delete_statement(const Target *target);

/* Takes the same; in field order, resets the fields of newer rows that are not newer themselves. */
char *reset_statement(const Target *target);

} // namespace cxone_sync
