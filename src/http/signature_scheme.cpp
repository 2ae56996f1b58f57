#include "http/signature_scheme.h"

namespace cxone_sync {

using enum SignatureScheme::Encoding;

SignatureScheme standard_webhooks_scheme()
{
    return {.header = "webhook-signature",
            .encoding = base64,
            .prefix = "v1,",
            .is_list = true,
            .content = "{id}.{timestamp}.{body}",
            .timestamp_header = "webhook-timestamp",
            .id_header = "webhook-id",
            .has_base64_secrets = true};
}

SignatureScheme nexus_scheme()
{
    SignatureScheme scheme;

    scheme.header = "X-Nexus-Signature-256";
    scheme.prefix = "sha256=";
    scheme.content = "{timestamp}.{body}";
    scheme.timestamp_header = "X-Nexus-Timestamp";
    scheme.id_header = "X-Nexus-Delivery-Id";
    return scheme;
}

SignatureScheme cxone_signature_scheme()
{
    SignatureScheme scheme;

    scheme.header = "X-CXone-Signature";
    return scheme;
}

SignatureScheme nice_webhook_signature_scheme()
{
    SignatureScheme scheme;

    scheme.header = "X-Nice-Webhook-Signature";
    scheme.encoding = base64;
    return scheme;
}

SignatureScheme request_signature_scheme()
{
    SignatureScheme scheme = nice_webhook_signature_scheme();

    scheme.header = "X-Request-Signature";
    return scheme;
}

} // namespace cxone_sync
