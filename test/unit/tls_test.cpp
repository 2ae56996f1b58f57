#include "http/tls.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cxone_sync {
namespace {

/* A certificate that has signed itself, and its key, in files that go away again. */
class Files {
public:
    Files()
    {
        char name[] = "/tmp/tls_test.XXXXXX";
        dir_ = mkdtemp(name);
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *certificate = X509_new();
        X509_set_version(certificate, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
        X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
        X509_NAME *subject = X509_get_subject_name(certificate);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char *>("localhost"), -1, -1, 0);
        X509_set_issuer_name(certificate, subject);
        X509_set_pubkey(certificate, key);
        X509_sign(certificate, key, EVP_sha256());
        FILE *file = fopen(path("crt").c_str(), "w");
        PEM_write_X509(file, certificate);
        fclose(file);
        file = fopen(path("key").c_str(), "w");
        PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
        fclose(file);
        chmod(path("key").c_str(), 0600);
        X509_free(certificate);
        EVP_PKEY_free(key);
    }
    ~Files()
    {
        for (const char *name : {"crt", "key"})
            unlink(path(name).c_str());
        rmdir(dir_.c_str());
    }

    std::string path(const char *name) const { return dir_ + "/" + name; }
    TlsFiles all() const { return {.certificate = path("crt"), .key = path("key"), .client_ca = {}}; }

private:
    std::string dir_;
};

std::shared_ptr<const TlsContext> load(const TlsFiles &files)
{
    std::string problem, hint;
    auto context = TlsContext::load(files, problem, hint);
    EXPECT_EQ(problem, "");
    return context;
}

/* Both ends of a connection in one thread: each does as much as it can, in turn. */
class Pair {
public:
    explicit Pair(const TlsContext &context, int client_version = TLS1_3_VERSION)
    {
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets_), 0);
        server = std::make_unique<TlsSession>(context, sockets_[0]);
        rules_ = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_max_proto_version(rules_, client_version);
        SSL_CTX_set_security_level(rules_, 0);
        client = SSL_new(rules_);
        SSL_set_fd(client, sockets_[1]);
        SSL_set_connect_state(client);
    }
    ~Pair()
    {
        SSL_free(client);
        SSL_CTX_free(rules_);
        server.reset();
        for (const int socket : sockets_)
            ::close(socket);
        ERR_clear_error();
    }

    int client_socket() const { return sockets_[1]; }

    /* How the server sees the handshake when neither can do more. */
    IoState shake_hands()
    {
        IoState state = IoState::wants_read;
        for (int i = 0; i < 10 && state == IoState::wants_read; i++) {
            SSL_do_handshake(client);
            state = server->handshake();
        }
        SSL_do_handshake(client);
        return state;
    }

    IoResult receive() { return server->receive(buffer_, sizeof(buffer_)); }
    std::string_view received(std::size_t size) const { return {buffer_, size}; }

    std::unique_ptr<TlsSession> server;
    SSL *client;

private:
    int sockets_[2];
    SSL_CTX *rules_;
    char buffer_[64 * 1024];
};

using State = IoState;

TEST(Tls, BytesBothWays)
{
    const Files files;
    const auto context = load(files.all());
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        Pair pair(*context, version);
        ASSERT_EQ(pair.shake_hands(), State::done);
        EXPECT_EQ(SSL_version(pair.client), version);
        EXPECT_EQ(pair.receive().state, State::wants_read);

        ASSERT_EQ(SSL_write(pair.client, "hello", 5), 5);
        const IoResult got = pair.receive();
        ASSERT_EQ(got.state, State::done);
        EXPECT_EQ(pair.received(got.bytes), "hello");
        EXPECT_EQ(pair.receive().state, State::wants_read);

        ASSERT_EQ(pair.server->send("good day").state, State::done);
        char reply[16];
        ASSERT_EQ(SSL_read(pair.client, reply, sizeof(reply)), 8);
        EXPECT_EQ(std::string_view(reply, 8), "good day");
        EXPECT_EQ(SSL_session_reused(pair.client), 0);
    }
}

/* What epoll rests on: with room for a record nothing that has come stays unseen inside. */
TEST(Tls, NothingStaysInside)
{
    const Files files;
    const auto context = load(files.all());
    Pair pair(*context);
    ASSERT_EQ(pair.shake_hands(), State::done);
    const std::string record(16 * 1024, 'x');
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(SSL_write(pair.client, record.data(), static_cast<int>(record.size())), 16 * 1024);
    for (int i = 0; i < 3; i++) {
        const IoResult got = pair.receive();
        ASSERT_EQ(got.state, State::done);
        EXPECT_EQ(got.bytes, record.size());
    }
    EXPECT_EQ(pair.receive().state, State::wants_read);
}

TEST(Tls, AClientThatDoesNotReadIsWaitedFor)
{
    const Files files;
    const auto context = load(files.all());
    Pair pair(*context);
    ASSERT_EQ(pair.shake_hands(), State::done);
    const std::string much(8 << 20, 'x');
    std::size_t sent = 0;
    IoResult result{State::done};
    while (result.state == State::done && sent < much.size()) {
        result = pair.server->send(std::string_view(much).substr(sent));
        sent += result.bytes;
    }
    ASSERT_EQ(result.state, State::wants_write);
    std::size_t read = 0;
    char buffer[64 * 1024];
    while (read < much.size()) {
        for (int got; (got = SSL_read(pair.client, buffer, sizeof(buffer))) > 0;)
            read += static_cast<std::size_t>(got);
        if (sent < much.size()) {
            /* what waited is sent again from another place in memory */
            const std::string rest = much.substr(sent);
            result = pair.server->send(rest);
            sent += result.bytes;
            ASSERT_TRUE(result.state == State::done || result.state == State::wants_write);
        }
    }
    EXPECT_EQ(read, much.size());
}

TEST(Tls, TheEndIsTold)
{
    const Files files;
    const auto context = load(files.all());
    Pair pair(*context);
    ASSERT_EQ(pair.shake_hands(), State::done);
    pair.server->end();
    char byte;
    EXPECT_EQ(SSL_get_error(pair.client, SSL_read(pair.client, &byte, 1)), SSL_ERROR_ZERO_RETURN);
    pair.server->end(); /* once is enough */

    Pair other(*context);
    ASSERT_EQ(other.shake_hands(), State::done);
    SSL_shutdown(other.client);
    EXPECT_EQ(other.receive().state, State::closed);
    Pair third(*context);
    ASSERT_EQ(third.shake_hands(), State::done);
    shutdown(third.client_socket(), SHUT_WR); /* without a word */
    EXPECT_EQ(third.receive().state, State::failed);
    third.server->end();
    EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(Tls, OldVersionsAreRefused)
{
    const Files files;
    const auto context = load(files.all());
    for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
        Pair pair(*context, version);
        EXPECT_EQ(pair.shake_hands(), State::failed);
        EXPECT_STREQ(pair.server->reason(), "unsupported protocol");
    }
}

TEST(Tls, WhatIsNoTls)
{
    const Files files;
    const auto context = load(files.all());
    const auto meets_http = [&context](std::string_view bytes, std::string &reason) {
        Pair pair(*context);
        EXPECT_EQ(write(pair.client_socket(), bytes.data(), bytes.size()),
                  static_cast<ssize_t>(bytes.size()));
        shutdown(pair.client_socket(), SHUT_WR);
        EXPECT_EQ(pair.server->handshake(), State::failed);
        reason = pair.server->reason();
        pair.server->end();
        return pair.server->met_http();
    };
    std::string reason;

    for (const char *http : {"POST /webhook HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"})
        EXPECT_TRUE(meets_http(http, reason)) << http;
    EXPECT_FALSE(meets_http("", reason));
    EXPECT_EQ(reason, "") << "nobody said anything";
    EXPECT_FALSE(meets_http("\x16\x03\x01", reason));
    EXPECT_NE(reason, "");
    EXPECT_FALSE(meets_http("SSH-2.0-x\r\n", reason));
    EXPECT_NE(reason, "");
    EXPECT_EQ(ERR_peek_error(), 0u);
}

/* A client may change its keys as often as it likes, but not keep us in one call with it. */
TEST(Tls, KeyUpdatesComeOneByOne)
{
    const Files files;
    const auto context = load(files.all());
    Pair pair(*context);
    ASSERT_EQ(pair.shake_hands(), State::done);
    for (int i = 0; i < 20; i++) {
        ASSERT_EQ(SSL_key_update(pair.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        ASSERT_EQ(SSL_do_handshake(pair.client), 1);
    }
    ASSERT_EQ(SSL_write(pair.client, "x", 1), 1);
    int calls = 0;
    IoResult got{State::wants_read};
    while (got.state == State::wants_read && calls++ < 100)
        got = pair.receive();
    EXPECT_EQ(got.state, State::done);
    EXPECT_GE(calls, 20);
}

TEST(Tls, ProtocolsByAlpn)
{
    const Files files;
    const auto context = load(files.all());
    const auto chosen = [&context](std::string_view offered, State &state) {
        Pair pair(*context);
        SSL_set_alpn_protos(pair.client, reinterpret_cast<const unsigned char *>(offered.data()),
                            static_cast<unsigned>(offered.size()));
        state = pair.shake_hands();
        const unsigned char *protocol = nullptr;
        unsigned size = 0;
        SSL_get0_alpn_selected(pair.client, &protocol, &size);
        return std::string(reinterpret_cast<const char *>(protocol), size);
    };
    State state;

    EXPECT_EQ(chosen("\x02h2\x08http/1.1", state), "http/1.1");
    EXPECT_EQ(state, State::done);
    EXPECT_EQ(chosen("\x08http/1.0", state), "http/1.0");
    EXPECT_EQ(state, State::done);
    EXPECT_EQ(chosen("\x02h2", state), "");
    EXPECT_EQ(state, State::failed);
    EXPECT_EQ(chosen("", state), "");
    EXPECT_EQ(state, State::done);
}

/* The files of a context are read once: what they become concerns the next one. */
TEST(Tls, AContextOutlivesItsFiles)
{
    std::shared_ptr<const TlsContext> context;
    {
        const Files files;
        context = load(files.all());
    }
    Pair pair(*context);
    context.reset(); /* and a session its context */
    EXPECT_EQ(pair.shake_hands(), State::done);
}

TEST(Tls, Expiry)
{
    const Files files;
    const auto context = load(files.all());
    EXPECT_NEAR(static_cast<double>(context->expires_at() - now()), 3600e6, 60e6);
}

TEST(Tls, WhatIsWrongWithFiles)
{
    const Files files;
    const auto problem_of = [](const TlsFiles &them) {
        std::string problem, hint;
        EXPECT_EQ(TlsContext::load(them, problem, hint), nullptr);
        EXPECT_EQ(ERR_peek_error(), 0u);
        return problem;
    };
    TlsFiles them = files.all();
    them.key = "";
    EXPECT_EQ(problem_of(them), "cxone_sync.tls_key_file is not set");
    them.certificate = "";
    EXPECT_EQ(problem_of(them), "cxone_sync.tls_cert_file is not set");
    them = files.all();
    std::swap(them.certificate, them.key);
    EXPECT_EQ(problem_of(them), "cxone_sync.tls_cert_file, file \"" + files.path("key") +
                                    "\": no certificate could be loaded: no start line");
    them = files.all();
    them.client_ca = files.path("key");
    EXPECT_EQ(problem_of(them).substr(0, 29), "cxone_sync.tls_ca_file, file ");
    const Files others;
    them = files.all();
    them.key = others.path("key");
    EXPECT_EQ(problem_of(them), "cxone_sync.tls_key_file, file \"" + others.path("key") +
                                    "\": the key does not belong to the certificate");
}

} // namespace
} // namespace cxone_sync
