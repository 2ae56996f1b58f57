#pragma once

#include "core/delivery.h"

#include "db/target.h"
#include "db/upsert.h"

namespace cxone_sync {

/* True if some events delete rows of the target, rather than mark them. */
bool deletes_rows(const Target *target);

/*
 * Keeps writers that delete rows apart from those that write some: a deletion that another transaction has
 * not committed yet cannot be seen, and its row would come back. To be called before the rows are looked at;
 * the lock goes with the transaction. Raises 0A000 in a transaction with one snapshot for all.
 */
void lock_against_deletions(const Target *target, bool will_delete);

/*
 * Settles the rows among `count` that a deletion of their key has overtaken: they are skipped. SPI must be
 * connected, with the identity of the caller of write_deliveries().
 */
void skip_deleted(const Target *target, Row *const *rows, int count);

/*
 * Deletes the rows of these events, which have different keys, unless they are newer, and keeps the keys and
 * times. In field order a newer row loses the fields that are not newer. Sets the outcomes.
 */
void delete_rows(Target *target, Row *const *rows, int count);

} // namespace cxone_sync
