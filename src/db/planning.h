#pragma once

#include "db/target.h"

namespace cxone_sync {

/*
 * A statement of ours is about to run, and may be planned: until unwatch_planning().
 *
 * With `by_index` rows are looked for by their index, by the number of rows that are met: whatever is known
 * of the table, whose statistics may be old, or the costs of the server. Others' statements, such as those of
 * a trigger that runs meanwhile, are planned as ever.
 *
 * With a target, what is planned has to mean its table; raises what check_names() (names.h) raises.
 */
void watch_planning(SPIPlanPtr plan, const Target *target, bool by_index);
void unwatch_planning();

} // namespace cxone_sync
