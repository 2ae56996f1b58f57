#include "core/delivery.h"
#include "core/monitoring.h"

#include "db/guard.h"
#include "db/output_row.h"
#include "db/shared_state.h"
#include "db/unmapped_keys.h"
extern "C" {
#include "common/hashfn.h"
}

extern "C" {
PG_FUNCTION_INFO_V1(cxone_sync_unmapped_keys);
PG_FUNCTION_INFO_V1(cxone_sync_reset_unmapped_keys);
}

namespace cxone_sync {

namespace {

UnmappedKeySlot *find_slot(UnmappedKeys &keys, const UnmappedKeySlot &wanted)
{
    for (int i = 0; i < keys.count; i++) {
        UnmappedKeySlot &slot = keys.slots[i];

        if (slot.database == wanted.database && slot.hash == wanted.hash &&
            strcmp(slot.key, wanted.key) == 0 && strcmp(slot.target, wanted.target) == 0)
            return &slot;
    }
    if (keys.count == UnmappedKeys::room)
        return nullptr;
    keys.slots[keys.count] = wanted;
    return &keys.slots[keys.count++];
}

void note(UnmappedKeys &keys, const Delivery *delivery, const UnmappedKey &seen)
{
    UnmappedKeySlot wanted = {};

    clip_text(wanted.target, sizeof(wanted.target), delivery->mapping->targets()[seen.target].name);
    clip_text(wanted.key, sizeof(wanted.key), seen.key);
    clip_text(wanted.example, sizeof(wanted.example), seen.example);
    wanted.hash =
        hash_bytes(reinterpret_cast<unsigned char *>(wanted.key), static_cast<int>(strlen(wanted.key)));
    wanted.first_seen = delivery->received;
    wanted.database = MyDatabaseId;
    UnmappedKeySlot *slot = find_slot(keys, wanted);
    if (slot == nullptr)
        return;
    slot->events += seen.events;
    slot->last_seen = delivery->received;
}

} // namespace

void note_unmapped_keys(const Delivery *delivery)
{
    SharedState *state = shared_state();

    if (state == nullptr || delivery->unmapped.empty())
        return;
    LWLockAcquire(unmapped_keys_lock(), LW_EXCLUSIVE);
    for (const UnmappedKey &seen : delivery->unmapped)
        note(state->unmapped_keys, delivery, seen);
    LWLockRelease(unmapped_keys_lock());
}

} // namespace cxone_sync

using namespace cxone_sync;

Datum cxone_sync_unmapped_keys(PG_FUNCTION_ARGS)
{
    ReturnSetInfo *result = compat::begin_result_set(fcinfo);
    const UnmappedKeys &shared = require_shared_state().unmapped_keys;
    auto *keys = static_cast<UnmappedKeys *>(palloc(sizeof(UnmappedKeys)));

    LWLockAcquire(unmapped_keys_lock(), LW_SHARED);
    memcpy(keys, &shared, sizeof(UnmappedKeys));
    LWLockRelease(unmapped_keys_lock());
    for (int i = 0; i < keys->count; i++) {
        const UnmappedKeySlot &slot = keys->slots[i];
        if (slot.database != MyDatabaseId)
            continue;
        OutputRow row;

        row.add_text(slot.target);
        row.add(CStringGetTextDatum(slot.key)); /* that may be empty */
        row.add_integer(slot.events);
        row.add_text(slot.example);
        row.add_time(slot.first_seen);
        row.add_time(slot.last_seen);
        row.put(result);
    }
    return 0;
}

Datum cxone_sync_reset_unmapped_keys(PG_FUNCTION_ARGS)
{
    UnmappedKeys &keys = require_shared_state().unmapped_keys;

    LWLockAcquire(unmapped_keys_lock(), LW_EXCLUSIVE);
    int kept = 0;
    for (int i = 0; i < keys.count; i++) {
        if (keys.slots[i].database != MyDatabaseId)
            keys.slots[kept++] = keys.slots[i];
    }
    keys.count = kept;
    LWLockRelease(unmapped_keys_lock());
    PG_RETURN_VOID();
}
