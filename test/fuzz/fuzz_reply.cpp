/* What the service answers: tokens, lists, Data Actions, errors, references to pages. The first byte chooses.
 */

#include "core/utf8.h"
#include "cxone/data_action.h"
#include "cxone/redactor.h"
#include "cxone/service_words.h"
#include "cxone/token.h"
#include "cxone/url.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace cxone_sync;

constexpr std::string_view secret = "s+c&%/r<\"\\=";

void require(bool condition, const char *what, std::string_view text)
{
    if (condition)
        return;
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
}

void token(std::string_view body)
{
    ApiSettings settings;
    Token token;

    settings.token_fields = {"access_token", "token"};
    settings.expiry_fields = {"expires_in"};
    if (!read_token(body, settings, token).empty())
        return;
    require(!token.text.empty(), "a token without text", body);
    require(token.lifetime_s >= 1 && token.lifetime_s <= 86400, "a lifetime out of its bounds", body);
    for (const char c : token.text.view())
        require(c > ' ' && c < 0x7F, "a token that no header may have", body);
}

void list(std::string_view body)
{
    ApiSettings settings;
    std::vector<DataAction> actions;
    std::string next;

    settings.name = "n";
    settings.endpoint_url = "https://h/w";
    if (!read_data_actions(body, {"items", "data"}, actions, next).empty())
        return;
    for (const DataAction &action : actions)
        require(action.id.find_first_not_of('.') != std::string::npos, "an id that leads elsewhere", body);
    const RegistrationPlan plan = plan_registration(actions, settings, {});
    require(plan.duplicates.size() + plan.others <= actions.size(), "more than there are", body);
    std::reverse(actions.begin(), actions.end());
    require(plan_registration(actions, settings, {}).ours.id == plan.ours.id, "the order decides", body);
}

void created(std::string_view body)
{
    const std::string id = read_created_id(body);

    require(id.empty() || id.find_first_not_of('.') != std::string::npos, "an id that leads elsewhere", body);
}

void error(std::string_view body)
{
    HttpResult reply;
    Redactor redactor;

    reply.body = body;
    redactor.hide(secret);
    const std::string words = redactor(service_words(reply));
    require(words.find(secret) == std::string::npos, "a secret is shown", words);
    for (const std::size_t size : {0u, 1u, 3u, 20u, 500u}) {
        const std::string line = one_line(words, size);
        require(line.size() <= size, "too long", line);
        require(is_valid_utf8(line), "no UTF-8", line);
        for (const char c : line)
            require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F, "a control character", line);
    }
}

/* However it is written, it is found. */
void hidden(std::string_view choices)
{
    std::string text;
    Redactor redactor;

    redactor.hide(secret);
    for (std::size_t i = 0; i < secret.size(); i++) {
        const auto code = static_cast<unsigned char>(secret[i]);
        char written[16];
        switch (i < choices.size() ? choices[i] & 7 : 0) {
        case 1:
            std::snprintf(written, sizeof(written), "%%%02X", code);
            break;
        case 2:
            std::snprintf(written, sizeof(written), "%%%02x", code);
            break;
        case 3:
            std::snprintf(written, sizeof(written), "\\u%04x", code);
            break;
        case 4:
            std::snprintf(written, sizeof(written), "&#%d;", code);
            break;
        case 5:
            std::snprintf(written, sizeof(written), "&#x%X;", code);
            break;
        default:
            std::snprintf(written, sizeof(written), "%c", code);
        }
        text += written;
    }
    require(redactor("<" + text + ">") == "<***>", "a secret is not found", text);
}

void reference(std::string_view text)
{
    const std::string base = "https://host.example:8443/api/list?page=1";
    const std::string url = resolved_at_origin(base, std::string(text));

    if (!url.empty())
        require(url.starts_with("https://host.example:8443/"), "a reference leads elsewhere", url);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view rest(reinterpret_cast<const char *>(data) + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        token(rest);
        break;
    case 1:
        list(rest);
        break;
    case 2:
        created(rest);
        break;
    case 3:
        error(rest);
        break;
    case 4:
        hidden(rest);
        break;
    default:
        reference(rest);
    }
    return 0;
}
