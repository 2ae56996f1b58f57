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

/* Raises 42703 (undefined_column), with the near miss as hint. */
[[noreturn]] void refuse_column(Oid relation, const char *column);

/* Raises it unless the table has a column of that name. */
void check_column_exists(Oid relation, const char *column);

} // namespace cxone_sync
