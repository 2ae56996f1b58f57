#pragma once

#include "core/pure_room.h"

#include <string_view>

namespace cxone_sync {

/*
 * True if `text` is well-formed UTF-8 by the table of RFC 3629 section 4 (no surrogates, no overlong forms,
 * at most U+10FFFF) without a NUL byte: exactly what a text of PostgreSQL's can be.
 */
bool is_valid_utf8(std::string_view text) noexcept;

} // namespace cxone_sync
