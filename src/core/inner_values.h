#pragma once

#include "core/shape.h"

#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/*
 * What stands inside the values of a column of an array or row type that has to be read by our rules and not
 * by PostgreSQL's input functions: times, for which those take words like now, and the session's time zone;
 * and integers, of which they take only the plain form.
 */
struct InnerValues {
    std::string name{};          /* of the field */
    Shape shape = Shape::scalar; /* of the value, or of the elements if it is an array */
    std::vector<InnerValues> fields{};

    bool empty() const noexcept { return !is_rewritten_inside(shape) && fields.empty(); }
    bool hold_times() const noexcept;
};

/*
 * Writes `json` to `result` with each of these values as its type's input function takes it; nulls stay.
 * Returns nullptr, or a static text that tells what is wrong with one of them and goes on after the name of
 * its field: that is then in `field`, empty if the value is an element.
 */
const char *rewrite_inner_values(std::string_view json, const InnerValues &values, const TimeZone *zone,
                                 std::string &result, std::string &field);

} // namespace cxone_sync
