#pragma once

#include "db/pg.h"

namespace cxone_sync {

/* Looks for the name that somebody may have meant: as near as PostgreSQL itself looks for columns. */
struct NearMiss {
    const char *wanted;
    const char *name;
    int distance;
};

NearMiss near_miss_of(const char *wanted);

/* One of the names that there are; it has to outlive `nearest`. */
void try_name(NearMiss &nearest, const char *name);

/* A hint with what was found; null: nothing. */
const char *hint_of(const NearMiss &nearest);

/* The same, of the table's columns. */
const char *hint_of_column(Relation relation, const char *wanted);

/* Raises 42703 (undefined_column), with such a hint, unless the table has a column of that name. */
void check_column_exists(Oid relation, const char *column);

} // namespace cxone_sync
