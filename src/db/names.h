#pragma once

#include "db/target.h"

namespace cxone_sync {

/*
 * Statements name the table, its columns and their types by text, which somebody may give to others: the
 * schema's owner, say, while a batch is written, or a trigger of it. Then code of theirs would run as the
 * table's owner, and the event be in another table. So what is named is held against what was described.
 */

/* Notes in `target` what its table, which is open, is called. */
void note_names(Target *target, Relation relation);

/*
 * Raises 55006 (object_in_use) if the transaction under way has given a name to something else, and 40001
 * (serialization_failure) if another one has. The table must be locked.
 */
void check_names(const Target *target);

} // namespace cxone_sync
