#pragma once

#include "core/delivery.h"
#include "core/monitoring.h"

#include "db/guard.h"

namespace cxone_sync {

/* Why an event cannot be applied. */
struct Fault {
    const char *sqlstate;
    std::string_view message;
    std::string_view hint;
    std::string_view column;
};

/*
 * Writes the event to dead_letters, with its text as it came, in the current transaction and as the owner of
 * that table, and sets its outcome. `target` is the name of the target that it was meant for; null: none
 * takes it. If the delivery is a dead letter that is replayed, that one gets one more attempt instead. SPI
 * must be connected. Raises what the statement raises; then the delivery cannot be acknowledged.
 */
void add_dead_letter(Delivery *delivery, Event *event, const char *target, const Fault &fault);

/*
 * Counts the rows of dead_letters by what is wrong, as far as DeadLetterCounts::limit. If somebody holds a
 * lock on the table it does not wait, and counted_at is 0.
 */
DeadLetterCounts count_open_dead_letters();

/*
 * True if the error is no event's fault but passes by itself or by a DBA's hand: the delivery is to be sent
 * again. Everything else is taken for the event's fault, so that no event can hold up others for ever.
 */
bool is_transient(int sqlerrcode);

} // namespace cxone_sync
