#pragma once

#include "core/pure_room.h"

#include <string_view>

namespace cxone_sync {

/*
 * True if `text` is well-formed UTF-8 by the table of RFC 3629 section 4 (no surrogates, no overlong forms,
 * at most U+10FFFF), which is also what PostgreSQL accepts, except that a NUL byte passes here.
 */
bool is_valid_utf8(std::string_view text) noexcept;

} // namespace cxone_sync
