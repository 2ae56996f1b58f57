#include "http/tls.h"

#include "core/secret_file.h"

#include <ctime>
#include <new>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <system_error>

namespace cxone_sync {

namespace {

template <auto free> struct FreeBy {
    template <typename T> void operator()(T *what) const noexcept { free(what); }
};
using Bio = std::unique_ptr<BIO, FreeBy<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;

/* What OpenSSL says of the first thing that went wrong, which is the cause of the others. */
std::string openssl_problem(const char *what)
{
    const unsigned long error = ERR_peek_error();
    std::string problem = what;

    if (ERR_GET_LIB(error) == ERR_LIB_SYS)
        problem += ": " + std::generic_category().message(ERR_GET_REASON(error));
    else if (const char *reason = ERR_reason_error_string(error))
        problem += std::string(": ") + reason;
    ERR_clear_error();
    return problem;
}

/* OpenSSL would ask for a passphrase at the terminal; a server has nobody to ask. */
int no_passphrase(char *, int, int, void *was_asked)
{
    *static_cast<bool *>(was_asked) = true;
    return -1;
}

/* RFC 7301 section 3.2: a client that asks for nothing but other protocols, HTTP/2 say, is refused. */
int choose_protocol(SSL *, const unsigned char **chosen, unsigned char *chosen_size,
                    const unsigned char *offered, unsigned offered_size, void *)
{
    static constexpr unsigned char known[] = "\x08http/1.1\x08http/1.0";
    unsigned char *match = nullptr;

    if (SSL_select_next_proto(&match, chosen_size, known, sizeof(known) - 1, offered, offered_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = match;
    return SSL_TLSEXT_ERR_OK;
}

bool set_rules(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    /* a client that sends nothing but key updates is not to keep the thread in one call */
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
    return SSL_CTX_set_num_tickets(context, 0) && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
}

std::string with_file(const char *setting, const std::string &path, const std::string &problem)
{
    return std::string(setting) + ", file \"" + path + "\": " + problem;
}

std::string use_certificate(SSL_CTX *context, const TlsFiles &files)
{
    if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) == 1)
        return {};
    return with_file("cxone_sync.tls_cert_file", files.certificate,
                     openssl_problem("no certificate could be loaded"));
}

std::string use_key(SSL_CTX *context, const TlsFiles &files, std::string &hint)
{
    const auto here = [&files](const std::string &problem) {
        return with_file("cxone_sync.tls_key_file", files.key, problem);
    };
    Secret text;
    bool was_asked = false;

    if (const std::string problem = read_secret_file(files.key, text, hint); !problem.empty())
        return here(problem);
    const Bio bio(BIO_new_mem_buf(text.view().data(), static_cast<int>(text.view().size())));
    const Key key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, &was_asked) : nullptr);
    if (!key && was_asked) {
        ERR_clear_error();
        hint =
            "Nobody could enter the passphrase at each start: store the key without one, as \"openssl pkey\" "
            "does.";
        return here("the key is protected by a passphrase");
    }
    if (!key)
        return here(openssl_problem("no private key could be loaded"));
    if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
        ERR_clear_error();
        hint = "The key has to be that of the first certificate in cxone_sync.tls_cert_file.";
        return here("the key does not belong to the certificate");
    }
    return {};
}

std::string use_client_ca(SSL_CTX *context, const TlsFiles &files)
{
    if (files.client_ca.empty())
        return {};
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(files.client_ca.c_str());
    if (!names || SSL_CTX_load_verify_locations(context, files.client_ca.c_str(), nullptr) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return with_file("cxone_sync.tls_ca_file", files.client_ca,
                         openssl_problem("no certificate could be loaded"));
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return {};
}

std::string missing_setting(const TlsFiles &files)
{
    if (files.certificate.empty())
        return "cxone_sync.tls_cert_file is not set";
    if (files.key.empty())
        return "cxone_sync.tls_key_file is not set";
    return {};
}

Timestamp expiry_of(SSL_CTX *context)
{
    tm time{};
    const X509 *certificate = SSL_CTX_get0_certificate(context);

    if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1)
        return 0;
    return timegm(&time) * us_per_second + unix_epoch_us;
}

} // namespace

void TlsContext::Free::operator()(ssl_ctx_st *context) const noexcept
{
    SSL_CTX_free(context);
}

std::shared_ptr<const TlsContext> TlsContext::load(const TlsFiles &files, std::string &problem,
                                                   std::string &hint)
{
    const auto made = std::make_shared<TlsContext>();

    problem = missing_setting(files);
    if (!problem.empty())
        return nullptr;
    ERR_clear_error();
    made->context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX *context = made->context_.get();
    if (!context || !set_rules(context))
        problem = openssl_problem("TLS cannot be set up");
    if (problem.empty())
        problem = use_certificate(context, files);
    if (problem.empty())
        problem = use_key(context, files, hint);
    if (problem.empty())
        problem = use_client_ca(context, files);
    if (!problem.empty())
        return nullptr;
    made->expires_at_ = expiry_of(context);
    return made;
}

void TlsSession::Free::operator()(ssl_st *session) const noexcept
{
    SSL_free(session);
}

TlsSession::TlsSession(const TlsContext &context, int socket) : session_(SSL_new(context.context_.get()))
{
    if (!session_ || SSL_set_fd(session_.get(), socket) != 1) {
        ERR_clear_error();
        throw std::bad_alloc();
    }
    SSL_set_accept_state(session_.get());
}

/* Of a call that did not return 1. A client that has said nothing only looked whether a port is there. */
IoState TlsSession::state_of(int result) noexcept
{
    switch (SSL_get_error(session_.get(), result)) {
    case SSL_ERROR_WANT_READ:
        return IoState::wants_read;
    case SSL_ERROR_WANT_WRITE:
        return IoState::wants_write;
    case SSL_ERROR_ZERO_RETURN:
        return IoState::closed;
    default:
        break;
    }
    /* after any other error even SSL_shutdown() must not be called */
    is_usable_ = false;
    const unsigned long error = ERR_peek_error();
    ERR_clear_error();
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_HTTP_REQUEST)
        met_http_ = true;
    const char *reason = ERR_GET_LIB(error) == ERR_LIB_SYS ? nullptr : ERR_reason_error_string(error);
    if (BIO_number_read(SSL_get_rbio(session_.get())) > 0)
        reason_ = reason ? reason : "the client has gone away";
    return IoState::failed;
}

IoState TlsSession::handshake() noexcept
{
    ERR_clear_error();
    const int result = SSL_do_handshake(session_.get());
    return result == 1 ? IoState::done : state_of(result);
}

IoResult TlsSession::receive(char *target, std::size_t size) noexcept
{
    std::size_t bytes = 0;

    ERR_clear_error();
    const int result = SSL_read_ex(session_.get(), target, size, &bytes);
    return {result == 1 ? IoState::done : state_of(result), bytes};
}

IoResult TlsSession::send(std::string_view text) noexcept
{
    std::size_t bytes = 0;

    ERR_clear_error();
    const int result = SSL_write_ex(session_.get(), text.data(), text.size(), &bytes);
    return {result == 1 ? IoState::done : state_of(result), bytes};
}

void TlsSession::end() noexcept
{
    if (!is_usable_ || !SSL_is_init_finished(session_.get()))
        return;
    is_usable_ = false;
    ERR_clear_error();
    SSL_shutdown(session_.get());
    ERR_clear_error();
}

} // namespace cxone_sync
