#pragma once

#include "core/ascii.h"

#include <string>
#include <string_view>

namespace cxone_sync {

/*
 * The value of a header, from a head that Framing has let pass; several lines of that name are joined with a
 * comma (RFC 9110 section 5.3). Empty if there is none.
 */
std::string header_value(std::string_view head, std::string_view name);

} // namespace cxone_sync
