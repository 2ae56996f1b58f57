#include "db/time_zone.h"

#include <vector>

namespace cxone_sync {
namespace {

constexpr pg_time_t unix_time(int day_of_2000)
{
    return (static_cast<pg_time_t>(day_of_2000) + POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

constexpr pg_time_t begin_of_times = unix_time(-730'119); /* 0001-01-01 */
constexpr pg_time_t end_of_rules = unix_time(73'049);     /* 2200-01-01 */
constexpr std::size_t most_transitions = 10'000;          /* no real zone comes near it */

struct Boundary {
    long offset_before = 0;
    long offset_after = 0;
    pg_time_t at = 0;

    /* Goes to the first boundary after `time`; false if the offset stays what it is before. */
    bool find_after(pg_time_t time, pg_tz *zone)
    {
        int dst_before;
        int dst_after;
        return pg_next_dst_boundary(&time, &offset_before, &dst_before, &at, &offset_after, &dst_after,
                                    zone) > 0;
    }
};

TimeZone snapshot(pg_tz *zone)
{
    Boundary boundary;
    std::vector<TimeZone::Transition> transitions;

    bool found = boundary.find_after(begin_of_times, zone);
    const auto first_offset = static_cast<std::int32_t>(boundary.offset_before);
    while (found && boundary.at < end_of_rules && transitions.size() < most_transitions) {
        transitions.push_back({.at = time_t_to_timestamptz(boundary.at),
                               .offset_s = static_cast<std::int32_t>(boundary.offset_after)});
        found = boundary.find_after(boundary.at, zone);
    }
    return {pg_get_timezone_name(zone), first_offset, std::move(transitions)};
}

} // namespace

std::shared_ptr<const TimeZone> time_zone_of(pg_tz *zone)
{
    /* PostgreSQL keeps a zone for as long as the process lives, so its address is as good as its name */
    static pg_tz *built_from;
    static std::shared_ptr<const TimeZone> built;

    if (zone != built_from) {
        built = zone ? std::make_shared<const TimeZone>(snapshot(zone)) : nullptr;
        built_from = zone;
    }
    return built;
}

} // namespace cxone_sync
