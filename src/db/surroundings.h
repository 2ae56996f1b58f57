#pragma once

#include "db/target.h"

namespace cxone_sync {

/* Notes the partitions of the table, and the tables that inherit from it. */
void find_parts(Target *target, Relation relation);

/* These look at what stands around the table's columns; false: set a problem. */
bool check_parts(Target *target, Relation relation);
bool check_rules(Target *target, Relation relation);
bool check_row_security(Target *target, Relation relation);
bool check_unique_key(Target *target, Relation relation);
bool check_publications(Target *target, Relation relation);
/* What defaults and constraints call. */
bool check_expressions(Target *target, Relation relation);

/* Fills in what the writer has to know, and the warnings; for a target without a problem. */
void describe_surroundings(Target *target, Relation relation);

/* Whether a row of the table, or of its partitions, that goes or is changed runs code that may act on tables.
 */
bool has_acting_triggers(Target *target, Oid relation);

/* One more warning. */
void warn(Target *target, const char *format, ...) pg_attribute_printf(2, 3);

} // namespace cxone_sync
