#pragma once

#include "core/delivery.h"

#include "db/guard.h"

namespace cxone_sync {

/* Deliveries that were left out, because a table is locked by others. */
struct Postponed {
    int count = 0;
    PgError error; /* why, for the last of them */
};

/*
 * Writes all events of the deliveries in the current transaction: into their targets, or into dead_letters if
 * the event is at fault or its target cannot be used, and sets each event's outcome. An event at fault is
 * found by bisection with subtransactions, 2 log2(n) statements, and its neighbours are written all the same.
 *
 * Deliveries that were mapped by another version of the catalog are mapped again. Targets are written in the
 * order of their names and rows in the order of their keys, whatever statement they belong to, so that two
 * writers never wait for each other in a circle.
 *
 * A delivery with events for a table that is locked is marked as postponed and told of in `postponed`; if
 * that is null the lock is waited for. The first to meet a lock waits for lock_timeout, later ones not at
 * all.
 *
 * Raises an error, and then nothing is to be committed, if the deliveries should be sent again: what
 * open_catalog() raises, or a transient error (dead_letters.h).
 */
void write_deliveries(Delivery *const *deliveries, int count, Postponed *postponed);

/*
 * Whether the last write_deliveries() got as far as single rows: if not, its error concerns every delivery.
 */
bool write_reached_rows() noexcept;

} // namespace cxone_sync
