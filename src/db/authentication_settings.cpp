#include "db/authentication_settings.h"

#include "core/ascii.h"

#include <algorithm>
#include <array>

#include "db/define_setting.h"
#include "db/secret_setting.h"

namespace cxone_sync::settings {

namespace {

const config_enum_entry encodings[] = {{"hex", static_cast<int>(SignatureScheme::Encoding::hex), false},
                                       {"base64", static_cast<int>(SignatureScheme::Encoding::base64), false},
                                       {nullptr, 0, false}};

int authentication;
SecretSetting webhook_secret;
char *webhook_secret_file;
char *authentication_header_name;
char *authentication_user;
char *signature_header;
int signature_encoding;
char *signature_prefix;
char *signed_content;
char *timestamp_header;
char *id_header;
int signature_tolerance_s;

/* Empty: none. */
bool check_header_name(char **value, void **, GucSource)
{
    const std::string_view name = *value;

    if (std::all_of(name.begin(), name.end(), is_token_char))
        return true;
    GUC_check_errdetail("\"%s\" is not the name of a header.", *value);
    return false;
}

bool check_signed_content(char **value, void **, GucSource)
{
    if (strstr(*value, "{body}"))
        return true;
    GUC_check_errdetail("\"%s\" has no {body} in it.", *value);
    GUC_check_errhint("An example is {timestamp}.{body}.");
    return false;
}

SignatureScheme custom_scheme()
{
    return {.header = signature_header,
            .encoding = static_cast<SignatureScheme::Encoding>(signature_encoding),
            .prefix = signature_prefix,
            .content = signed_content,
            .timestamp_header = timestamp_header,
            .id_header = id_header};
}

/* The methods, and the signatures that are known (CXONE.md, Delivery). The setting is a place in it. */
constexpr struct {
    const char *name;
    AuthenticationMethod method;
    SignatureScheme (*scheme)();
} known[] = {{"none", AuthenticationMethod::none, nullptr},
             {"bearer", AuthenticationMethod::bearer, nullptr},
             {"basic", AuthenticationMethod::basic, nullptr},
             {"header", AuthenticationMethod::header, nullptr},
             {"standard_webhooks", AuthenticationMethod::signature, standard_webhooks_scheme},
             {"nexus", AuthenticationMethod::signature, nexus_scheme},
             {"cxone_signature", AuthenticationMethod::signature, cxone_signature_scheme},
             {"nice_webhook_signature", AuthenticationMethod::signature, nice_webhook_signature_scheme},
             {"request_signature", AuthenticationMethod::signature, request_signature_scheme},
             {"custom", AuthenticationMethod::signature, custom_scheme}};

/* The last one ends the list. */
constexpr auto authentications = [] {
    std::array<config_enum_entry, lengthof(known) + 1> entries = {};

    for (std::size_t i = 0; i < lengthof(known); i++)
        entries[i] = {known[i].name, static_cast<int>(i), false};
    return entries;
}();

/* One on each line: the first is the one in use, further ones are going out of use or coming into it. */
void add_secrets(const Secret &lines, std::vector<Secret> &secrets)
{
    std::string_view rest = lines.view();

    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = trimmed(rest.substr(0, end - (end > 0 && rest[end - 1] == '\r')));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (!line.empty())
            secrets.emplace_back(line);
    }
}

} // namespace

void define_authentication_settings()
{
    define_enum("cxone_sync.authentication", "How senders prove who they are.", &authentication,
                authentications.data());
    define_secret<webhook_secret>("cxone_sync.webhook_secret",
                                  "What senders sign with, or show: key, token, password or value.");
    define_string("cxone_sync.webhook_secret_file", "File with such secrets, one on each line.",
                  &webhook_secret_file, "", nullptr, GUC_SUPERUSER_ONLY);
    define_string("cxone_sync.authentication_header",
                  "Header whose value is the secret, for the authentication header.",
                  &authentication_header_name, "X-Api-Key", check_header_name);
    define_string("cxone_sync.authentication_user", "User's name for the authentication basic.",
                  &authentication_user, "");
    define_int("cxone_sync.signature_tolerance", "How far a signed time may be from now.",
               &signature_tolerance_s, 300, 1, 86400, PGC_SIGHUP, GUC_UNIT_S);
    define_string("cxone_sync.signature_header", "Header with a custom signature.", &signature_header, "",
                  check_header_name);
    define_enum("cxone_sync.signature_encoding", "How a custom signature is written.", &signature_encoding,
                encodings);
    define_string("cxone_sync.signature_prefix", "What a custom signature begins with.", &signature_prefix,
                  "");
    define_string("cxone_sync.signed_content",
                  "What is signed, with {body}, {timestamp} and {id} in it, for a custom signature.",
                  &signed_content, "{body}", check_signed_content);
    define_string("cxone_sync.timestamp_header", "Header with the time of a custom signature.",
                  &timestamp_header, "", check_header_name);
    define_string("cxone_sync.id_header", "Header with the id of a delivery, for a custom signature.",
                  &id_header, "", check_header_name);
}

std::string load_authentication(AuthenticationConfig &config, std::string &hint)
{
    Secret secrets;

    config.method = known[authentication].method;
    if (config.method == AuthenticationMethod::none)
        return {};
    if (known[authentication].scheme != nullptr)
        config.signature = known[authentication].scheme();
    config.header = authentication_header_name;
    config.user = authentication_user;
    config.tolerance_us = signature_tolerance_s * us_per_second;
    std::string problem =
        load_secret("cxone_sync.webhook_secret", webhook_secret_file, webhook_secret, secrets, hint);
    if (!problem.empty())
        return problem;
    add_secrets(secrets, config.secrets);
    problem = Authenticator::problem_of(config);
    if (!problem.empty())
        hint = "See cxone_sync.authentication and the settings it needs.";
    return problem.empty() ? problem : "cxone_sync.authentication: " + problem;
}

} // namespace cxone_sync::settings
