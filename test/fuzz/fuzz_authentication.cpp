/*
 * The headers that a stranger's request is judged by: any head that the framing lets pass, and any body.
 * Whoever does not know the secret must not get in, and nothing may crash.
 */
#include "http/admin.h"
#include "http/authentication.h"
#include "http/framing.h"
#include "http/header.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

using namespace cxone_sync;

constexpr const char *secret = "bm9ib2R5IGd1ZXNzZXMgdGhpcyBpbiBhIGh1bmRyZWQgeWVhcnM=";

Authenticator authenticator_of(AuthenticationMethod method, SignatureScheme scheme = {})
{
    AuthenticationConfig config;
    config.method = method;
    config.signature = std::move(scheme);
    config.header = "X-Api-Key";
    config.user = "cxone";
    config.secrets.emplace_back(secret);
    if (!Authenticator::problem_of(config).empty())
        std::abort();
    return Authenticator(std::move(config));
}

std::vector<Authenticator> all_kinds()
{
    using enum SignatureScheme::Encoding;
    std::vector<Authenticator> all;

    all.push_back(authenticator_of(AuthenticationMethod::bearer));
    all.push_back(authenticator_of(AuthenticationMethod::basic));
    all.push_back(authenticator_of(AuthenticationMethod::header));
    all.push_back(
        authenticator_of(AuthenticationMethod::signature, {.header = "X-Signature", .encoding = hex}));
    all.push_back(authenticator_of(AuthenticationMethod::signature, {.header = "X-Signature",
                                                                     .encoding = base64,
                                                                     .prefix = "v1,",
                                                                     .is_list = true,
                                                                     .content = "{id}.{timestamp}.{body}",
                                                                     .timestamp_header = "X-Timestamp",
                                                                     .id_header = "X-Id",
                                                                     .has_base64_secrets = true}));
    return all;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static const std::vector<Authenticator> authenticators = all_kinds();
    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget(used);
    MemoryShare memory(budget);
    Framing framing({});
    std::string input = "POST /webhook HTTP/1.1\r\nHost: h\r\n";

    budget.set_limit(1 << 20);
    input.append(reinterpret_cast<const char *>(data), size);
    if (framing.feed(input, memory) != Framing::State::complete)
        return 0;
    for (const Authenticator &authenticator : authenticators) {
        std::optional<Digest> digest;
        if (authenticator.check(framing.head(), framing.body(), 0, digest) == AuthenticationProblem::none ||
            digest) {
            std::fputs("somebody got in\n", stderr);
            std::abort();
        }
    }
    (void)accepted_format(header_value(framing.head(), "accept"));
    return 0;
}
