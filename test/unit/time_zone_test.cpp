#include "core/time_zone.h"

#include "zones.h"

#include <gtest/gtest.h>

#include <string_view>

namespace cxone_sync {
namespace {

/* What the zone makes of a local time, both written as if they were UTC. */
void expect_utc(const TimeZone &zone, std::string_view local, std::string_view utc)
{
    EXPECT_EQ(zone.to_utc(zones::at(local)), zones::at(utc)) << local << " in " << zone.name();
}

TEST(TimeZone, WithoutTransitions)
{
    const TimeZone utc("UTC", 0, {});
    const TimeZone kolkata("Asia/Kolkata", 19'800, {});

    EXPECT_EQ(kolkata.name(), "Asia/Kolkata");
    expect_utc(utc, "2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z");
    expect_utc(kolkata, "2024-02-29T12:00:00Z", "2024-02-29T06:30:00Z");
    expect_utc(kolkata, "0001-01-02T00:00:00Z", "0001-01-01T18:30:00Z");
    expect_utc(kolkata, "9999-12-31T23:59:59.999999Z", "9999-12-31T18:29:59.999999Z");
}

TEST(TimeZone, BeforeBetweenAndAfterTheTransitions)
{
    const TimeZone berlin = zones::berlin();

    expect_utc(berlin, "1893-01-01T00:53:28Z", "1893-01-01T00:00:00Z");
    expect_utc(berlin, "1950-01-01T01:00:00Z", "1950-01-01T00:00:00Z");
    expect_utc(berlin, "2024-07-01T02:00:00Z", "2024-07-01T00:00:00Z");
    expect_utc(berlin, "2024-12-01T01:00:00Z", "2024-12-01T00:00:00Z");
    expect_utc(berlin, "9999-12-01T01:00:00Z", "9999-12-01T00:00:00Z");
}

/* 02:00 becomes 03:00 on 2024-03-31. */
TEST(TimeZone, GapTakesTheOffsetBeforeIt)
{
    const TimeZone berlin = zones::berlin();

    expect_utc(berlin, "2024-03-31T01:59:59.999999Z", "2024-03-31T00:59:59.999999Z");
    expect_utc(berlin, "2024-03-31T02:00:00Z", "2024-03-31T01:00:00Z");
    expect_utc(berlin, "2024-03-31T02:00:00.000001Z", "2024-03-31T01:00:00.000001Z");
    expect_utc(berlin, "2024-03-31T02:30:00Z", "2024-03-31T01:30:00Z");
    expect_utc(berlin, "2024-03-31T02:59:59.999999Z", "2024-03-31T01:59:59.999999Z");
    expect_utc(berlin, "2024-03-31T03:00:00Z", "2024-03-31T01:00:00Z");
}

/* 03:00 becomes 02:00 on 2024-10-27. */
TEST(TimeZone, OverlapTakesTheOffsetAfterIt)
{
    const TimeZone berlin = zones::berlin();

    expect_utc(berlin, "2024-10-27T01:59:59.999999Z", "2024-10-26T23:59:59.999999Z");
    expect_utc(berlin, "2024-10-27T02:00:00Z", "2024-10-27T01:00:00Z");
    expect_utc(berlin, "2024-10-27T02:30:00Z", "2024-10-27T01:30:00Z");
    expect_utc(berlin, "2024-10-27T02:59:59.999999Z", "2024-10-27T01:59:59.999999Z");
    expect_utc(berlin, "2024-10-27T03:00:00Z", "2024-10-27T02:00:00Z");
}

/* Samoa left out 2011-12-30 altogether, from -10 to +14. */
TEST(TimeZone, GapOfADay)
{
    const TimeZone apia("Pacific/Apia", -36'000, {{zones::at("2011-12-30T10:00:00Z"), 50'400}});

    expect_utc(apia, "2011-12-29T23:59:59Z", "2011-12-30T09:59:59Z");
    expect_utc(apia, "2011-12-30T00:00:00Z", "2011-12-30T10:00:00Z");
    expect_utc(apia, "2011-12-30T12:00:00Z", "2011-12-30T22:00:00Z");
    expect_utc(apia, "2011-12-31T00:00:00Z", "2011-12-30T10:00:00Z");
}

TEST(TimeZone, TransitionThatChangesNothing)
{
    const TimeZone zone("x", 3600, {{zones::at("2024-01-01T00:00:00Z"), 3600}});

    for (const char *minute : {"2024-01-01T00:59:00Z", "2024-01-01T01:00:00Z", "2024-01-01T01:01:00Z"})
        EXPECT_EQ(zone.to_utc(zones::at(minute)), zones::at(minute) - 3600 * us_per_second);
}

} // namespace
} // namespace cxone_sync
