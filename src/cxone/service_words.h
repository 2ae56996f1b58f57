#pragma once

#include "cxone/http_client.h"

#include <string>
#include <string_view>

namespace cxone_sync {

/*
 * `text` as one line that may be shown: valid UTF-8 without control characters, of at most `max_size` bytes.
 */
std::string one_line(std::string_view text, std::size_t max_size);

/*
 * What a reply says of itself when it refuses: the texts of {error, error_description}, {error,
 * errorDescription}, {errors: [{message}]} or {message}, the title of an HTML page, or the start of the body.
 * Empty if there is no body. Not bounded and with everything in it that the service chose to send: secrets
 * are to be taken out first, one_line() comes after.
 */
std::string service_words(const HttpResult &reply);

} // namespace cxone_sync
