#include "core/delivery.h"

#include "core/json_text.h"

#include <new>

namespace cxone_sync {

DeliveryCounts Delivery::counts() const noexcept
{
    DeliveryCounts counts;
    for (std::size_t begin = 0, end; begin < events.size(); begin = end) {
        bool applied = false;
        bool dead_lettered = false;
        for (end = begin; end < events.size() && events[end].number == events[begin].number; end++) {
            applied |= events[end].outcome == Outcome::applied;
            dead_lettered |= events[end].outcome == Outcome::dead_lettered;
        }
        counts.received++;
        counts.dead_lettered += dead_lettered;
        counts.applied += applied && !dead_lettered;
        counts.skipped += !applied && !dead_lettered;
    }
    return counts;
}

std::uint64_t Delivery::size() const noexcept
{
    std::uint64_t fields = 0;
    for (const Event &event : events)
        fields += event.field_count;
    return sizeof(Delivery) + 3 * body.capacity() + events.capacity() * sizeof(Event) +
           fields * sizeof(Field) + unmapped.capacity() * sizeof(UnmappedKey) + collected_bytes;
}

void Delivery::set_fault(Event &event, std::string_view sqlstate, std::string_view message,
                         std::string_view column)
{
    const std::string_view code = arena_copy(arena, std::string(sqlstate) + '\0');
    void *room = arena.allocate(sizeof(Refusal), alignof(Refusal));
    event.fault = new (room) Refusal{code.data(), arena_copy(arena, message), arena_copy(arena, column)};
}

} // namespace cxone_sync
