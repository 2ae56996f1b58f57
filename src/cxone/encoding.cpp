#include "cxone/encoding.h"

#include "core/json_text.h"

#include <curl/curl.h>
#include <new>

namespace cxone_sync {

Secret percent_encoded(std::string_view text)
{
    if (text.empty())
        return Secret();

    char *encoded = curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size()));
    if (!encoded)
        throw std::bad_alloc();
    const std::size_t size = std::strlen(encoded);
    struct Release {
        char *text;
        std::size_t size;
        ~Release()
        {
            explicit_bzero(text, size);
            curl_free(text);
        }
    } const release{encoded, size};
    return Secret({encoded, size});
}

Secret json_string(std::string_view text)
{
    Secret json;

    append_json_string(json, text);
    return json;
}

} // namespace cxone_sync
