#include "core/timestamp.h"

#include "reference.h"
#include "timestamp_texts.h"

#include <gtest/gtest.h>

#include <cstring>
#include <ctime>
#include <limits>
#include <memory>

namespace cxone_sync {
namespace {

constexpr Timestamp untouched = std::numeric_limits<Timestamp>::min();
constexpr Timestamp second = 1'000'000;
constexpr Timestamp day = 86'400 * second;

/* From a buffer of exactly the text's length, so that the address sanitizer sees a byte read too many. */
const char *parse(std::string_view text, Timestamp &result)
{
    const auto exact = std::make_unique<char[]>(text.size());
    std::memcpy(exact.get(), text.data(), text.size());
    return parse_timestamp({exact.get(), text.size()}, result);
}

Timestamp value_of(std::string_view text)
{
    Timestamp result = untouched;
    const char *wrong = parse(text, result);
    EXPECT_EQ(wrong, nullptr) << '"' << text << "\" " << (wrong ? wrong : "");
    return result;
}

std::string refusal_of(std::string_view text)
{
    Timestamp result = untouched;
    const char *wrong = parse(text, result);
    EXPECT_EQ(result, untouched) << '"' << text << '"';
    return wrong ? wrong : "";
}

void expect_as_reference(const std::string &text)
{
    Timestamp result = untouched;
    const char *wrong = parse(text, result);
    const auto expected = reference::parse_timestamp(text);
    ASSERT_EQ(wrong == nullptr, expected.has_value()) << '"' << text << "\" " << (wrong ? wrong : "");
    ASSERT_EQ(result, expected.value_or(untouched)) << '"' << text << '"';
}

TEST(Timestamp, KnownInstants)
{
    EXPECT_EQ(value_of("2000-01-01T00:00:00Z"), 0);
    EXPECT_EQ(value_of("1999-12-31T23:59:59Z"), -second);
    EXPECT_EQ(value_of("1970-01-01T00:00:00Z"), -946'684'800 * second);
    EXPECT_EQ(value_of("2026-01-02T03:04:05Z"), 820'638'245 * second);
    /* The ends of the range, as PostgreSQL 15 gives them. */
    EXPECT_EQ(value_of("0001-01-01T00:00:00Z"), (-62'135'596'800 - 946'684'800) * second);
    EXPECT_EQ(value_of("0001-01-01T00:00:00+15:59"), (-62'135'654'340 - 946'684'800) * second);
    EXPECT_EQ(value_of("9999-12-31T23:59:60Z"), (253'402'300'800 - 946'684'800) * second);
}

TEST(Timestamp, ToleratedForms)
{
    const Timestamp expected = value_of("2026-01-02T03:04:05Z");
    for (const char *text :
         {"2026-01-02t03:04:05z", "2026-01-02 03:04:05Z", "2026-01-02T04:04:05+01:00",
          "2026-01-02T04:04:05+0100", "2026-01-01T22:34:05-0430", "2026-01-02T03:04:05-00:00",
          "2026-01-02T19:03:05+15:59", "2026-01-02T03:04:05.0Z", "2026-01-02T03:04:05.0000000Z",
          "2026-01-02T03:04:05.00000000000000000000000000000000000000Z"})
        EXPECT_EQ(value_of(text), expected) << text;
}

TEST(Timestamp, FractionsRoundAsInPostgres)
{
    const auto fraction = [](const std::string &digits) {
        return value_of("2000-01-01T00:00:00." + digits + "Z");
    };

    EXPECT_EQ(fraction("1"), 100'000);
    EXPECT_EQ(fraction("12"), 120'000);
    EXPECT_EQ(fraction("123456"), 123'456);
    EXPECT_EQ(fraction("000001"), 1);
    EXPECT_EQ(fraction("1234567"), 123'457);
    EXPECT_EQ(fraction("123456789012"), 123'457);
    EXPECT_EQ(fraction("0000005"), 0);       /* a tie goes to the even neighbour … */
    EXPECT_EQ(fraction("0000015"), 2);       /* … */
    EXPECT_EQ(fraction("1234565"), 123'456); /* … if the double is one */
    EXPECT_EQ(fraction("00000050000000000000000001"), 0);
    EXPECT_EQ(fraction("00000051"), 1);
    EXPECT_EQ(fraction("9999999"), second);
    EXPECT_EQ(value_of("1999-12-31T23:59:59.9999999Z"), 0);
    EXPECT_EQ(value_of("1999-12-31T23:58:60Z"), -60 * second);
    EXPECT_EQ(value_of("1999-12-31T23:58:60.5Z"), -59'500'000);
}

TEST(Timestamp, SecondSixtyAtTheEndOfADay)
{
    EXPECT_EQ(value_of("1999-12-31T23:59:60Z"), 0);
    EXPECT_EQ(value_of("1999-12-31T23:59:60.000000Z"), 0);
    EXPECT_EQ(value_of("1999-12-31T23:59:60.0000001Z"), 0);
    EXPECT_EQ(refusal_of("1999-12-31T23:59:60.000001Z"), "has a fraction after 23:59:60");
    EXPECT_EQ(refusal_of("1999-12-31T23:59:60.00000051Z"), "has a fraction after 23:59:60");
    EXPECT_EQ(refusal_of("1999-12-31T23:59:61Z"), "has a second outside 00-60");
}

TEST(Timestamp, SaysWhatIsWrong)
{
    EXPECT_EQ(refusal_of(""), "is empty");
    EXPECT_EQ(refusal_of(std::string(129, '1')), "is longer than 128 characters");
    EXPECT_EQ(refusal_of("now"), "does not begin with a date of the form YYYY-MM-DD");
    EXPECT_EQ(refusal_of("infinity"), "does not begin with a date of the form YYYY-MM-DD");
    EXPECT_EQ(refusal_of("12/06/2024"), "does not begin with a date of the form YYYY-MM-DD");
    EXPECT_EQ(refusal_of("1785600000000"), "does not begin with a date of the form YYYY-MM-DD");
    EXPECT_EQ(refusal_of("0000-01-01T00:00:00Z"), "has a year outside 0001-9999");
    EXPECT_EQ(refusal_of("2026-00-01T00:00:00Z"), "has a month outside 01-12");
    EXPECT_EQ(refusal_of("2026-13-01T00:00:00Z"), "has a month outside 01-12");
    EXPECT_EQ(refusal_of("2026-01-00T00:00:00Z"), "has a day that its month does not have");
    EXPECT_EQ(refusal_of("2026-02-29T00:00:00Z"), "has a day that its month does not have");
    EXPECT_EQ(refusal_of("2026-04-31T00:00:00Z"), "has a day that its month does not have");
    EXPECT_EQ(refusal_of("2026-01-02"), "has no time of day");
    EXPECT_EQ(refusal_of("2026-01-02_03:04:05Z"), "has neither a T nor a blank after the date");
    EXPECT_EQ(refusal_of("2026-01-02T03:04Z"), "has no time of the form hh:mm:ss");
    EXPECT_EQ(refusal_of("2026-01-02  03:04:05Z"), "has no time of the form hh:mm:ss");
    EXPECT_EQ(refusal_of("2026-01-02T24:00:00Z"), "has an hour outside 00-23");
    EXPECT_EQ(refusal_of("2026-01-02T03:60:05Z"), "has a minute outside 00-59");
    EXPECT_EQ(refusal_of("2026-01-02T03:04:05.Z"), "has no digits after the decimal point");
    EXPECT_EQ(refusal_of("2021-07-27T00:00:00"), "has no offset from UTC");
    EXPECT_EQ(refusal_of("2021-07-27T00:00:00.5"), "has no offset from UTC");
    EXPECT_EQ(refusal_of("2021-07-27T00:00:00,5Z"),
              "has neither a fraction nor an offset from UTC after the seconds");
    EXPECT_EQ(refusal_of("2022-12-12T14:41:45+0,0:00"),
              "has an offset from UTC that is neither Z nor of the form +hh:mm or +hhmm");
    EXPECT_EQ(refusal_of("2026-01-02T03:04:05+01"),
              "has an offset from UTC that is neither Z nor of the form +hh:mm or +hhmm");
    EXPECT_EQ(refusal_of("2026-01-02T03:04:05+16:00"), "has an offset from UTC outside -15:59 to +15:59");
    EXPECT_EQ(refusal_of("2026-01-02T03:04:05+01:60"), "has an offset from UTC outside -15:59 to +15:59");
    EXPECT_EQ(refusal_of("2026-01-02T03:04:05+01:00:00"), "has text after the offset from UTC");
    EXPECT_EQ(refusal_of("2026-01-02T03:04:05Z "), "has text after the offset from UTC");
    EXPECT_EQ(refusal_of(std::string_view("2026-01-02T03:04:05Z\0", 21)),
              "has text after the offset from UTC");
}

TEST(Timestamp, EveryPrefixAndEveryByteChange)
{
    for (const std::string text :
         {"2024-02-29T23:59:60.1234567+01:00", "2024-02-29 03:04:05-0100", "0001-01-01T00:00:00z"}) {
        for (std::size_t length = 0; length <= text.size(); length++)
            expect_as_reference(text.substr(0, length));
        for (std::size_t at = 0; at < text.size(); at++) {
            for (int byte = 0; byte < 256; byte++) {
                std::string changed = text;
                changed[at] = static_cast<char>(byte);
                expect_as_reference(changed);
            }
        }
    }
}

TEST(Timestamp, EveryDayOfTheRange)
{
    Timestamp expected = value_of("0001-01-01T00:00:00Z");
    for (int year = 1; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int of_month = 1; of_month <= 31; of_month++) {
                char text[64];
                std::snprintf(text, sizeof(text), "%04d-%02d-%02dT00:00:00Z", year, month, of_month);
                Timestamp result = untouched;
                if (parse_timestamp(text, result) != nullptr) {
                    ASSERT_GT(of_month, 28) << text;
                    continue;
                }
                ASSERT_EQ(result, expected) << text;
                expected += day;
            }
        }
    }
    EXPECT_EQ(expected, value_of("9999-12-31T00:00:00Z") + day);
}

TEST(Timestamp, RandomTextsAsReference)
{
    TimestampTexts texts(1);
    int accepted = 0;
    for (int i = 0; i < 200'000; i++) {
        const std::string valid = texts.valid();
        expect_as_reference(valid);
        expect_as_reference(texts.mutated());
        expect_as_reference(texts.wrong());
        accepted += reference::parse_timestamp(valid).has_value();
        if (HasFatalFailure())
            return;
    }
    EXPECT_EQ(accepted, 200'000);
}

TEST(Timestamp, NowIsTheWallClock)
{
    const auto before = static_cast<Timestamp>(std::time(nullptr)) - 946'684'800;
    const Timestamp between = now();
    const auto after = static_cast<Timestamp>(std::time(nullptr)) - 946'684'800;
    /* time() may lag behind the precise clock by a tick. */
    EXPECT_GE(between, (before - 1) * second);
    EXPECT_LE(between, (after + 2) * second);
}

} // namespace
} // namespace cxone_sync
