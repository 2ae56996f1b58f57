#include "core/json_pointer.h"

#include "core/json_text.h"

namespace cxone_sync {

std::optional<std::vector<std::string>> parse_json_pointer(std::string_view text)
{
    std::vector<std::string> tokens;
    if (text.size() > max_json_pointer_size)
        return std::nullopt;
    for (std::size_t at = 0; at < text.size(); at++) {
        if (text[at] == '/' && tokens.size() < max_json_pointer_tokens)
            tokens.emplace_back();
        else if (text[at] == '/')
            return std::nullopt;
        else if (tokens.empty())
            return std::nullopt;
        else if (text[at] != '~')
            tokens.back() += text[at];
        else if (at + 1 < text.size() && (text[at + 1] == '0' || text[at + 1] == '1'))
            tokens.back() += text[++at] == '0' ? '~' : '/';
        else
            return std::nullopt;
    }
    return tokens;
}

std::string json_pointer_to(std::string_view pointer, std::string_view token)
{
    std::string text(pointer);
    text += '/';
    for (char c : token) {
        if (c == '~')
            text += "~0";
        else if (c == '/')
            text += "~1";
        else
            text += c;
    }
    return text;
}

std::string json_at_pointer(std::string_view pointer, std::string_view json)
{
    const std::vector<std::string> tokens = parse_json_pointer(pointer).value_or(std::vector<std::string>());
    std::string text;
    for (const std::string &token : tokens)
        text += "{" + json_quoted(token) + ":";
    text += json;
    return text.append(tokens.size(), '}');
}

std::string json_pointer_shown(const std::vector<std::string> &tokens)
{
    std::string text;
    for (const std::string &token : tokens)
        text = json_pointer_to(text, token);
    return "\"" + (tokens.size() == 1 ? tokens.front() : text) + "\"";
}

} // namespace cxone_sync
