#pragma once

#include "core/pure_room.h"

#include <cstdint>
#include <string>

namespace cxone_sync {

/*
 * A signature by HMAC-SHA256, the only algorithm: what a request says of algorithms is not read. `content` is
 * what is signed, where {body}, {id} and {timestamp} stand for the body as it came and for the values of
 * headers.
 */
struct SignatureScheme {
    enum class Encoding : std::uint8_t { hex, base64 };

    std::string header;
    Encoding encoding = Encoding::hex;
    std::string prefix; /* of each signature, such as sha256= */
    /* The header may hold several, with spaces between them; those with another prefix are not looked at. */
    bool is_list = false;
    std::string content = "{body}";
    std::string timestamp_header;
    std::string id_header;
    bool has_base64_secrets = false; /* which may begin with whsec_ */
};

/* Those that were seen (CXONE.md, Delivery). */
SignatureScheme standard_webhooks_scheme();
SignatureScheme nexus_scheme();
SignatureScheme cxone_signature_scheme();
SignatureScheme nice_webhook_signature_scheme();
SignatureScheme request_signature_scheme();

} // namespace cxone_sync
