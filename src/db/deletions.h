#pragma once

#include "core/delivery.h"

#include "db/target.h"
#include "db/upsert.h"

/*
 * A deletion is kept as a tombstone of its key, so that a late event does not bring the row back. It belongs
 * to the key of a table, whichever of the table's targets took it: events are held against the tombstones of
 * each key that they carry.
 */
namespace cxone_sync {

/* Raises 0A000 in a transaction with one snapshot for all: it could not see the deletions of others. */
void check_isolation(const Target *target);

/*
 * Settles the rows that a deletion of one of their keys has overtaken: they are skipped. The others are left
 * at the front of `rows`; returns how many. SPI must be connected.
 */
int skip_deleted(const Target *target, Row **rows, int count);

/*
 * Deletes the rows of these events, which have different keys, unless they are newer, and keeps the keys and
 * times. In field order a newer row loses the fields that are not newer. Sets the outcomes, or the fault of
 * an event whose row is still there. Returns false if a single row has got another key by a trigger, and
 * nothing has been written. SPI must be connected, as the owner of the table.
 */
bool delete_rows(Target *target, Row *const *rows, int count);

} // namespace cxone_sync
