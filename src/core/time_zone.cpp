#include "core/time_zone.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace cxone_sync {

TimeZone::TimeZone(std::string name, std::int32_t first_offset_s, std::vector<Transition> transitions)
    : name_(std::move(name)), first_offset_s_(first_offset_s), transitions_(std::move(transitions))
{
}

/* Offsets are less than a day, so only the first transition from a day before on can matter. */
Timestamp TimeZone::to_utc(Timestamp local) const noexcept
{
    const auto next = std::upper_bound(transitions_.begin(), transitions_.end(), local - us_per_day,
                                       [](Timestamp at, const Transition &other) { return at < other.at; });
    const std::int32_t offset_s = next == transitions_.begin() ? first_offset_s_ : std::prev(next)->offset_s;
    const Timestamp before = local - offset_s * us_per_second;
    if (next == transitions_.end())
        return before;

    const Timestamp after = local - next->offset_s * us_per_second;
    if (before < next->at && after < next->at)
        return before;
    if (before > next->at && after >= next->at)
        return after;
    return std::max(before, after);
}

} // namespace cxone_sync
