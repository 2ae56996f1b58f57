#pragma once

#include "core/delivery.h"
#include "core/monitoring.h"

#include "db/guard.h"
#include "db/upsert.h"

namespace cxone_sync {

/*
 * Writes these events to dead_letters, each with its text as it came and the row's fault, in the current
 * transaction, and sets their outcomes. `target` of a row is the target that the event was meant for; null:
 * none takes it. If a delivery is a dead letter that is replayed, that one gets one more attempt instead, and
 * is the first of these from then on; it keeps its reason if it had a target and none takes it any more. SPI
 * must be connected. Raises what the statements raise; then the deliveries cannot be acknowledged.
 */
void write_dead_letters(Row *const *rows, int count);

/*
 * Counts the rows of dead_letters by what is wrong, as far as DeadLetterCounts::limit, in a transaction of
 * its own: no lock is waited for in it from here on, but raised after a millisecond.
 */
DeadLetterCounts count_open_dead_letters();

} // namespace cxone_sync
