#include "core/time_value.h"

#include <algorithm>
#include <chrono>
#include <memory_resource>
#include <string>

namespace cxone_sync {
namespace {

using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr sys_days january_1(int of_year) noexcept
{
    return year{of_year} / std::chrono::January / 1;
}

constexpr std::int64_t days_from_2000(sys_days day) noexcept
{
    return (day - january_1(2000)).count();
}

constexpr Timestamp unix_epoch = days_from_2000(january_1(1970)) * us_per_day;
constexpr Timestamp first_time = days_from_2000(january_1(1)) * us_per_day;
constexpr Timestamp end_of_times = days_from_2000(january_1(10'000)) * us_per_day;

std::int64_t day_of(Timestamp time) noexcept
{
    const std::int64_t days = time / us_per_day;
    return time % us_per_day < 0 ? days - 1 : days;
}

const char *take_in_range(Timestamp time, std::int64_t &result) noexcept
{
    if (time < first_time || time >= end_of_times)
        return "is a time outside the years 0001-9999";
    result = time;
    return nullptr;
}

/* ---- dates and times as text ---- */

const char *take_written(const WrittenTime &written, TimeKind wanted, const TimeZone *zone,
                         std::int64_t &result) noexcept
{
    if (wanted == TimeKind::date) {
        result = written.days;
        return nullptr;
    }
    if (written.has_offset)
        return take_in_range(written.local() - written.offset_us, result);
    if (wanted == TimeKind::local)
        return take_in_range(written.local(), result);
    if (!zone)
        return "has no offset from UTC, and cxone_sync.time_zone does not say which zone it means";
    return take_in_range(zone->to_utc(written.local()), result);
}

const char *read_text(std::string_view text, TimeKind wanted, const TimeZone *zone,
                      std::int64_t &result) noexcept
{
    WrittenTime written;

    if (const char *wrong = read_written_time(text, written))
        return wrong;
    return take_written(written, wanted, zone, result);
}

/* ---- numbers since 1970 ---- */

struct Number {
    bool negative;
    std::string_view whole; /* without leading zeros */
    std::string_view fraction;

    /* The digit at a place that is counted from the first one on, over the point and the last one. */
    unsigned digit(std::size_t place) const noexcept
    {
        if (place < whole.size())
            return static_cast<unsigned>(whole[place] - '0');
        place -= whole.size();
        return place < fraction.size() ? static_cast<unsigned>(fraction[place] - '0') : 0;
    }
};

std::string_view take_digits(std::string_view &rest) noexcept
{
    const std::string_view digits = rest.substr(0, rest.find_first_not_of("0123456789"));
    rest.remove_prefix(digits.size());
    return digits;
}

/* Whether all of the text is a number without an exponent. */
bool split_number(std::string_view text, Number &number) noexcept
{
    number.negative = text.starts_with('-');
    text.remove_prefix(number.negative ? 1 : 0);
    number.whole = take_digits(text);
    if (number.whole.empty())
        return false;
    number.whole.remove_prefix(std::min(number.whole.find_first_not_of('0'), number.whole.size()));
    if (text.empty())
        return true;
    if (text[0] != '.')
        return false;
    text.remove_prefix(1);
    number.fraction = take_digits(text);
    return !number.fraction.empty() && text.empty();
}

/* The digits before the point tell the unit, and so at which place those end that make whole microseconds. */
const char *count_microseconds(const Number &number, std::int64_t &us) noexcept
{
    const std::size_t size = number.whole.size();
    if (size <= 8)
        return "is a number too small to be a time since 1970";
    if (size > 20)
        return "is a number too large to be a time since 1970";
    const std::size_t end = size <= 11 ? size + 6 : size <= 14 ? size + 3 : size <= 17 ? size : size - 3;

    us = 0;
    for (std::size_t place = 0; place < end; place++)
        us = us * 10 + number.digit(place);
    us += number.digit(end) >= 5 ? 1 : 0;
    us = number.negative ? -us : us;
    return nullptr;
}

const char *take_number(const Number &number, TimeKind wanted, std::int64_t &result) noexcept
{
    std::int64_t us;
    Timestamp time;

    if (const char *wrong = count_microseconds(number, us))
        return wrong;
    if (const char *wrong = take_in_range(unix_epoch + us, time))
        return wrong;
    result = wanted == TimeKind::date ? day_of(time) : time;
    return nullptr;
}

/* ---- objects ---- */

class ObjectReader : public JsonHandler {
public:
    std::string_view date;
    std::string_view timezone;
    bool complete = false;

    void restart() override { *this = {}; }
    bool open(JsonKind) override { return depth_++ == 0; } /* PHP nests nothing */
    bool close(JsonKind, std::string_view) override { return complete = true; }

    bool key(std::string_view, std::string_view text, bool) override
    {
        wanted_ = text == "date" ? &date : text == "timezone" ? &timezone : nullptr;
        return true;
    }

    bool value(JsonKind kind, std::string_view, std::string_view text, bool) override
    {
        if (wanted_)
            *wanted_ = kind == JsonKind::string ? text : std::string_view{};
        return true;
    }

private:
    unsigned depth_ = 0;
    std::string_view *wanted_ = nullptr;
};

/* Gives `written` the offset that the zone of this name has then. */
bool set_offset(std::string_view name, const TimeZone *zone, WrittenTime &written) noexcept
{
    written.has_offset = true;
    if (name == "UTC" || name == "GMT" || read_utc_offset(name, written.offset_us) == nullptr)
        return true;
    if (!zone || name != zone->name())
        return false;
    written.offset_us = written.local() - zone->to_utc(written.local());
    return true;
}

const char *read_object(std::string_view raw, TimeKind wanted, const TimeZone *zone, std::int64_t &result)
{
    std::byte memory[256];
    std::pmr::monotonic_buffer_resource arena(memory, sizeof(memory));
    ObjectReader object;
    WrittenTime written;

    const std::string broken = read_json(raw, arena, object);
    if (!broken.empty() || !object.complete || object.date.empty() || object.timezone.empty())
        return "is an object, but not one of a \"date\" and a \"timezone\"";
    if (read_written_time(object.date, written) != nullptr || written.has_offset)
        return "is an object whose \"date\" is not a date and time without an offset";
    if (!set_offset(object.timezone, zone, written))
        return "names a time zone that is not cxone_sync.time_zone";
    return take_written(written, wanted, zone, result);
}

/* ---- writing ---- */

char *put_digits(char *at, std::int64_t value, int count) noexcept
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = static_cast<char>('0' + value % 10);
    return at + count;
}

char *put_date(char *at, std::int64_t days) noexcept
{
    const year_month_day date = january_1(2000) + std::chrono::days{days};

    at = put_digits(at, int{date.year()}, 4);
    *at++ = '-';
    at = put_digits(at, unsigned{date.month()}, 2);
    *at++ = '-';
    return put_digits(at, unsigned{date.day()}, 2);
}

char *put_time_of_day(char *at, std::int64_t us) noexcept
{
    const std::int64_t seconds = us / us_per_second;
    const std::int64_t fraction = us % us_per_second;

    at = put_digits(at, seconds / 3600, 2);
    *at++ = ':';
    at = put_digits(at, seconds / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, seconds % 60, 2);
    if (fraction == 0)
        return at;
    *at++ = '.';
    return put_digits(at, fraction, 6);
}

} // namespace

const char *read_time(JsonKind kind, std::string_view raw, std::string_view text, TimeKind wanted,
                      const TimeZone *zone, std::int64_t &result)
{
    Number number;

    switch (kind) {
    case JsonKind::string:
        return split_number(text, number) ? take_number(number, wanted, result)
                                          : read_text(text, wanted, zone, result);
    case JsonKind::number:
        return split_number(text, number) ? take_number(number, wanted, result)
                                          : "is a number with an exponent, not a time";
    case JsonKind::object:
        return read_object(raw, wanted, zone, result);
    case JsonKind::null:
    case JsonKind::boolean:
    case JsonKind::array:
        break;
    }
    return "is neither a string nor a number nor an object with a date and time";
}

std::size_t format_time(TimeKind kind, std::int64_t value, char (&buffer)[32]) noexcept
{
    const std::int64_t days = kind == TimeKind::date ? value : day_of(value);
    char *at = put_date(buffer, days);

    if (kind != TimeKind::date) {
        *at++ = 'T';
        at = put_time_of_day(at, value - days * us_per_day);
    }
    if (kind == TimeKind::instant)
        *at++ = 'Z';
    *at = '\0';
    return static_cast<std::size_t>(at - buffer);
}

} // namespace cxone_sync
