#pragma once

#include "core/delivery.h"

#include "db/guard.h"

namespace cxone_sync {

/* How write_deliveries() meets locks and faults. */
enum class Pace {
    quick,   /* any fault or lock that is met is raised: the caller rolls back and comes again, carefully */
    careful, /* faults become dead letters; what needs a lock that others hold is postponed, without a wait */
    waiting  /* as quick, then if need be as careful, but locks are waited for: nothing is raised for a fault
              */
};

struct WriteResult {
    char target[NAMEDATALEN]; /* whose events are being written, else empty */
    bool reached_rows;        /* if not, an error concerns every delivery */
    int postponed;            /* deliveries that were left out */
    bool any_table_locked;    /* others hold a lock on the table of a target that the deliveries need */
};

/* A table that was found to be locked, and whether it still is. */
struct WatchedTable {
    Oid table;
    bool is_locked;
};

struct WriteOptions {
    bool looks_at_tables = false; /* tells also of locks on the tables of targets that no delivery needs */
    WatchedTable *watched = nullptr;
    int watched_count = 0;
    /*
     * With Pace::careful: when locks that cannot be seen before they are met have cost this time (0: any), no
     * more is tried in tables where some were met: what is left of them is_untried.
     */
    std::int64_t patience_us = 0;
    /*
     * With Pace::careful: where a trigger has refused an event that it might take in another transaction, its
     * delivery needs_own_transaction, and it and all that come behind it are postponed.
     */
    bool leaves_out_suspects = false;
};

/*
 * Writes all events of the deliveries in the current transaction: into their targets, or into dead_letters if
 * the event is at fault or its target cannot be used, and sets each event's outcome. What is left is what the
 * events would have left one after the other, in the order of arrival, each in its own transaction, but for
 * one thing: an event that needs a later one of them may be applied.
 *
 * Deliveries that were mapped by another version of the catalog are mapped again. With Pace::quick and
 * Pace::careful a delivery with events for a table that is locked is marked as postponed.
 *
 * Raises an error, and then nothing is to be committed, if the deliveries should be sent again: what
 * open_catalog() raises, or a transient error (errors.h); with Pace::quick also what the statements raise.
 * `result` tells then how far it came.
 */
void write_deliveries(Delivery *const *deliveries, int count, Pace pace, WriteResult *result,
                      WriteOptions options = {});

} // namespace cxone_sync
