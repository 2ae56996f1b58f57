#include "core/timestamp.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>

namespace cxone_sync {
namespace {

constexpr std::int64_t us_per_minute = 60 * us_per_second;
constexpr std::int64_t us_per_hour = 60 * us_per_minute;

/*
 * PostgreSQL copies its input to a buffer and refuses texts from 150 characters on; this stays clear of it.
 */
constexpr std::size_t max_text_length = 128;

/* The part of the text that is still to be read. Every reader below takes what it needs from the front. */
struct Rest {
    const char *at;
    const char *end;

    std::size_t size() const noexcept { return static_cast<std::size_t>(end - at); }
};

unsigned digit(char c) noexcept
{
    return static_cast<unsigned>(static_cast<unsigned char>(c)) - '0';
}

constexpr unsigned no_number = 10'000;

unsigned two_digits(const char *at) noexcept
{
    const unsigned tens = digit(at[0]);
    const unsigned ones = digit(at[1]);
    return tens > 9 || ones > 9 ? no_number : tens * 10 + ones;
}

bool is_leap_year(unsigned year) noexcept
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned days_in_month(unsigned year, unsigned month) noexcept
{
    constexpr unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

/* Days from 2000-01-01 in the calendar that PostgreSQL uses for all years, the Gregorian one. */
std::int64_t days_since_2000(unsigned year, unsigned month, unsigned day) noexcept
{
    constexpr unsigned short days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    constexpr std::int64_t days_from_year_1_to_2000 = 730'119;

    const unsigned years = year - 1;
    const unsigned leap_day = month > 2 && is_leap_year(year) ? 1 : 0;
    const unsigned days =
        years * 365 + years / 4 - years / 100 + years / 400 + days_before[month - 1] + leap_day + day - 1;
    return std::int64_t{days} - days_from_year_1_to_2000;
}

const char *read_date(Rest &rest, std::int64_t &days) noexcept
{
    constexpr std::size_t length = sizeof("YYYY-MM-DD") - 1;
    constexpr const char *wrong_form = "does not begin with a date of the form YYYY-MM-DD";

    if (rest.size() < length || rest.at[4] != '-' || rest.at[7] != '-')
        return wrong_form;
    const unsigned century = two_digits(rest.at);
    const unsigned year_of_century = two_digits(rest.at + 2);
    const unsigned month = two_digits(rest.at + 5);
    const unsigned day = two_digits(rest.at + 8);
    if (century == no_number || year_of_century == no_number || month == no_number || day == no_number)
        return wrong_form;

    const unsigned year = century * 100 + year_of_century;
    if (year == 0)
        return "has a year outside 0001-9999";
    if (month < 1 || month > 12)
        return "has a month outside 01-12";
    if (day < 1 || day > days_in_month(year, month))
        return "has a day that its month does not have";

    days = days_since_2000(year, month, day);
    rest.at += length;
    return nullptr;
}

/* This and the readers of an offset need at least one character. */
const char *read_separator(Rest &rest) noexcept
{
    if (*rest.at != 'T' && *rest.at != 't' && *rest.at != ' ')
        return "has neither a T nor a blank after the date";
    rest.at++;
    return nullptr;
}

const char *read_time_of_day(Rest &rest, std::int64_t &time_us) noexcept
{
    constexpr std::size_t length = sizeof("hh:mm:ss") - 1;
    constexpr const char *wrong_form = "has no time of the form hh:mm:ss";

    if (rest.size() < length || rest.at[2] != ':' || rest.at[5] != ':')
        return wrong_form;
    const unsigned hour = two_digits(rest.at);
    const unsigned minute = two_digits(rest.at + 3);
    const unsigned second = two_digits(rest.at + 6);
    if (hour == no_number || minute == no_number || second == no_number)
        return wrong_form;

    if (hour > 23)
        return "has an hour outside 00-23";
    if (minute > 59)
        return "has a minute outside 00-59";
    if (second > 60)
        return "has a second outside 00-60";

    time_us = hour * us_per_hour + minute * us_per_minute + second * us_per_second;
    rest.at += length;
    return nullptr;
}

/*
 * Up to six digits are exact as they stand. PostgreSQL takes more of them through a double, where a tie such
 * as .1234565 is none any more, so the same double has to be made here to get the same microsecond.
 */
const char *read_fraction(Rest &rest, std::int64_t &fraction_us) noexcept
{
    constexpr std::ptrdiff_t exact_digits = 6;
    constexpr unsigned scale[] = {1'000'000, 100'000, 10'000, 1'000, 100, 10, 1};

    if (rest.size() == 0 || *rest.at != '.')
        return nullptr;

    const char *const point = rest.at++;
    unsigned value = 0;
    for (; rest.at != rest.end && digit(*rest.at) <= 9; rest.at++) {
        if (rest.at - point <= exact_digits)
            value = value * 10 + digit(*rest.at);
    }

    const std::ptrdiff_t digits = rest.at - point - 1;
    if (digits == 0)
        return "has no digits after the decimal point";
    if (digits <= exact_digits) {
        fraction_us = std::int64_t{value} * scale[digits];
        return nullptr;
    }

    double seconds = 0;
    std::from_chars(point, rest.at, seconds, std::chars_format::fixed);
    fraction_us = static_cast<std::int64_t>(std::rint(seconds * 1e6));
    return nullptr;
}

const char *read_numeric_offset(Rest &rest, std::int64_t &offset_us) noexcept
{
    constexpr const char *wrong_form =
        "has an offset from UTC that is neither Z nor of the form +hh:mm or +hhmm";

    const bool west = *rest.at++ == '-';
    const std::size_t minute_at = rest.size() > 2 && rest.at[2] == ':' ? 3 : 2;
    if (rest.size() < minute_at + 2)
        return wrong_form;
    const unsigned hour = two_digits(rest.at);
    const unsigned minute = two_digits(rest.at + minute_at);
    if (hour == no_number || minute == no_number)
        return wrong_form;
    if (hour > 15 || minute > 59)
        return "has an offset from UTC outside -15:59 to +15:59";

    const std::int64_t distance = hour * us_per_hour + minute * us_per_minute;
    offset_us = west ? -distance : distance;
    rest.at += minute_at + 2;
    return nullptr;
}

const char *read_offset(Rest &rest, std::int64_t &offset_us) noexcept
{
    switch (*rest.at) {
    case 'Z':
    case 'z':
        rest.at++;
        return nullptr;
    case '+':
    case '-':
        return read_numeric_offset(rest, offset_us);
    default:
        return "has neither a fraction nor an offset from UTC after the seconds";
    }
}

} // namespace

const char *read_written_time(std::string_view text, WrittenTime &result) noexcept
{
    if (text.empty())
        return "is empty";
    if (text.size() > max_text_length)
        return "is longer than 128 characters";

    Rest rest{text.data(), text.data() + text.size()};
    WrittenTime written;
    std::int64_t fraction_us = 0;

    if (const char *wrong = read_date(rest, written.days))
        return wrong;
    written.has_time = rest.size() != 0;
    if (written.has_time) {
        if (const char *wrong = read_separator(rest))
            return wrong;
        if (const char *wrong = read_time_of_day(rest, written.time_us))
            return wrong;
        if (const char *wrong = read_fraction(rest, fraction_us))
            return wrong;
    }
    written.has_offset = rest.size() != 0;
    if (written.has_offset) {
        if (const char *wrong = read_offset(rest, written.offset_us))
            return wrong;
        if (rest.size() != 0)
            return "has text after the offset from UTC";
    }
    /* PostgreSQL lets a day end with 23:59:60, but not a microsecond later. */
    written.time_us += fraction_us;
    if (written.time_us > us_per_day)
        return "has a fraction after 23:59:60";

    result = written;
    return nullptr;
}

const char *parse_timestamp(std::string_view text, Timestamp &result) noexcept
{
    WrittenTime written;

    if (const char *wrong = read_written_time(text, written))
        return wrong;
    if (!written.has_time)
        return "has no time of day";
    if (!written.has_offset)
        return "has no offset from UTC";

    result = written.local() - written.offset_us;
    return nullptr;
}

const char *read_utc_offset(std::string_view text, std::int64_t &offset_us) noexcept
{
    if (text.empty())
        return "is empty";

    Rest rest{text.data(), text.data() + text.size()};
    std::int64_t offset = 0;

    if (const char *wrong = read_offset(rest, offset))
        return wrong;
    if (rest.size() != 0)
        return "has text after the offset from UTC";
    offset_us = offset;
    return nullptr;
}

Timestamp now() noexcept
{
    using namespace std::chrono;
    constexpr sys_days postgres_epoch{year{2000} / January / 1};
    return duration_cast<microseconds>(system_clock::now() - postgres_epoch).count();
}

} // namespace cxone_sync
