#pragma once

#include "core/time_value.h"

#include <string>
#include <string_view>

namespace cxone_sync {

/*
 * Reads a range or multirange of times by the syntax of PostgreSQL's input functions, and each of its bounds,
 * quoted or not, as read_time() reads a string; so they take no words like now, and no bound depends on the
 * session's time zone. A bound that is left out is none. Appends the same to `result`, with bounds as
 * format_time() writes them. Returns nullptr, or a static text that goes on after the name of the field.
 */
const char *rewrite_range(std::string_view text, TimeKind bounds, const TimeZone *zone, std::string &result);

} // namespace cxone_sync
