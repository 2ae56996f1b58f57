#pragma once

#include "core/delivery.h"

#include "db/pg.h"

namespace cxone_sync {

/*
 * Writes all events of the deliveries in the current transaction: into the target, or into dead_letters if
 * the event is at fault, and sets each event's outcome. An event at fault is found by bisection with
 * subtransactions, 2 log2(n) statements, and its neighbours are written all the same.
 *
 * Deliveries that were mapped by another version of the target are mapped again. Rows are written in the
 * order of their keys, whatever statement they belong to, so that two writers never wait for each other in a
 * circle.
 *
 * Raises an error, and then nothing is to be committed, if the deliveries should be sent again: what
 * open_target() raises, or a transient error (dead_letters.h).
 */
void write_deliveries(Delivery *const *deliveries, int count);

/*
 * Whether the last write_deliveries() got as far as single rows: if not, its error concerns every delivery.
 */
bool write_reached_rows() noexcept;

} // namespace cxone_sync
