#pragma once

#include "core/json_text.h"
#include "core/time_zone.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cxone_sync {

/* What a time is for: timestamptz, timestamp without time zone, or date. */
enum class TimeKind : std::uint8_t { instant, local, date };

/*
 * Reads a JSON value as a time. `raw` is its JSON text, `text` the decoded string or `raw` of other kinds.
 * Taken are
 *
 *   - strings as parse_timestamp() takes them, also without an offset (2021-07-27T00:00:00), or the date
 * alone, which is its midnight;
 *   - numbers since 1970-01-01 UTC, also as a string, with or without a fraction: from 1e8 on in seconds,
 * from 1e11 on in milliseconds, from 1e14 on in microseconds, from 1e17 on in nanoseconds, below 1e20. Digits
 *     beyond a microsecond are rounded to the nearest;
 *   - what PHP makes of a time: {"date": <a string without an offset>, "timezone": <UTC, GMT, an offset, or
 * the name of `zone`>}.
 *
 * An instant without an offset is one in `zone`; if that is null it is refused. A local time is taken as
 * written, or in UTC if it has an offset or is a number. A date is taken as written, or in UTC from a number.
 * Everything else is refused: words like now and infinity, 12/06/2024, numbers with an exponent, and what
 * lies outside the years 0001-9999.
 *
 * Returns nullptr and sets `result` to microseconds since 2000-01-01, for a date to days, as PostgreSQL has
 * them; or returns a static text that goes on after the name of the field, and leaves `result` alone. Throws
 * nothing but std::bad_alloc.
 */
const char *read_time(JsonKind kind, std::string_view raw, std::string_view text, TimeKind wanted,
                      const TimeZone *zone, std::int64_t &result);

/*
 * Writes a time of the years 0001-9999 so that PostgreSQL reads the same value whatever its DateStyle and
 * TimeZone are: 2021-07-27T00:00:00.5Z, without the Z, or the date alone. Ends it with a NUL and returns its
 * length. read_time() reads it as well.
 */
std::size_t format_time(TimeKind kind, std::int64_t value, char (&buffer)[32]) noexcept;

} // namespace cxone_sync
