#pragma once

#include "core/pure_room.h"

#include <cstdint>
#include <string_view>

namespace cxone_sync {

/* Microseconds since 2000-01-01 00:00:00 UTC: the epoch and unit of PostgreSQL's timestamptz. */
using Timestamp = std::int64_t;

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

/* The wall clock of this machine. */
Timestamp now() noexcept;

} // namespace cxone_sync
