#include "db/registration_settings.h"

#include "cxone/contract.h"
#include "cxone/url.h"

#include <algorithm>

#include "db/define_setting.h"
#include "db/secret_setting.h"

namespace cxone_sync::settings {

namespace {

char *token_url;
char *data_actions_path;
char *api_ca_file;
int token_grant;
int token_authentication;
int token_format;
char *client_id;
char *client_secret_file;
char *api_username;
char *api_password_file;
char *scope;
char *token_fields;
char *expiry_fields;
char *list_fields;
char *data_action_description;
bool remove_duplicates;
int token_timeout_ms;
int api_timeout_ms;

SecretSetting client_secret;
SecretSetting api_password;

const config_enum_entry grants[] = {
    {"client_credentials", static_cast<int>(Grant::client_credentials), false},
    {"password", static_cast<int>(Grant::password), false},
    {"access_key", static_cast<int>(Grant::access_key), false},
    {nullptr, 0, false}};
const config_enum_entry authentications[] = {{"body", static_cast<int>(ClientAuthentication::body), false},
                                             {"basic", static_cast<int>(ClientAuthentication::basic), false},
                                             {nullptr, 0, false}};
const config_enum_entry formats[] = {{"form", static_cast<int>(TokenRequestFormat::form), false},
                                     {"json", static_cast<int>(TokenRequestFormat::json), false},
                                     {nullptr, 0, false}};

/* ---- checks ---- */

/* Calls C++ that may throw from a check hook, which runs in the postmaster as well. */
template <typename Check> bool check_text(const char *value, const char *example, Check check)
{
    char problem[160] = "Out of memory.";

    try {
        const std::string text = check(value);
        if (text.empty())
            return true;
        snprintf(problem, sizeof(problem), "%s", text.c_str());
    } catch (...) {
    }
    GUC_check_errdetail("\"%s\" cannot be used: %s.", value, problem);
    GUC_check_errhint("An example is %s.", example);
    return false;
}

bool check_secret_url(char **value, void **, GucSource)
{
    return **value == '\0' || check_text(*value, "https://api.example.com", [](const std::string &url) {
        return url.find('?') == std::string::npos ? problem_of_secret_url(url)
                                                  : std::string("a query has no place in it");
    });
}

bool check_endpoint_url(char **value, void **, GucSource)
{
    return **value == '\0' ||
           check_text(*value, "https://sync.example.com/webhook", [](const std::string &url) {
               return url.size() <= max_endpoint_url ? problem_of_endpoint_url(url)
                                                     : std::string("it is too long");
           });
}

bool check_path(char **value, void **, GucSource)
{
    return check_text(*value, contract::data_actions_path, [](const std::string &path) {
        return path.starts_with('/') && path.find_first_of("?# \t") == std::string::npos
                   ? std::string()
                   : std::string("it is no absolute path");
    });
}

bool check_name(char **value, void **, GucSource)
{
    return check_text(*value, contract::data_action_name, [](const std::string &name) {
        return name.empty()                         ? std::string("a name is needed")
               : name.size() > max_data_action_name ? std::string("it is too long")
                                                    : std::string();
    });
}

std::vector<std::string> names_in(const std::string &list)
{
    std::vector<std::string> names;

    for (std::size_t begin = 0; begin <= list.size();) {
        const std::size_t end = std::min(list.find(',', begin), list.size());
        const std::size_t first = list.find_first_not_of(' ', begin);
        if (first < end)
            names.push_back(list.substr(first, list.find_last_not_of(' ', end - 1) - first + 1));
        begin = end + 1;
    }
    return names;
}

bool check_names(char **value, void **, GucSource)
{
    return check_text(*value, contract::token_fields, [](const std::string &list) {
        return names_in(list).empty() ? std::string("a name is needed") : std::string();
    });
}

/* ---- definitions ---- */

void define_service()
{
    define_string("cxone_sync.api_url", "Base URL of CXone's API; empty: nothing is registered.", &api_url,
                  "", check_secret_url);
    define_string("cxone_sync.data_actions_path", "Path of the Data Actions, below cxone_sync.api_url.",
                  &data_actions_path, contract::data_actions_path, check_path);
    define_string("cxone_sync.api_ca_file",
                  "File of certificates to trust instead of the system's, in PEM format.", &api_ca_file, "");
    define_string("cxone_sync.list_fields",
                  "Members of the reply that may hold the list of Data Actions, by preference.", &list_fields,
                  contract::list_fields, check_names);
    define_int("cxone_sync.api_timeout", "Longest time of a call to the API.", &api_timeout_ms,
               contract::api_timeout_ms, 100, 600000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("cxone_sync.max_retries",
               "How often a check that has failed is repeated before it waits for "
               "cxone_sync.registration_interval.",
               &max_retries, contract::max_retries, 0, 100, PGC_SIGHUP, 0);
    define_int("cxone_sync.registration_interval", "Time between two checks of the registration.",
               &registration_interval_s, 600, 1, 86400, PGC_SIGHUP, GUC_UNIT_S);
}

void define_token()
{
    define_string("cxone_sync.token_url",
                  "URL that gives tokens; empty: /oauth2/token below cxone_sync.api_url.", &token_url, "",
                  check_secret_url);
    define_enum("cxone_sync.token_grant", "What a token is asked for with.", &token_grant, grants);
    define_enum("cxone_sync.token_authentication",
                "Where the client's id and secret stand in a request for a token.", &token_authentication,
                authentications);
    define_enum("cxone_sync.token_format", "Format of a request for a token.", &token_format, formats);
    define_string("cxone_sync.scope", "Scope that a token is asked for; empty: none.", &scope,
                  contract::scope);
    define_string("cxone_sync.token_fields", "Members of the reply that may hold the token, by preference.",
                  &token_fields, contract::token_fields, check_names);
    define_string("cxone_sync.expiry_fields", "Members of the reply that may hold its lifetime in seconds.",
                  &expiry_fields, contract::expiry_fields, check_names);
    define_int("cxone_sync.token_timeout", "Longest time of a request for a token.", &token_timeout_ms,
               contract::token_timeout_ms, 100, 600000, PGC_SIGHUP, GUC_UNIT_MS);
    define_string("cxone_sync.client_id", "Id of the client, or of the access key.", &client_id, "");
    define_secret<client_secret>("cxone_sync.client_secret", "Secret of the client, or of the access key.");
    define_string("cxone_sync.client_secret_file", "File with that secret.", &client_secret_file, "", nullptr,
                  GUC_SUPERUSER_ONLY);
    define_string("cxone_sync.api_username", "User's name for the grant password.", &api_username, "");
    define_secret<api_password>("cxone_sync.api_password", "User's password for the grant password.");
    define_string("cxone_sync.api_password_file", "File with that password.", &api_password_file, "", nullptr,
                  GUC_SUPERUSER_ONLY);
}

void define_data_action()
{
    define_string("cxone_sync.endpoint_url", "URL that CXone sends its webhooks to.", &endpoint_url, "",
                  check_endpoint_url);
    define_string("cxone_sync.data_action_name", "Name of the Data Action.", &data_action_name,
                  contract::data_action_name, check_name);
    define_string("cxone_sync.data_action_description", "Description of the Data Action.",
                  &data_action_description, "Sends contact records to PostgreSQL.");
    DefineCustomBoolVariable("cxone_sync.remove_duplicates",
                             "Removes further Data Actions of the same name and endpoint.", nullptr,
                             &remove_duplicates, false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

} // namespace

void define_registration_settings()
{
    define_service();
    define_token();
    define_data_action();
}

bool registration_is_set_up() noexcept
{
    return *api_url != '\0';
}

std::string load_api_settings(ApiSettings &api, std::string &hint)
{
    std::string base = api_url;
    while (base.ends_with('/'))
        base.pop_back();
    api.token_url = *token_url ? std::string(token_url) : base + contract::token_path;
    api.data_actions_url = base + data_actions_path;
    api.ca_file = api_ca_file;
    api.token_timeout_ms = token_timeout_ms;
    api.api_timeout_ms = api_timeout_ms;
    api.grant = static_cast<Grant>(token_grant);
    api.client_authentication = static_cast<ClientAuthentication>(token_authentication);
    api.token_format = static_cast<TokenRequestFormat>(token_format);
    api.client_id = client_id;
    api.username = api_username;
    api.scope = scope;
    api.token_fields = names_in(token_fields);
    api.expiry_fields = names_in(expiry_fields);
    api.list_fields = names_in(list_fields);
    api.name = data_action_name;
    api.description = data_action_description;
    api.endpoint_url = endpoint_url;
    api.remove_duplicates = remove_duplicates;

    if (api.endpoint_url.empty()) {
        hint =
            "It is the URL under which CXone reaches the endpoint, such as https://sync.example.com/webhook.";
        return "cxone_sync.endpoint_url is not set";
    }
    if (api.client_id.empty())
        return "cxone_sync.client_id is not set";
    std::string problem =
        load_secret("cxone_sync.client_secret", client_secret_file, client_secret, api.client_secret, hint);
    if (!problem.empty() || api.grant != Grant::password)
        return problem;
    if (api.username.empty())
        return "cxone_sync.api_username is not set";
    return load_secret("cxone_sync.api_password", api_password_file, api_password, api.password, hint);
}

} // namespace cxone_sync::settings
