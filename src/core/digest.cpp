#include "core/digest.h"

#include <new>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace cxone_sync {

Digest sha256(std::string_view text)
{
    Digest digest;
    unsigned size = 0;

    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
        throw std::bad_alloc();
    return digest;
}

Digest hmac_sha256(std::string_view key, std::string_view text)
{
    Digest digest;
    unsigned size = 0;

    if (!HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
              reinterpret_cast<const unsigned char *>(text.data()), text.size(), digest.data(), &size))
        throw std::bad_alloc();
    return digest;
}

} // namespace cxone_sync
