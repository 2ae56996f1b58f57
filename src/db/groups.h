#pragma once

#include "db/target.h"

namespace cxone_sync {

struct Tables {
    Oid *oids; /* sorted */
    int count;
};

/*
 * Finds how the targets depend on each other, which is the last part of Target. Returns the tables whose
 * foreign keys that rests on, in the current memory context.
 */
Tables find_groups(const List *targets);

} // namespace cxone_sync
