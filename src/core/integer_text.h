#pragma once

#include "core/pure_room.h"

#include <cstddef>
#include <string_view>

namespace cxone_sync {

/* Room for a sign and as many digits as any integer type of 64 bits has. */
using IntegerText = char[21];

/*
 * A JSON number as PostgreSQL's integer types read it. To JSON 5.0, 1E2 and -0.0 are the integers 5, 100 and
 * 0, to the types' input functions they are none, so these get the plain digits, in `buffer`. What is no
 * integer, or too large for any, is returned as it stands, for the input function to refuse.
 */
std::string_view integer_text(std::string_view number, IntegerText &buffer) noexcept;

} // namespace cxone_sync
