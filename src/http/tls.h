#pragma once

#include "core/timestamp.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

/* OpenSSL's SSL_CTX and SSL; what it declares stays out of the other rooms. */
struct ssl_ctx_st;
struct ssl_st;

namespace cxone_sync {

/* Paths, as in the settings; those of certificates in PEM format. */
struct TlsFiles {
    std::string certificate; /* followed by those of its issuers */
    std::string key;         /* as private as a secret's file (secret_file.h), without a passphrase */
    std::string client_ca;   /* who may have issued a client's certificate; empty: clients need none */
};

/*
 * What a handshake goes by. TLS 1.2 with forward secrecy and AEAD, or 1.3; without tickets, session cache and
 * renegotiation, as in PostgreSQL (be_tls_init(), be-secure-openssl.c). Immutable: a reload makes a new one,
 * and sessions under way keep theirs.
 */
class TlsContext {
public:
    /* Null if it cannot be had: then `problem` says what is wrong, and `hint` may say what to do. */
    static std::shared_ptr<const TlsContext> load(const TlsFiles &files, std::string &problem,
                                                  std::string &hint);

    /* When the certificate stops to be valid. */
    Timestamp expires_at() const noexcept { return expires_at_; }

private:
    friend class TlsSession;
    struct Free {
        void operator()(ssl_ctx_st *context) const noexcept;
    };

    std::unique_ptr<ssl_ctx_st, Free> context_;
    Timestamp expires_at_ = 0;
};

/* What came of moving bytes, in the clear or by TLS. */
enum class IoState : std::uint8_t { done, wants_read, wants_write, closed, failed };
struct IoResult {
    IoState state;
    std::size_t bytes = 0;
};

/* One connection's TLS on a non-blocking socket that it does not own. For one thread at a time. */
class TlsSession {
public:
    /* Throws std::bad_alloc. */
    TlsSession(const TlsContext &context, int socket);

    /* To be called before all else, until it is `done` or has failed. */
    IoState handshake() noexcept;
    /* At most one record's bytes; none is kept inside if there is room for 16 kB. */
    IoResult receive(char *target, std::size_t size) noexcept;
    IoResult send(std::string_view bytes) noexcept;
    /* Tells the client that no more comes (close_notify), as far as that can be done at once. */
    void end() noexcept;

    /* The handshake failed since the client speaks HTTP in the clear. */
    bool met_http() const noexcept { return met_http_; }
    /* Why the handshake failed; a static text, or empty if the client has gone without a word. */
    const char *reason() const noexcept { return reason_; }

private:
    struct Free {
        void operator()(ssl_st *session) const noexcept;
    };

    IoState state_of(int result) noexcept;

    std::unique_ptr<ssl_st, Free> session_;
    bool is_usable_ = true; /* no fatal error so far */
    bool met_http_ = false;
    const char *reason_ = "";
};

} // namespace cxone_sync
