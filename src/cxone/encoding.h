#pragma once

#include "core/secret.h"

#include <string_view>

namespace cxone_sync {

/* Encodings of what may be secret: the copies made on the way are wiped. All throw std::bad_alloc. */

/*
 * `text` as a value of application/x-www-form-urlencoded: all but A-Z a-z 0-9 - . _ ~ becomes %XX (RFC 3986
 * section 2.1), a space too, which every decoder takes, unlike '+'.
 */
Secret percent_encoded(std::string_view text);

/* `text`, which is valid UTF-8, as a JSON string, quotes included. */
Secret json_string(std::string_view text);

} // namespace cxone_sync
