#include "core/base64.h"

#include <algorithm>
#include <openssl/evp.h>

namespace cxone_sync {

namespace {

using Bytes = std::vector<unsigned char, WipingAllocator<unsigned char>>;

const unsigned char *bytes_of(std::string_view text) noexcept
{
    return reinterpret_cast<const unsigned char *>(text.data());
}

Secret secret_of(const Bytes &bytes, std::size_t size)
{
    return Secret({reinterpret_cast<const char *>(bytes.data()), size});
}

} // namespace

Secret base64(std::string_view bytes)
{
    /* EVP_EncodeBlock() ends its text with a NUL */
    Bytes text((bytes.size() + 2) / 3 * 4 + 1);
    const int size = EVP_EncodeBlock(text.data(), bytes_of(bytes), static_cast<int>(bytes.size()));

    return secret_of(text, static_cast<std::size_t>(size));
}

bool decode_base64(std::string_view text, Secret &bytes)
{
    const std::string_view digits = text.substr(0, std::min(text.find('='), text.size()));
    const std::size_t padding = text.size() - digits.size();
    const std::size_t size = text.size() / 4 * 3;
    Bytes decoded(size + 1);

    /* EVP_DecodeBlock() passes over blanks, and takes padding for digits */
    if (text.size() % 4 != 0 || padding > 2 || text.find_first_not_of('=', digits.size()) != text.npos ||
        digits.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
            digits.npos)
        return false;
    if (!text.empty() && EVP_DecodeBlock(decoded.data(), bytes_of(text), static_cast<int>(text.size())) < 0)
        return false;
    bytes = secret_of(decoded, size - padding);
    return true;
}

} // namespace cxone_sync
