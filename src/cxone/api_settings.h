#pragma once

#include "core/secret.h"

#include <string>
#include <vector>

namespace cxone_sync {

/* How a token is asked for. */
enum class Grant : int {
    client_credentials, /* RFC 6749 section 4.4 */
    password,           /* RFC 6749 section 4.3 */
    access_key,         /* CXone's own: the id and secret of an access key, as JSON */
};
enum class ClientAuthentication : int { body, basic }; /* RFC 6749 section 2.3.1 */
enum class TokenRequestFormat : int { form, json };

/* All that one check of the registration needs to know; wiped when the check is over. */
struct ApiSettings {
    std::string token_url;
    std::string data_actions_url;
    std::string ca_file; /* certificates to trust; empty: those of the system */
    long token_timeout_ms = 10'000;
    long api_timeout_ms = 15'000;

    Grant grant = Grant::client_credentials;
    ClientAuthentication client_authentication = ClientAuthentication::body;
    TokenRequestFormat token_format = TokenRequestFormat::form;
    std::string client_id;
    Secret client_secret;
    std::string username;
    Secret password;
    std::string scope;                     /* empty: none is asked for */
    std::vector<std::string> token_fields; /* of the reply, the first that is there counts */
    std::vector<std::string> expiry_fields;
    std::vector<std::string> list_fields; /* of the reply with the Data Actions */

    /* the Data Action that is to be there */
    std::string name;
    std::string description;
    std::string endpoint_url;
    bool remove_duplicates = false;
};

} // namespace cxone_sync
