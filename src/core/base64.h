#pragma once

#include "core/secret.h"

#include <string_view>

namespace cxone_sync {

/* RFC 4648 section 4, with padding. What goes in or out may be secret, so every copy is wiped. */

Secret base64(std::string_view bytes);

/* Strictly: false, and `bytes` left alone, if it is no base64. */
bool decode_base64(std::string_view text, Secret &bytes);

} // namespace cxone_sync
