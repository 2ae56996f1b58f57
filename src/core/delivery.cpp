#include "core/delivery.h"

namespace cxone_sync {

DeliveryCounts Delivery::counts() const noexcept
{
    DeliveryCounts counts;
    for (const Event &event : events) {
        counts.received++;
        counts.applied += event.outcome == Outcome::applied;
        counts.skipped += event.outcome == Outcome::skipped;
        counts.dead_lettered += event.outcome == Outcome::dead_lettered;
    }
    return counts;
}

std::uint64_t Delivery::size() const noexcept
{
    std::uint64_t fields = 0;
    for (const Event &event : events)
        fields += event.field_count;
    return sizeof(Delivery) + 3 * body.capacity() + events.capacity() * sizeof(Event) +
           fields * sizeof(Field);
}

} // namespace cxone_sync
