#include "http/authentication.h"

#include "core/base64.h"
#include "core/time_value.h"
#include "http/header.h"

#include <openssl/crypto.h>

namespace cxone_sync {

namespace {

constexpr std::string_view secret_prefix = "whsec_"; /* Standard Webhooks 1.0 */

/* Takes as long whatever the texts are; their lengths are no secret here. */
bool are_equal(std::string_view a, std::string_view b) noexcept
{
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/* The same for secrets, whose length is one. */
bool are_equal_secrets(std::string_view a, std::string_view b)
{
    const Digest digest_a = sha256(a);
    const Digest digest_b = sha256(b);

    return CRYPTO_memcmp(digest_a.data(), digest_b.data(), digest_a.size()) == 0;
}

std::string encoded(const Digest &digest, SignatureScheme::Encoding encoding)
{
    static constexpr char hex[] = "0123456789abcdef";
    std::string text;

    if (encoding == SignatureScheme::Encoding::base64)
        return std::string(base64(bytes_of(digest)).view());
    for (const unsigned char byte : digest) {
        text += hex[byte >> 4];
        text += hex[byte & 15];
    }
    return text;
}

/* The key that a secret of Standard Webhooks stands for. */
bool decode_secret(std::string_view secret, Secret &key)
{
    if (secret.starts_with(secret_prefix))
        secret.remove_prefix(secret_prefix.size());
    return decode_base64(secret, key) && !key.empty();
}

/* {id}, {timestamp} and {body} in a template; anything else stands for itself. */
std::string filled(std::string_view content, std::string_view id, std::string_view timestamp,
                   std::string_view body)
{
    std::string text;
    text.reserve(content.size() + id.size() + timestamp.size() + body.size());

    while (!content.empty()) {
        const std::size_t brace = std::min(content.find('{'), content.size());
        text += content.substr(0, brace);
        content.remove_prefix(brace);
        bool is_known = false;
        for (const auto &[name, value] : {std::pair<std::string_view, std::string_view>("{id}", id),
                                          {"{timestamp}", timestamp},
                                          {"{body}", body}}) {
            if (!is_known && content.starts_with(name)) {
                text += value;
                content.remove_prefix(name.size());
                is_known = true;
            }
        }
        if (!is_known && !content.empty()) {
            text += '{';
            content.remove_prefix(1);
        }
    }
    return text;
}

bool has(std::string_view content, std::string_view what) noexcept
{
    return content.find(what) != content.npos;
}

} // namespace

std::string Authenticator::problem_of(const AuthenticationConfig &config)
{
    const SignatureScheme &scheme = config.signature;
    const bool is_signature = config.method == AuthenticationMethod::signature;

    if (config.method == AuthenticationMethod::none)
        return {};
    if (config.secrets.empty())
        return "there is no secret";
    if (config.method == AuthenticationMethod::header && config.header.empty())
        return "there is no name of a header";
    if (config.method == AuthenticationMethod::basic && config.user.empty())
        return "there is no user";
    if (!is_signature)
        return {};
    if (scheme.header.empty())
        return "there is no name of a header for the signature";
    if (!has(scheme.content, "{body}"))
        return "the body is no part of what is signed";
    if (has(scheme.content, "{timestamp}") && scheme.timestamp_header.empty())
        return "there is no name of a header for the signed time";
    if (has(scheme.content, "{id}") && scheme.id_header.empty())
        return "there is no name of a header for the signed id";
    for (const Secret &secret : config.secrets) {
        Secret key;
        if (scheme.has_base64_secrets && !decode_secret(secret.view(), key))
            return "a secret is not base64, with or without whsec_ before it";
    }
    return {};
}

Authenticator::Authenticator(AuthenticationConfig config) : config_(std::move(config))
{
    if (config_.method != AuthenticationMethod::signature || !config_.signature.has_base64_secrets)
        return;
    for (Secret &secret : config_.secrets) {
        Secret key;
        if (decode_secret(secret.view(), key))
            secret = std::move(key);
    }
}

std::string_view Authenticator::challenge() const noexcept
{
    switch (config_.method) {
    case AuthenticationMethod::bearer:
        return "WWW-Authenticate: Bearer";
    case AuthenticationMethod::basic:
        return "WWW-Authenticate: Basic realm=\"cxone_sync\", charset=\"UTF-8\"";
    default:
        return "WWW-Authenticate: Signature";
    }
}

AuthenticationProblem Authenticator::check(std::string_view head, std::string_view body, Timestamp now,
                                           std::optional<Digest> &digest) const
{
    if (config_.method == AuthenticationMethod::signature)
        return check_signature(head, body, now, digest);
    return check_head(head, now);
}

AuthenticationProblem Authenticator::check_head(std::string_view head, Timestamp now) const
{
    SignedHead unused;

    switch (config_.method) {
    case AuthenticationMethod::none:
        return AuthenticationProblem::none;
    case AuthenticationMethod::signature:
        return read_signed_head(head, now, unused);
    case AuthenticationMethod::bearer:
        return check_authorization(head, "bearer");
    case AuthenticationMethod::basic:
        return check_authorization(head, "basic");
    case AuthenticationMethod::header:
        return check_secret(header_value(head, config_.header));
    }
    return AuthenticationProblem::wrong;
}

AuthenticationProblem Authenticator::check_authorization(std::string_view head, std::string_view scheme) const
{
    const std::string value = header_value(head, "authorization");
    const std::size_t blank = std::min(value.find(' '), value.size());
    std::string_view credentials = value;

    if (value.empty() || !equal_ignoring_case(credentials.substr(0, blank), scheme))
        return AuthenticationProblem::missing;
    credentials = trimmed(credentials.substr(blank));
    if (config_.method == AuthenticationMethod::bearer)
        return check_secret(credentials);

    Secret user_and_password;
    if (!decode_base64(credentials, user_and_password))
        return AuthenticationProblem::wrong;
    const std::string_view decoded = user_and_password.view();
    const std::size_t colon = std::min(decoded.find(':'), decoded.size());
    const bool is_user = are_equal_secrets(decoded.substr(0, colon), config_.user);
    const std::string_view password = decoded.substr(std::min(colon + 1, decoded.size()));
    const bool is_password = check_secret(password) == AuthenticationProblem::none;
    return is_user && is_password ? AuthenticationProblem::none : AuthenticationProblem::wrong;
}

/* All secrets are looked at, whichever it is. */
AuthenticationProblem Authenticator::check_secret(std::string_view shown) const
{
    bool is_right = false;

    if (shown.empty())
        return AuthenticationProblem::missing;
    for (const Secret &secret : config_.secrets)
        is_right |= are_equal_secrets(shown, secret.view());
    return is_right ? AuthenticationProblem::none : AuthenticationProblem::wrong;
}

AuthenticationProblem Authenticator::read_signed_head(std::string_view head, Timestamp now,
                                                      SignedHead &read) const
{
    const SignatureScheme &scheme = config_.signature;
    const bool has_time = has(scheme.content, "{timestamp}"); /* one that is not signed proves nothing */
    Timestamp time = 0;

    read.signatures = header_value(head, scheme.header);
    if (!scheme.timestamp_header.empty())
        read.timestamp = header_value(head, scheme.timestamp_header);
    if (!scheme.id_header.empty())
        read.id = header_value(head, scheme.id_header);
    if (read.signatures.empty() || (has_time && read.timestamp.empty()) ||
        (has(scheme.content, "{id}") && read.id.empty()))
        return AuthenticationProblem::missing;
    if (!has_time)
        return AuthenticationProblem::none;
    if (read_time(JsonKind::string, read.timestamp, read.timestamp, TimeKind::instant, nullptr, time) !=
        nullptr)
        return AuthenticationProblem::wrong;
    return time < now - config_.tolerance_us || time > now + config_.tolerance_us
               ? AuthenticationProblem::stale
               : AuthenticationProblem::none;
}

AuthenticationProblem Authenticator::check_signature(std::string_view head, std::string_view body,
                                                     Timestamp now, std::optional<Digest> &digest) const
{
    SignedHead read;

    if (const AuthenticationProblem problem = read_signed_head(head, now, read);
        problem != AuthenticationProblem::none)
        return problem;
    if (!is_signed(read.signatures, filled(config_.signature.content, read.id, read.timestamp, body)))
        return AuthenticationProblem::wrong;
    if (!read.id.empty()) {
        const Digest of_body = sha256(body);
        digest = sha256(read.id + '\0' + std::string(bytes_of(of_body)));
    }
    return AuthenticationProblem::none;
}

/* Every signature is compared with every secret's, whichever it is. */
bool Authenticator::is_signed(std::string_view signatures, std::string_view content) const
{
    const SignatureScheme &scheme = config_.signature;
    const bool is_hex = scheme.encoding == SignatureScheme::Encoding::hex;
    bool is_right = false;

    std::vector<std::string> right;
    for (const Secret &secret : config_.secrets)
        right.push_back(encoded(hmac_sha256(secret.view(), content), scheme.encoding));
    do {
        const std::size_t end =
            scheme.is_list ? std::min(signatures.find(' '), signatures.size()) : signatures.size();
        std::string_view one = signatures.substr(0, end);
        signatures.remove_prefix(std::min(end + 1, signatures.size()));
        if (!one.starts_with(scheme.prefix))
            continue;
        one.remove_prefix(scheme.prefix.size());
        const std::string shown = is_hex ? ascii_lower(one) : std::string(one);
        for (const std::string &expected : right)
            is_right |= are_equal(shown, expected);
    } while (!signatures.empty());
    return is_right;
}

} // namespace cxone_sync
