#include "core/time_value.h"

#include "zones.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace cxone_sync {
namespace {

constexpr std::int64_t untouched = std::numeric_limits<std::int64_t>::min();

constexpr const char *no_zone =
    "has no offset from UTC, and cxone_sync.time_zone does not say which zone it means";
constexpr const char *no_date = "does not begin with a date of the form YYYY-MM-DD";
constexpr const char *too_small = "is a number too small to be a time since 1970";
constexpr const char *too_large = "is a number too large to be a time since 1970";
constexpr const char *out_of_range = "is a time outside the years 0001-9999";

/* What is read, as text, or why it is refused; every result must be read again as itself. */
std::string read(JsonKind kind, const std::string &text, TimeKind wanted, const TimeZone *zone = nullptr)
{
    const std::string raw = kind == JsonKind::string ? '"' + text + '"' : text;
    std::int64_t value = untouched;
    if (const char *wrong = read_time(kind, raw, text, wanted, zone, value)) {
        EXPECT_EQ(value, untouched) << text;
        return wrong;
    }

    char buffer[32];
    const std::string written(buffer, format_time(wanted, value, buffer));
    EXPECT_STREQ(written.c_str(), buffer) << text;
    std::int64_t again = untouched;
    EXPECT_EQ(read_time(JsonKind::string, {}, written, wanted, nullptr, again), nullptr) << written;
    EXPECT_EQ(again, value) << written;
    return written;
}

std::string string_as(TimeKind wanted, const std::string &text, const TimeZone *zone = nullptr)
{
    return read(JsonKind::string, text, wanted, zone);
}

/* As a JSON number and as a string, which must be the same. */
std::string number_as(TimeKind wanted, const std::string &digits)
{
    const std::string result = read(JsonKind::number, digits, wanted);
    EXPECT_EQ(read(JsonKind::string, digits, wanted), result) << digits;
    return result;
}

std::string number(const std::string &digits)
{
    return number_as(TimeKind::instant, digits);
}

std::string object_as(TimeKind wanted, const std::string &date, const std::string &timezone,
                      const TimeZone *zone = nullptr)
{
    return read(JsonKind::object,
                R"({"date": ")" + date + R"(", "timezone_type": 3, "timezone": ")" + timezone + "\"}", wanted,
                zone);
}

TEST(TimeValue, WithAnOffset)
{
    EXPECT_EQ(string_as(TimeKind::instant, "2021-07-27T01:30:00+02:00"), "2021-07-26T23:30:00Z");
    EXPECT_EQ(string_as(TimeKind::local, "2021-07-27T01:30:00+02:00"), "2021-07-26T23:30:00");
    EXPECT_EQ(string_as(TimeKind::date, "2021-07-27T01:30:00+02:00"), "2021-07-27");
    EXPECT_EQ(string_as(TimeKind::instant, "2021-07-27 01:30:00.1234567+0200"),
              "2021-07-26T23:30:00.123457Z");
    EXPECT_EQ(string_as(TimeKind::instant, "2024-02-29t00:00:00z"), "2024-02-29T00:00:00Z");
}

TEST(TimeValue, OffsetWinsOverTheZone)
{
    const TimeZone berlin = zones::berlin();

    EXPECT_EQ(string_as(TimeKind::instant, "2024-07-01T12:00:00Z", &berlin), "2024-07-01T12:00:00Z");
    EXPECT_EQ(string_as(TimeKind::local, "2024-07-01T12:00:00-01:00", &berlin), "2024-07-01T13:00:00");
}

TEST(TimeValue, WithoutAnOffset)
{
    const TimeZone berlin = zones::berlin();

    EXPECT_EQ(string_as(TimeKind::instant, "2021-07-27T00:00:00"), no_zone);
    EXPECT_EQ(string_as(TimeKind::instant, "2021-07-27"), no_zone);
    EXPECT_EQ(string_as(TimeKind::instant, "2024-07-01T12:00:00", &berlin), "2024-07-01T10:00:00Z");
    EXPECT_EQ(string_as(TimeKind::instant, "2024-07-01 12:00:00.000001", &berlin),
              "2024-07-01T10:00:00.000001Z");
    EXPECT_EQ(string_as(TimeKind::instant, "2024-07-01", &berlin), "2024-06-30T22:00:00Z");
    EXPECT_EQ(string_as(TimeKind::instant, "2024-03-31T02:30:00", &berlin), "2024-03-31T01:30:00Z");
    EXPECT_EQ(string_as(TimeKind::instant, "2024-10-27T02:30:00", &berlin), "2024-10-27T01:30:00Z");
    for (const TimeZone *zone : {static_cast<const TimeZone *>(nullptr), &berlin}) {
        EXPECT_EQ(string_as(TimeKind::local, "2024-07-01T12:00:00.5", zone), "2024-07-01T12:00:00.500000");
        EXPECT_EQ(string_as(TimeKind::local, "2024-07-01", zone), "2024-07-01T00:00:00");
        EXPECT_EQ(string_as(TimeKind::date, "2024-07-01T23:59:59.9999999", zone), "2024-07-01");
        EXPECT_EQ(string_as(TimeKind::date, "2024-07-01", zone), "2024-07-01");
    }
}

TEST(TimeValue, EndsOfTheCalendar)
{
    const TimeZone east("east", 3600, {});
    const TimeZone west("west", -3600, {});

    for (const TimeKind kind : {TimeKind::instant, TimeKind::local}) {
        const std::string z = kind == TimeKind::instant ? "Z" : "";
        EXPECT_EQ(string_as(kind, "0001-01-01T00:00:00Z"), "0001-01-01T00:00:00" + z);
        EXPECT_EQ(string_as(kind, "0001-01-01T00:00:00+00:01"), out_of_range);
        EXPECT_EQ(string_as(kind, "9999-12-31T23:59:59.999999Z"), "9999-12-31T23:59:59.999999" + z);
        EXPECT_EQ(string_as(kind, "9999-12-31T23:59:60Z"), out_of_range);
        EXPECT_EQ(string_as(kind, "9999-12-31T23:59:00-00:01"), out_of_range);
    }
    EXPECT_EQ(string_as(TimeKind::instant, "0001-01-01", &east), out_of_range);
    EXPECT_EQ(string_as(TimeKind::instant, "0001-01-01", &west), "0001-01-01T01:00:00Z");
    EXPECT_EQ(string_as(TimeKind::instant, "9999-12-31T23:30:00", &east), "9999-12-31T22:30:00Z");
    EXPECT_EQ(string_as(TimeKind::instant, "9999-12-31T23:30:00", &west), out_of_range);
    EXPECT_EQ(string_as(TimeKind::date, "0001-01-01"), "0001-01-01");
    EXPECT_EQ(string_as(TimeKind::date, "9999-12-31T23:59:60-15:59"), "9999-12-31");
    EXPECT_EQ(string_as(TimeKind::date, "0000-12-31"), "has a year outside 0001-9999");
}

TEST(TimeValue, UnitsArePostgres)
{
    const auto value = [](TimeKind wanted, std::string_view text) {
        std::int64_t result = untouched;
        EXPECT_EQ(read_time(JsonKind::string, {}, text, wanted, nullptr, result), nullptr) << text;
        return result;
    };

    EXPECT_EQ(value(TimeKind::instant, "2000-01-02T00:00:01Z"), us_per_day + us_per_second);
    EXPECT_EQ(value(TimeKind::local, "1999-12-31T23:59:59"), -us_per_second);
    EXPECT_EQ(value(TimeKind::date, "1999-12-31"), -1);
    EXPECT_EQ(value(TimeKind::date, "2000-03-01"), 60);
    EXPECT_EQ(value(TimeKind::date, "1627344000"), 7878);
}

TEST(TimeValue, LeapDays)
{
    EXPECT_EQ(string_as(TimeKind::date, "2000-02-29"), "2000-02-29");
    EXPECT_EQ(string_as(TimeKind::date, "2024-02-29"), "2024-02-29");
    EXPECT_EQ(string_as(TimeKind::date, "1900-02-29"), "has a day that its month does not have");
    EXPECT_EQ(string_as(TimeKind::date, "2023-02-29"), "has a day that its month does not have");
    EXPECT_EQ(number_as(TimeKind::date, "951782400"), "2000-02-29");
    EXPECT_EQ(number("951868799.999999"), "2000-02-29T23:59:59.999999Z");
}

TEST(TimeValue, EveryDateIsReadAsWritten)
{
    char buffer[32];

    for (std::int64_t day = -730'119; day < 2'921'940; day++) {
        std::int64_t again = untouched;
        const std::size_t size = format_time(TimeKind::date, day, buffer);
        ASSERT_EQ(read_time(JsonKind::string, {}, {buffer, size}, TimeKind::date, nullptr, again), nullptr)
            << buffer;
        ASSERT_EQ(again, day) << buffer;
    }
    EXPECT_STREQ(buffer, "9999-12-31");
}

/* No reader gives these, so their text may be anything that stays in its place. */
TEST(TimeValue, BeyondTheCalendarStaysInTheBuffer)
{
    struct {
        char buffer[32];
        char after[8];
    } memory;
    const std::string after(sizeof(memory.after), '#');
    const std::int64_t year = 366 * us_per_day;

    for (const TimeKind kind : {TimeKind::instant, TimeKind::local, TimeKind::date}) {
        for (const std::int64_t us :
             {-2000 * year - 1, -100'000 * year + 1, 8000 * year + 1, 100'000 * year - 1}) {
            after.copy(memory.after, after.size());
            const std::int64_t value = kind == TimeKind::date ? us / us_per_day : us;
            EXPECT_LT(format_time(kind, value, memory.buffer), sizeof(memory.buffer)) << us;
            EXPECT_EQ(std::string(memory.after, after.size()), after) << us;
        }
    }
}

TEST(TimeValue, UnitOfANumberGoesByItsSize)
{
    EXPECT_EQ(number("0"), too_small);
    EXPECT_EQ(number("99999999"), too_small);
    EXPECT_EQ(number("99999999.999999999"), too_small);
    EXPECT_EQ(number("100000000"), "1973-03-03T09:46:40Z");
    EXPECT_EQ(number("99999999999"), "5138-11-16T09:46:39Z");
    EXPECT_EQ(number("100000000000"), "1973-03-03T09:46:40Z");
    EXPECT_EQ(number("99999999999999"), "5138-11-16T09:46:39.999000Z");
    EXPECT_EQ(number("100000000000000"), "1973-03-03T09:46:40Z");
    EXPECT_EQ(number("99999999999999999"), "5138-11-16T09:46:39.999999Z");
    EXPECT_EQ(number("100000000000000000"), "1973-03-03T09:46:40Z");
    EXPECT_EQ(number("99999999999999999000"), "5138-11-16T09:46:39.999999Z");
    EXPECT_EQ(number("99999999999999999999"), "5138-11-16T09:46:40Z");
    EXPECT_EQ(number("100000000000000000000"), too_large);
    EXPECT_EQ(number("100000000000000000000000000000000000000000000000"), too_large);

    EXPECT_EQ(number("1627344000"), "2021-07-27T00:00:00Z");
    EXPECT_EQ(number("1627344000123"), "2021-07-27T00:00:00.123000Z");
    EXPECT_EQ(number("1627344000123456"), "2021-07-27T00:00:00.123456Z");
    EXPECT_EQ(number("1627344000123456789"), "2021-07-27T00:00:00.123457Z");
}

TEST(TimeValue, FractionsOfNumbersRoundToTheNearest)
{
    EXPECT_EQ(number("1627344000.5"), "2021-07-27T00:00:00.500000Z");
    EXPECT_EQ(number("1627344000.1234567"), "2021-07-27T00:00:00.123457Z");
    EXPECT_EQ(number("1627344000.123456499999999999999"), "2021-07-27T00:00:00.123456Z");
    EXPECT_EQ(number("1627344000.1234565"), "2021-07-27T00:00:00.123457Z");
    EXPECT_EQ(number("1627344000.123456789"), "2021-07-27T00:00:00.123457Z");
    EXPECT_EQ(number("1627344000.9999999"), "2021-07-27T00:00:01Z");
    EXPECT_EQ(number("1627344000000.25"), "2021-07-27T00:00:00.000250Z");
    EXPECT_EQ(number("1627344000000000.4"), "2021-07-27T00:00:00Z");
    EXPECT_EQ(number("1627344000000000.5"), "2021-07-27T00:00:00.000001Z");
    EXPECT_EQ(number("1627344000000000499.9"), "2021-07-27T00:00:00Z");
    EXPECT_EQ(number("1627344000000000500"), "2021-07-27T00:00:00.000001Z");
}

TEST(TimeValue, NumbersBefore1970)
{
    EXPECT_EQ(number("-99999999"), too_small);
    EXPECT_EQ(number("-100000000"), "1966-10-31T14:13:20Z");
    EXPECT_EQ(number("-100000000.000001"), "1966-10-31T14:13:19.999999Z");
    EXPECT_EQ(number("-100000000000"), "1966-10-31T14:13:20Z");
    EXPECT_EQ(number("-100000000.0000005"), "1966-10-31T14:13:19.999999Z");
    EXPECT_EQ(number("-62135596800"), "0001-01-01T00:00:00Z");
    EXPECT_EQ(number("-62135596800.000001"), out_of_range);
    EXPECT_EQ(number("-99999999999"), out_of_range);
    EXPECT_EQ(number("-100000000000000000000"), too_large);
}

TEST(TimeValue, NumbersAreInUtc)
{
    EXPECT_EQ(number_as(TimeKind::local, "1627344000123"), "2021-07-27T00:00:00.123000");
    EXPECT_EQ(number_as(TimeKind::date, "1627343999999"), "2021-07-26");
    EXPECT_EQ(number_as(TimeKind::date, "1627344000000"), "2021-07-27");
    EXPECT_EQ(number_as(TimeKind::date, "-100000000"), "1966-10-31");
    EXPECT_EQ(number_as(TimeKind::date, "-62135596800"), "0001-01-01");
}

TEST(TimeValue, FormsOfNumbers)
{
    for (const char *text : {"1e9", "1E9", "1.6e+9", "1627344000e0", "-1e-5"})
        EXPECT_EQ(read(JsonKind::number, text, TimeKind::instant),
                  "is a number with an exponent, not a time");

    EXPECT_EQ(string_as(TimeKind::instant, "0001627344000"), "2021-07-27T00:00:00Z");
    EXPECT_EQ(string_as(TimeKind::instant, "000000000000"), too_small);
    for (const char *text : {"1e9", "+1627344000", "1627344000.", ".5", "-", "-.5", "--1627344000",
                             "1627344000 ", " 1627344000", "1,627,344,000", "1627344000.5.5", "0x61000000"})
        EXPECT_EQ(string_as(TimeKind::instant, text), no_date) << text;
}

TEST(TimeValue, PhpObjects)
{
    const TimeZone berlin = zones::berlin();
    const std::string date = "2024-07-01 12:00:00.000000";

    for (const char *timezone : {"UTC", "GMT", "Z", "+00:00", "-0000"})
        EXPECT_EQ(object_as(TimeKind::instant, date, timezone), "2024-07-01T12:00:00Z") << timezone;
    EXPECT_EQ(object_as(TimeKind::instant, date, "+01:00"), "2024-07-01T11:00:00Z");
    EXPECT_EQ(object_as(TimeKind::instant, date, "-01:30", &berlin), "2024-07-01T13:30:00Z");
    EXPECT_EQ(object_as(TimeKind::instant, date, "Europe/Berlin", &berlin), "2024-07-01T10:00:00Z");
    EXPECT_EQ(object_as(TimeKind::instant, "2024-03-31 02:30:00.000000", "Europe/Berlin", &berlin),
              "2024-03-31T01:30:00Z");
    EXPECT_EQ(object_as(TimeKind::local, date, "Europe/Berlin", &berlin), "2024-07-01T10:00:00");
    EXPECT_EQ(object_as(TimeKind::local, date, "-01:30"), "2024-07-01T13:30:00");
    EXPECT_EQ(object_as(TimeKind::date, "2024-07-01 00:30:00.000000", "+01:00"), "2024-07-01");
    EXPECT_EQ(object_as(TimeKind::instant, "2024-07-01", "UTC"), "2024-07-01T00:00:00Z");
    EXPECT_EQ(read(JsonKind::object, R"({"timezone":"\u0055TC","date":"2024-07-01\u002012:00:00"})",
                   TimeKind::instant),
              "2024-07-01T12:00:00Z");
    EXPECT_EQ(read(JsonKind::object, R"({"date":"x","timezone":"y","date":"2024-07-01","timezone":"UTC"})",
                   TimeKind::instant),
              "2024-07-01T00:00:00Z");
}

TEST(TimeValue, ObjectsThatAreNoTimes)
{
    const TimeZone berlin = zones::berlin();
    const std::string date = "2024-07-01 12:00:00.000000";
    constexpr const char *other_zone = "names a time zone that is not cxone_sync.time_zone";
    constexpr const char *wrong_date = "is an object whose \"date\" is not a date and time without an offset";

    EXPECT_EQ(object_as(TimeKind::instant, date, "Europe/Berlin"), other_zone);
    for (const char *timezone :
         {"Europe/Paris", "europe/berlin", "utc", "CEST", "+01", "+16:00", "Zulu", " UTC"}) {
        for (const TimeKind kind : {TimeKind::instant, TimeKind::local, TimeKind::date})
            EXPECT_EQ(object_as(kind, date, timezone, &berlin), other_zone) << timezone;
    }
    for (const char *wrong :
         {"now", "2024-07-01 12:00:00Z", "2024-07-01 12:00:00+01:00", "1627344000", "2024-02-30"})
        EXPECT_EQ(object_as(TimeKind::instant, wrong, "UTC"), wrong_date) << wrong;
    for (const char *wrong :
         {"{}", R"({"date":"2024-07-01"})", R"({"timezone":"UTC"})", R"({"date":"","timezone":"UTC"})",
          R"({"date":20240701,"timezone":"UTC"})", R"({"date":"2024-07-01","timezone":null})",
          R"({"date":{"date":"2024-07-01","timezone":"UTC"}})",
          R"({"date":"2024-07-01","timezone":"UTC","more":[1]})"})
        EXPECT_EQ(read(JsonKind::object, wrong, TimeKind::instant),
                  "is an object, but not one of a \"date\" and a \"timezone\"")
            << wrong;
}

TEST(TimeValue, WhatIsNoTime)
{
    const TimeZone berlin = zones::berlin();

    for (const TimeKind kind : {TimeKind::instant, TimeKind::local, TimeKind::date}) {
        for (const char *text : {" ", "now", "today", "tomorrow", "infinity", "-infinity", "epoch",
                                 "12/06/2024", "06.12.2024", "20240612T100000Z", "2024-W24-3", "true"})
            EXPECT_EQ(string_as(kind, text, &berlin), no_date) << text;
        EXPECT_EQ(string_as(kind, "", &berlin), "is empty");
        EXPECT_EQ(string_as(kind, "2022-12-12T14:41:45+0,0:00", &berlin),
                  "has an offset from UTC that is neither Z nor of the form +hh:mm or +hhmm");
        EXPECT_EQ(string_as(kind, "2024-07-01T24:00:00", &berlin), "has an hour outside 00-23");
        EXPECT_EQ(string_as(kind, "2024-07-01T12:00", &berlin), "has no time of the form hh:mm:ss");
        EXPECT_EQ(string_as(kind, "2024-07-01T", &berlin), "has no time of the form hh:mm:ss");
        EXPECT_EQ(string_as(kind, "2024-07-01Z", &berlin), "has neither a T nor a blank after the date");
        EXPECT_EQ(string_as(kind, "2024-07-01T23:59:60.000001", &berlin), "has a fraction after 23:59:60");
        for (const JsonKind other : {JsonKind::null, JsonKind::boolean, JsonKind::array})
            EXPECT_EQ(read(other, "true", kind, &berlin),
                      "is neither a string nor a number nor an object with a date and time");
    }
}

TEST(TimeValue, WholeTextOfAnOffset)
{
    std::int64_t offset = untouched;

    EXPECT_STREQ(read_utc_offset("", offset), "is empty");
    EXPECT_STREQ(read_utc_offset("Zulu", offset), "has text after the offset from UTC");
    EXPECT_EQ(offset, untouched);
    EXPECT_EQ(read_utc_offset("-01:30", offset), nullptr);
    EXPECT_EQ(offset, -5400 * us_per_second);
}

} // namespace
} // namespace cxone_sync
