#pragma once

#include "db/pg.h"

namespace cxone_sync {

/*
 * A plan that is kept may have been made when the table was smaller (renew_plans()), or for a partition
 * without statistics. So `plan` is to find rows by their index, whenever it is made: from now on until the
 * next call, for this statement alone. What triggers run is planned as ever. Null: for none.
 */
void plan_by_index(SPIPlanPtr plan);

} // namespace cxone_sync
