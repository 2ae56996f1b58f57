#include "cxone/token.h"

#include "core/base64.h"
#include "cxone/contract.h"
#include "cxone/encoding.h"
#include "cxone/json_value.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace cxone_sync {

namespace {

using Parameters = std::vector<std::pair<std::string_view, std::string_view>>;

Parameters parameters_of(const ApiSettings &settings)
{
    Parameters parameters;

    if (settings.grant == Grant::access_key)
        return {{"accessKeyId", settings.client_id}, {"accessKeySecret", settings.client_secret.view()}};
    if (settings.grant == Grant::password)
        parameters = {{"grant_type", "password"},
                      {"username", settings.username},
                      {"password", settings.password.view()}};
    else
        parameters = {{"grant_type", "client_credentials"}};
    if (settings.client_authentication == ClientAuthentication::body) {
        parameters.emplace_back("client_id", settings.client_id);
        parameters.emplace_back("client_secret", settings.client_secret.view());
    }
    if (!settings.scope.empty())
        parameters.emplace_back("scope", settings.scope);
    return parameters;
}

Secret as_form(const Parameters &parameters)
{
    Secret form;

    for (const auto &[name, value] : parameters) {
        if (!form.empty())
            form += "&";
        ((form += name) += "=") += percent_encoded(value).view();
    }
    return form;
}

Secret as_json(const Parameters &parameters)
{
    Secret json("{");

    for (const auto &[name, value] : parameters) {
        if (json.view().size() > 1)
            json += ",";
        ((json += json_string(name).view()) += ":") += json_string(value).view();
    }
    return json += "}";
}

/* Id and secret are encoded as in a form before they are joined (RFC 6749 section 2.3.1). */
Secret basic_header(const ApiSettings &settings)
{
    Secret pair = percent_encoded(settings.client_id);
    (pair += ":") += percent_encoded(settings.client_secret.view()).view();

    Secret header("Authorization: Basic ");
    return header += base64(pair.view()).view();
}

std::string_view first_text(const JsonValue &value, const std::vector<std::string> &names)
{
    for (const std::string &name : names) {
        if (const std::string_view text = value.text_of(name); !text.empty())
            return text;
    }
    return {};
}

/* A token goes into a header, as it is. */
bool is_header_text(std::string_view text)
{
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

/* Seconds, as a number or its text; the default where there is no such number. */
std::int64_t lifetime_of(std::string_view text)
{
    double seconds = 0;

    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    return error == std::errc() && seconds >= 1
               ? static_cast<std::int64_t>(
                     std::min(seconds, static_cast<double>(contract::max_token_lifetime_s)))
               : contract::token_lifetime_s;
}

} // namespace

HttpCall token_call(const ApiSettings &settings)
{
    const bool is_json =
        settings.grant == Grant::access_key || settings.token_format == TokenRequestFormat::json;
    HttpCall call;

    call.method = "POST";
    call.url = settings.token_url;
    call.ca_file = settings.ca_file;
    call.timeout_ms = settings.token_timeout_ms;
    call.body = is_json ? as_json(parameters_of(settings)) : as_form(parameters_of(settings));
    call.headers.emplace_back(is_json ? "Content-Type: application/json"
                                      : "Content-Type: application/x-www-form-urlencoded");
    if (settings.grant != Grant::access_key && settings.client_authentication == ClientAuthentication::basic)
        call.headers.push_back(basic_header(settings));
    return call;
}

std::string read_token(std::string_view body, const ApiSettings &settings, Token &token)
{
    std::string problem;
    std::optional<JsonValue> reply = parse_json_value(body, problem);

    if (!reply)
        return problem;
    if (!reply->is_object())
        return "the reply is no JSON object";
    const std::string_view text = first_text(*reply, settings.token_fields);
    if (text.empty())
        return "the reply has no text at " + quoted_names(settings.token_fields);
    if (text.size() > contract::max_token_size)
        return "the token is larger than " + std::to_string(contract::max_token_size) + " bytes";
    if (!is_header_text(text))
        return "the token has characters that no header may have";
    token.text = Secret(text);
    token.lifetime_s = lifetime_of(first_text(*reply, settings.expiry_fields));
    reply->wipe();
    return {};
}

} // namespace cxone_sync
