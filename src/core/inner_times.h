#pragma once

#include "core/time_value.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/*
 * Where times stand inside the values of a column of an array or row type, so that they are read by our rules
 * and not by PostgreSQL's input functions, which take words like now, and the session's time zone.
 */
struct InnerTimes {
    std::string name{};             /* of the field */
    std::optional<TimeKind> kind{}; /* the value is a time, or an array of them */
    std::vector<InnerTimes> fields{};

    bool empty() const noexcept { return !kind && fields.empty(); }
};

/*
 * Writes `json` to `result` with each of these times as format_time() does; nulls stay. Returns nullptr, or a
 * static text that tells what is wrong with one of them and goes on after the name of its field: that is then
 * in `field`, empty if the time is an element.
 */
const char *rewrite_times(std::string_view json, const InnerTimes &times, const TimeZone *zone,
                          std::string &result, std::string &field);

} // namespace cxone_sync
