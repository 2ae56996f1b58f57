#include "core/timestamp.h"

#include "reference.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>
#include <string>
#include <string_view>

namespace {

using cxone_sync::parse_timestamp;
using cxone_sync::Timestamp;

constexpr Timestamp untouched = std::numeric_limits<Timestamp>::min();
constexpr Timestamp us_per_second = 1'000'000;

void require(bool condition, const char *what, std::string_view text)
{
    if (condition)
        return;
    std::fprintf(stderr, "%s: \"%.*s\"\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
}

/* By the C library's calendar. The offset brings the few instants outside the years 0001 to 9999 back inside.
 */
std::string as_rfc3339(Timestamp value)
{
    constexpr Timestamp first = -63'082'281'600 * us_per_second; /* 0001-01-01T00:00:00Z */
    constexpr Timestamp end = 252'455'616'000 * us_per_second;   /* 10000-01-01T00:00:00Z */
    constexpr Timestamp offset = (15 * 60 + 59) * 60 * us_per_second;

    if (value == end + offset)
        return "9999-12-31T23:59:60-15:59"; /* the last of all: no offset has room for it before midnight */

    const Timestamp local = value < first ? value + offset : value >= end ? value - offset : value;
    const char *const suffix = value < first ? "+15:59" : value >= end ? "-15:59" : "Z";
    Timestamp fraction = local % us_per_second;
    if (fraction < 0)
        fraction += us_per_second;

    const std::time_t seconds = (local - fraction) / us_per_second + 946'684'800;
    std::tm tm{};
    gmtime_r(&seconds, &tm);
    char text[96];
    std::snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06d%s", tm.tm_year + 1900,
                  tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, static_cast<int>(fraction),
                  suffix);
    return text;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    Timestamp value = untouched;
    const char *const wrong = parse_timestamp(text, value);
    const auto expected = reference::parse_timestamp(text);

    require((wrong == nullptr) == expected.has_value(), "the reference disagrees about the text", text);
    require(value == expected.value_or(untouched), "the reference disagrees about the value", text);
    if (wrong != nullptr) {
        require(std::strlen(wrong) > 0, "no reason given", text);
        return 0;
    }

    Timestamp again = untouched;
    const std::string formatted = as_rfc3339(value);
    require(parse_timestamp(formatted, again) == nullptr, "its own RFC 3339 form is refused", formatted);
    require(again == value, "its own RFC 3339 form has another value", formatted);
    return 0;
}
