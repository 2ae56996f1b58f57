#include "core/pointer_meant.h"

#include "core/json_pointer.h"

namespace cxone_sync {

namespace {

constexpr std::string_view quotes = "'\"";

/* A pointer in which only a ~ is not as it has to be, or the # of a URI is before it. */
std::string with_escapes(std::string_view text)
{
    std::string pointer;

    for (std::size_t at = 0; at < text.size(); at++) {
        pointer += text[at];
        if (text[at] == '~' && (at + 1 == text.size() || (text[at + 1] != '0' && text[at + 1] != '1')))
            pointer += '0';
    }
    return pointer;
}

/* Steps of any other notation: what its separators leave. */
std::string from_steps(std::string_view text, std::string_view separators)
{
    std::string pointer;

    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(separators), text.size());
        if (end > 0)
            pointer = json_pointer_to(pointer, text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return pointer;
}

} // namespace

std::string json_pointer_meant(std::string_view text)
{
    if (text.size() > max_json_pointer_size)
        return "";
    if (text.starts_with("$") || text.starts_with("#"))
        text.remove_prefix(1);
    std::string pointer;
    if (text.starts_with("/"))
        pointer = with_escapes(text);
    else if (text.find("->") != text.npos)
        pointer = from_steps(text, std::string("->[]{}").append(quotes));
    else if (text.find('/') != text.npos)
        pointer = with_escapes("/" + std::string(text));
    else
        pointer = from_steps(text, std::string(".[]{},").append(quotes));
    return parse_json_pointer(pointer) ? pointer : "";
}

} // namespace cxone_sync
