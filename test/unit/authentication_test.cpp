#include "http/authentication.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

constexpr Timestamp unix_epoch = -946'684'800 * us_per_second; /* 1970 */
using Problem = AuthenticationProblem;

Timestamp at(std::int64_t unix_seconds)
{
    return unix_epoch + unix_seconds * us_per_second;
}

std::string head_of(std::initializer_list<std::pair<const char *, std::string>> headers)
{
    std::string head = "POST /webhook HTTP/1.1\r\nHost: h\r\n";
    for (const auto &[name, value] : headers)
        head += std::string(name) + ": " + value + "\r\n";
    return head + "\r\n";
}

struct Checked {
    Problem problem;
    std::optional<Digest> digest;
};

Checked check(const AuthenticationConfig &config, const std::string &head, std::string_view body,
              Timestamp now = 0)
{
    Checked checked;
    EXPECT_EQ(Authenticator::problem_of(config), "");
    checked.problem = Authenticator(config).check(head, body, now, checked.digest);
    return checked;
}

AuthenticationConfig config_of(AuthenticationMethod method, std::initializer_list<const char *> secrets)
{
    AuthenticationConfig config;
    config.method = method;
    for (const char *secret : secrets)
        config.secrets.emplace_back(secret);
    return config;
}

AuthenticationConfig raw_body(SignatureScheme::Encoding encoding, std::initializer_list<const char *> secrets)
{
    AuthenticationConfig config = config_of(AuthenticationMethod::signature, secrets);
    config.signature.header = "X-Signature";
    config.signature.encoding = encoding;
    return config;
}

AuthenticationConfig standard_webhooks(std::initializer_list<const char *> secrets)
{
    AuthenticationConfig config = config_of(AuthenticationMethod::signature, secrets);
    config.signature = standard_webhooks_scheme();
    return config;
}

/* CXONE.md, Delivery */
TEST(Authentication, PublishedVectorsOfRawBodies)
{
    const std::string body = R"({"foo":"bar"})";
    const auto signed_by = [&](const char *secret, const char *signature) {
        return check(raw_body(SignatureScheme::Encoding::base64, {secret}),
                     head_of({{"X-Signature", signature}}), body)
            .problem;
    };
    EXPECT_EQ(signed_by("random", "36HN7juP6erwuhrmZelPH58M9xDaNrImKsDNi3u8Bww="), Problem::none);
    EXPECT_EQ(signed_by("thisIsSecretKey", "mY/ehO6FCpo8xKIzCS05s2gTicm/ZjDmCm3YgrREVSg="), Problem::none);
    EXPECT_EQ(signed_by("random", "mY/ehO6FCpo8xKIzCS05s2gTicm/ZjDmCm3YgrREVSg="), Problem::wrong);
    EXPECT_EQ(signed_by("random", "36HN7juP6erwuhrmZelPH58M9xDaNrImKsDNi3u8Bww"), Problem::wrong);
}

/* The documentation of Svix and the specification of Standard Webhooks. */
TEST(Authentication, PublishedVectorsOfStandardWebhooks)
{
    const AuthenticationConfig svix = standard_webhooks({"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    const std::string signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const auto head = [](const std::string &signatures, const char *time = "1614265330") {
        return head_of({{"Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
                        {"Webhook-Timestamp", time},
                        {"Webhook-Signature", signatures}});
    };
    const std::string body = R"({"test": 2432232314})";
    const Timestamp now = at(1614265330);
    EXPECT_EQ(check(svix, head(signature), body, now).problem, Problem::none);
    EXPECT_TRUE(check(svix, head(signature), body, now).digest.has_value());
    EXPECT_EQ(check(svix, head(signature), body, now + 300 * us_per_second).problem, Problem::none);
    EXPECT_EQ(check(svix, head(signature), body, now + 300 * us_per_second + 1).problem, Problem::stale);
    EXPECT_EQ(check(svix, head(signature), body, now - 300 * us_per_second - 1).problem, Problem::stale);
    EXPECT_EQ(check(svix, head(signature, "1614265331"), body, now).problem, Problem::wrong);
    EXPECT_EQ(check(svix, head(signature), body + " ", now).problem, Problem::wrong);

    /* several during a rotation, other versions among them */
    EXPECT_EQ(check(svix, head("v1,bm9uc2Vuc2U= v1a,xyz " + signature), body, now).problem, Problem::none);
    EXPECT_EQ(check(svix, head("v2," + signature.substr(3)), body, now).problem, Problem::wrong);
    EXPECT_EQ(check(svix, head("v1, " + signature.substr(3)), body, now).problem, Problem::wrong);
    EXPECT_EQ(check(standard_webhooks({"whsec_bm9uc2Vuc2U=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
                    head(signature), body, now)
                  .problem,
              Problem::none)
        << "a second secret, without its prefix";

    const AuthenticationConfig specification = standard_webhooks({"whsec_plJ3nmyCDGBKInavdOK15jsl"});
    EXPECT_EQ(check(specification,
                    head_of({{"webhook-id", "msg_loFOjxBNrRLzqYUf"},
                             {"webhook-timestamp", "1731705121"},
                             {"webhook-signature", "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="}}),
                    R"({"event_type":"ping","data":{"success":true}})", at(1731705121))
                  .problem,
              Problem::none);
}

std::string hex_of(std::string_view key, std::string_view content)
{
    std::string text;
    for (const unsigned char byte : hmac_sha256(key, content)) {
        char two[3];
        snprintf(two, sizeof(two), "%02x", byte);
        text += two;
    }
    return text;
}

/* RFC 4231, test case 2 */
TEST(Authentication, TheDigestItself)
{
    EXPECT_EQ(hex_of("Jefe", "what do ya want for nothing?"),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Authentication, SchemesOfRawBodies)
{
    const std::string body = R"({"foo":"bar"})";
    const char *base64 = "36HN7juP6erwuhrmZelPH58M9xDaNrImKsDNi3u8Bww=";
    const std::string hex = hex_of("random", body);
    const auto signed_with = [&](SignatureScheme scheme, const char *header, const std::string &signature) {
        AuthenticationConfig config = config_of(AuthenticationMethod::signature, {"random"});
        config.signature = std::move(scheme);
        return check(config, head_of({{header, signature}}), body).problem;
    };
    EXPECT_EQ(signed_with(cxone_signature_scheme(), "X-CXone-Signature", hex), Problem::none);
    EXPECT_EQ(signed_with(nice_webhook_signature_scheme(), "X-Nice-Webhook-Signature", base64),
              Problem::none);
    EXPECT_EQ(signed_with(request_signature_scheme(), "X-Request-Signature", base64), Problem::none);
    EXPECT_EQ(signed_with(request_signature_scheme(), "X-Nice-Webhook-Signature", base64), Problem::missing);
}

TEST(Authentication, HexOfEitherCaseWithAPrefixAndATime)
{
    AuthenticationConfig config = config_of(AuthenticationMethod::signature, {"key"});
    config.signature = nexus_scheme();
    const auto head = [](const std::string &time, const std::string &signature) {
        return head_of({{"X-Nexus-Timestamp", time},
                        {"X-Nexus-Signature-256", signature},
                        {"X-Nexus-Delivery-Id", "d1"}});
    };
    std::string upper = hex_of("key", "1614265330.{}");
    for (char &c : upper)
        c = static_cast<char>(toupper(c));
    for (const std::string &signature : {hex_of("key", "1614265330.{}"), upper})
        EXPECT_EQ(check(config, head("1614265330", "sha256=" + signature), "{}", at(1614265330)).problem,
                  Problem::none);
    EXPECT_EQ(check(config, head("1614265330", upper), "{}", at(1614265330)).problem, Problem::wrong);
    for (const char *time : {"1614265330000", "2021-02-25T15:02:10Z"})
        EXPECT_EQ(check(config, head(time, "sha256=" + hex_of("key", std::string(time) + ".{}")), "{}",
                        at(1614265330))
                      .problem,
                  Problem::none)
            << time;
    for (const char *time : {"now", "-1614265330", "99999999999999999999999", "1614265330,1614265330"})
        EXPECT_NE(check(config, head(time, "sha256=" + hex_of("key", std::string(time) + ".{}")), "{}",
                        at(1614265330))
                      .problem,
                  Problem::none)
            << time;
}

TEST(Authentication, TheIdAndTheBodyNameADelivery)
{
    AuthenticationConfig config = raw_body(SignatureScheme::Encoding::hex, {"key"});
    config.signature.id_header = "X-Id";
    const auto digest = [&](const char *id, const std::string &body) {
        return check(config, head_of({{"X-Id", id}, {"X-Signature", hex_of("key", body)}}), body).digest;
    };
    EXPECT_EQ(digest("a", "x"), digest("a", "x"));
    EXPECT_NE(digest("a", "x"), digest("b", "x"));
    EXPECT_NE(digest("a", "x"), digest("a", "y")) << "an id that is not signed takes nobody's place";
    EXPECT_FALSE(digest("", "x").has_value());
    EXPECT_FALSE(check(config, head_of({{"X-Id", "a"}, {"X-Signature", "00"}}), "x").digest.has_value());
}

TEST(Authentication, WhatIsMissing)
{
    const AuthenticationConfig hex = raw_body(SignatureScheme::Encoding::hex, {"key"});
    EXPECT_EQ(check(hex, head_of({}), "x").problem, Problem::missing);
    EXPECT_EQ(check(hex, head_of({{"X-Signature", ""}}), "x").problem, Problem::missing);
    const AuthenticationConfig standard = standard_webhooks({"whsec_bm9uc2Vuc2U="});
    EXPECT_EQ(check(standard, head_of({{"webhook-signature", "v1,x"}, {"webhook-id", "a"}}), "x").problem,
              Problem::missing);
    EXPECT_EQ(
        check(standard, head_of({{"webhook-signature", "v1,x"}, {"webhook-timestamp", "1614265330"}}), "x")
            .problem,
        Problem::missing);
}

TEST(Authentication, Bearer)
{
    const AuthenticationConfig config = config_of(AuthenticationMethod::bearer, {"old token", "new"});
    const auto shown = [&](const char *value) {
        return check(config, head_of({{"Authorization", value}}), "x").problem;
    };
    EXPECT_EQ(shown("Bearer new"), Problem::none);
    EXPECT_EQ(shown("bearer  old token"), Problem::none);
    EXPECT_EQ(shown("Bearer ne"), Problem::wrong);
    EXPECT_EQ(shown("Bearer newer"), Problem::wrong);
    EXPECT_EQ(shown("Bearer New"), Problem::wrong);
    EXPECT_EQ(shown("Bearer"), Problem::missing);
    EXPECT_EQ(shown("Basic new"), Problem::missing);
    EXPECT_EQ(shown("new"), Problem::missing);
    EXPECT_EQ(check(config, head_of({}), "x").problem, Problem::missing);
    EXPECT_EQ(check(config, head_of({{"Authorization", "Bearer new"}, {"Authorization", "Bearer new"}}), "x")
                  .problem,
              Problem::wrong)
        << "twice";
}

TEST(Authentication, Basic)
{
    AuthenticationConfig config = config_of(AuthenticationMethod::basic, {"pass:word", "other"});
    config.user = "cxone";
    const auto shown = [&](const char *value) {
        return check(config, head_of({{"Authorization", value}}), "x").problem;
    };
    EXPECT_EQ(shown("Basic Y3hvbmU6cGFzczp3b3Jk"), Problem::none) << "cxone:pass:word";
    EXPECT_EQ(shown("basic Y3hvbmU6b3RoZXI="), Problem::none) << "cxone:other";
    EXPECT_EQ(shown("Basic Y3hvbmU6b3RoZXI"), Problem::wrong) << "without padding";
    EXPECT_EQ(shown("Basic Y3hvb m U6b3RoZXI="), Problem::wrong);
    EXPECT_EQ(shown("Basic b3RoZXI6b3RoZXI="), Problem::wrong) << "other:other";
    EXPECT_EQ(shown("Basic Y3hvbmU="), Problem::wrong) << "cxone";
    EXPECT_EQ(shown("Basic Y3hvbmU6"), Problem::wrong) << "cxone:";
    EXPECT_EQ(shown("Basic ="), Problem::wrong);
    EXPECT_EQ(shown("Basic ===="), Problem::wrong);
}

TEST(Authentication, AFixedHeader)
{
    AuthenticationConfig config = config_of(AuthenticationMethod::header, {"open sesame"});
    config.header = "X-Api-Key";
    EXPECT_EQ(check(config, head_of({{"x-api-key", "open sesame"}}), "x").problem, Problem::none);
    EXPECT_EQ(check(config, head_of({{"x-api-key", "open"}}), "x").problem, Problem::wrong);
    EXPECT_EQ(check(config, head_of({{"x-api-keys", "open sesame"}}), "x").problem, Problem::missing);
}

TEST(Authentication, WhatAConfigurationNeeds)
{
    AuthenticationConfig config = config_of(AuthenticationMethod::bearer, {});
    EXPECT_EQ(Authenticator::problem_of(config), "there is no secret");
    config.method = AuthenticationMethod::none;
    EXPECT_EQ(Authenticator::problem_of(config), "");
    config = config_of(AuthenticationMethod::header, {"s"});
    EXPECT_EQ(Authenticator::problem_of(config), "there is no name of a header");
    config = config_of(AuthenticationMethod::basic, {"s"});
    EXPECT_EQ(Authenticator::problem_of(config), "there is no user");
    config = raw_body(SignatureScheme::Encoding::hex, {"s"});
    config.signature.header = "";
    EXPECT_EQ(Authenticator::problem_of(config), "there is no name of a header for the signature");
    config = raw_body(SignatureScheme::Encoding::hex, {"s"});
    config.signature.content = "{timestamp}";
    EXPECT_EQ(Authenticator::problem_of(config), "the body is no part of what is signed");
    config.signature.content = "{timestamp}{body}";
    EXPECT_EQ(Authenticator::problem_of(config), "there is no name of a header for the signed time");
    config.signature.timestamp_header = "t";
    config.signature.content = "{id}{timestamp}{body}";
    EXPECT_EQ(Authenticator::problem_of(config), "there is no name of a header for the signed id");
    for (const char *secret : {"whsec_", "whsec_no base64", "abc", "====", "whsec_bm9uc2Vuc2U=="})
        EXPECT_EQ(Authenticator::problem_of(standard_webhooks({secret})),
                  "a secret is not base64, with or without whsec_ before it")
            << secret;
}

/* What stands for itself, and what an attacker might have put into a header to shift the borders. */
TEST(Authentication, TemplatesAreFilledOnce)
{
    AuthenticationConfig config = raw_body(SignatureScheme::Encoding::hex, {"key"});
    config.signature.id_header = "X-Id";
    config.signature.content = "{{id}}{x}{body}{";
    const auto head = head_of({{"X-Id", "{body}"}, {"X-Signature", hex_of("key", "{{body}}{x}b{")}});
    EXPECT_EQ(check(config, head, "b").problem, Problem::none);
}

} // namespace
} // namespace cxone_sync
