#pragma once

#include "core/pure_room.h"

#include <array>
#include <string_view>

namespace cxone_sync {

using Digest = std::array<unsigned char, 32>;

/* SHA-256, and HMAC-SHA256 (RFC 2104). Both throw std::bad_alloc. */
Digest sha256(std::string_view text);
Digest hmac_sha256(std::string_view key, std::string_view text);

inline std::string_view bytes_of(const Digest &digest) noexcept
{
    return {reinterpret_cast<const char *>(digest.data()), digest.size()};
}

} // namespace cxone_sync
