#pragma once

#include <cstdint>

#include "db/pg.h"

namespace cxone_sync {

struct Delivery;

/* A member that events carry and no column takes. Texts are cut to their room. */
struct UnmappedKeySlot {
    Oid database;
    std::uint32_t hash;
    char target[NAMEDATALEN];
    char key[128];
    char example[128]; /* its JSON text in the first event that had it */
    std::uint64_t events;
    TimestampTz first_seen;
    TimestampTz last_seen;
};

/* In shared memory, guarded by a lock of its own: see the view of this name. */
struct UnmappedKeys {
    static constexpr int room = 512; /* further keys are not noted, or a sender could make it grow for ever */

    int count;
    UnmappedKeySlot slots[room];
};

/* Counts those of a delivery that is committed, or is about to be. Does nothing if the library is not
 * preloaded. */
void note_unmapped_keys(const Delivery *delivery);

} // namespace cxone_sync
