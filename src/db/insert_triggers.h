#pragma once

#include "core/delivery.h"

#include "db/upsert.h"

namespace cxone_sync {

/*
 * A BEFORE INSERT trigger may change the key of a row, to lower case for one: then the row that an event
 * means is the one with the key that the trigger would give it. Asks the triggers for that key, without
 * inserting anything; true if it is another one, which is the row's from here on. What the triggers do
 * meanwhile is taken back. SPI must be connected, as the owner of the table.
 */
bool take_key_from_triggers(Target *target, Row *row);

} // namespace cxone_sync
