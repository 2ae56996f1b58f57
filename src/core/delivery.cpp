#include "core/delivery.h"

#include "core/json_text.h"

#include <new>

namespace cxone_sync {

Outcome Delivery::outcome_of_event(std::size_t begin, std::size_t &end) const noexcept
{
    Outcome outcome = Outcome::skipped;
    for (end = begin; end < events.size() && events[end].number == events[begin].number; end++) {
        if (events[end].outcome == Outcome::dead_lettered)
            outcome = Outcome::dead_lettered;
        else if (events[end].outcome == Outcome::applied && outcome == Outcome::skipped)
            outcome = Outcome::applied;
    }
    return outcome;
}

DeliveryCounts Delivery::counts() const noexcept
{
    DeliveryCounts counts;
    for (std::size_t begin = 0, end; begin < events.size(); begin = end) {
        const Outcome outcome = outcome_of_event(begin, end);
        counts.received++;
        counts.applied += outcome == Outcome::applied;
        counts.skipped += outcome == Outcome::skipped;
        counts.dead_lettered += outcome == Outcome::dead_lettered;
    }
    return counts;
}

std::set<std::uint32_t> Delivery::tables() const
{
    std::set<std::uint32_t> tables;
    for (const Event &event : events) {
        if (event.target != Event::no_target)
            tables.insert(mapping->targets()[event.target].table);
    }
    return tables;
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
