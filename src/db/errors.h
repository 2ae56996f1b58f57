#pragma once

#include "db/pg.h"

namespace cxone_sync {

/*
 * What is done about an error, by its kind (core/sqlstate.h):
 *
 *                           value  target  raised   extension  race  passing  server  internal
 *                           constraint     other
 *   is_transient                                               x     x        x
 *   concerns_everything                             x                         x       x
 *   is_lost_race                                               x
 *   is_fault_of_value       x
 *   doubts_target                  x
 */

/*
 * True if the error is no event's fault but passes by itself or by a DBA's hand: the delivery is to be sent
 * again. Everything else is taken for the event's fault, so that no event can hold up others for ever.
 */
bool is_transient(int sqlerrcode);

/*
 * Whether nothing at all can be written, since the extension is missing or the server is read-only, without
 * resources or broken, and not just some row or table that others hold a lock on.
 */
bool concerns_everything(int sqlerrcode);

/* The transaction may succeed if it is repeated at once. */
bool is_lost_race(int sqlerrcode);

/* A value or a row that its table refuses, and nothing else. */
bool is_fault_of_value(int sqlerrcode);

/* What is known of the event's target may be out of date. */
bool doubts_target(int sqlerrcode);

/*
 * The SQLSTATE to judge an error by. Errors of the storage manager have the one that errno suggests to
 * PostgreSQL (elog.c: errcode_for_file_access), which may be that of a missing privilege, and where no
 * transaction ids are left PostgreSQL calls that a limit of the program. What these have in common is where
 * they come from.
 */
int judged_sqlerrcode(const ErrorData *error);

} // namespace cxone_sync
