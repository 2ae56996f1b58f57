#include "db/tls_settings.h"

#include "db/define_setting.h"

namespace cxone_sync::settings {

namespace {

char *tls_cert_file;
char *tls_key_file;
char *tls_ca_file;

} // namespace

void define_tls_settings()
{
    define_string("cxone_sync.tls_cert_file",
                  "File with the certificate for webhooks, followed by those of its issuers; empty: no TLS.",
                  &tls_cert_file, "");
    define_string("cxone_sync.tls_key_file", "File with the private key of that certificate.", &tls_key_file,
                  "");
    define_string(
        "cxone_sync.tls_ca_file",
        "File with the certificates that a sender's certificate must come from; empty: it needs none.",
        &tls_ca_file, "");
}

bool wants_tls()
{
    return *tls_cert_file != '\0' || *tls_key_file != '\0' || *tls_ca_file != '\0';
}

std::shared_ptr<const TlsContext> load_tls(std::string &problem, std::string &hint)
{
    return TlsContext::load({.certificate = tls_cert_file, .key = tls_key_file, .client_ca = tls_ca_file},
                            problem, hint);
}

} // namespace cxone_sync::settings
