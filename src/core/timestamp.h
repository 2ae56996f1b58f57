#pragma once

#include "core/pure_room.h"

#include <cstdint>
#include <string_view>

namespace cxone_sync {

/* Microseconds since 2000-01-01 00:00:00 UTC: the epoch and unit of PostgreSQL's timestamptz. */
using Timestamp = std::int64_t;

inline constexpr std::int64_t us_per_second = 1'000'000;
inline constexpr std::int64_t us_per_day = 86'400 * us_per_second;
inline constexpr std::int64_t unix_epoch_us = -946'684'800 * us_per_second; /* 1970 as a Timestamp */

/*
 * Parses an RFC 3339 date-time with an offset. Tolerated beyond the RFC, because CXone sends it: an offset
 * without the colon (+0100), a blank instead of the T, lower-case t and z, any number of fractional digits
 * that fits into a text of 128 characters (rounded to microseconds exactly as PostgreSQL rounds them), and
 * second 60 in any minute, which is the next minute's second 0. Narrower than the RFC, because PostgreSQL is:
 * year 0000 and offsets beyond 15:59 are refused.
 *
 * Returns nullptr and sets `result`, or returns a static text that says what is wrong and leaves `result`
 * alone. Everything accepted here is accepted by PostgreSQL's timestamptz input with the same value; words
 * like "now" and "infinity", times without an offset, and dates that do not exist are refused.
 */
const char *parse_timestamp(std::string_view text, Timestamp &result) noexcept;

/* A date and time as a text has them; parts that it leaves out are 0. */
struct WrittenTime {
    std::int64_t days = 0;      /* since 2000-01-01 */
    std::int64_t time_us = 0;   /* since midnight */
    std::int64_t offset_us = 0; /* east of UTC */
    bool has_time = false;
    bool has_offset = false;

    Timestamp local() const noexcept { return days * us_per_day + time_us; }
};

/* Reads what parse_timestamp() does, and also what has no offset, or neither time of day nor offset. */
const char *read_written_time(std::string_view text, WrittenTime &result) noexcept;

/* Reads an offset from UTC that is all of the text: Z, +hh:mm or +hhmm. */
const char *read_utc_offset(std::string_view text, std::int64_t &offset_us) noexcept;

/* The wall clock of this machine. */
Timestamp now() noexcept;

} // namespace cxone_sync
