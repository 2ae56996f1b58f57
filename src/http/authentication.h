#pragma once

#include "core/digest.h"
#include "core/secret.h"
#include "core/timestamp.h"
#include "http/signature_scheme.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* How senders prove who they are. */
enum class AuthenticationMethod : std::uint8_t { none, signature, bearer, basic, header };

struct AuthenticationConfig {
    AuthenticationMethod method = AuthenticationMethod::none;
    SignatureScheme signature;
    std::string header;          /* of the method header */
    std::string user;            /* of the method basic */
    std::vector<Secret> secrets; /* any of them will do: so they can be changed without a gap */
    std::int64_t tolerance_us = 300 * us_per_second; /* how far a signed time may be from now */
};

/* What is wrong with a request; `stale`: its signed time is too far from now, whatever its signature. */
enum class AuthenticationProblem : std::uint8_t { none, missing, wrong, stale };

class Authenticator {
public:
    /* Of a method other than none with at least one secret; throws std::bad_alloc. */
    explicit Authenticator(AuthenticationConfig config);

    /* What is wrong with a configuration, or an empty string. */
    static std::string problem_of(const AuthenticationConfig &config);

    /*
     * Looks at a request's head and its body as it came. `digest` is set if the scheme gives deliveries an
     * id: it is of that and of the body, so that nobody who may not sign can take another one's place. How
     * long it takes tells nothing about the secrets.
     */
    AuthenticationProblem check(std::string_view head, std::string_view body, Timestamp now,
                                std::optional<Digest> &digest) const;
    /*
     * What the head alone tells, so that strangers need not be listened to until the end of a body: the same
     * problem, or none if only the body will tell.
     */
    AuthenticationProblem check_head(std::string_view head, Timestamp now) const;
    std::int64_t tolerance_us() const noexcept { return config_.tolerance_us; }
    /* The value of WWW-Authenticate (RFC 9110 section 11.6.1). */
    std::string_view challenge() const noexcept;

private:
    /* The headers of a signature. */
    struct SignedHead {
        std::string signatures;
        std::string timestamp;
        std::string id;
    };

    AuthenticationProblem read_signed_head(std::string_view head, Timestamp now, SignedHead &read) const;
    AuthenticationProblem check_signature(std::string_view head, std::string_view body, Timestamp now,
                                          std::optional<Digest> &digest) const;
    AuthenticationProblem check_secret(std::string_view shown) const;
    AuthenticationProblem check_authorization(std::string_view head, std::string_view scheme) const;
    bool is_signed(std::string_view signatures, std::string_view content) const;

    AuthenticationConfig config_;
};

} // namespace cxone_sync
