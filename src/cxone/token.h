#pragma once

#include "cxone/api_settings.h"
#include "cxone/http_client.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace cxone_sync {

/* The call that asks for a token in the way that the settings say. */
HttpCall token_call(const ApiSettings &settings);

struct Token {
    Secret text;
    std::int64_t lifetime_s = 0;
};

/* Reads the body of a reply of status 200. Returns what is wrong with it, or an empty string. */
std::string read_token(std::string_view body, const ApiSettings &settings, Token &token);

} // namespace cxone_sync
