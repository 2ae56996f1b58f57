#include "cxone/service_words.h"

#include "core/ascii.h"
#include "core/utf8.h"
#include "cxone/json_value.h"

#include <algorithm>

namespace cxone_sync {

namespace {

/* Bytes of the well-formed character that `text` begins with; 0 if none does. */
std::size_t character_size(std::string_view text)
{
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;

    return size <= text.size() && is_valid_utf8(text.substr(0, size)) ? size : 0;
}

/*
 * C0 and C1 controls (the latter are U+0080 to U+009F), on which a terminal may act; line and paragraph
 * separators and overrides of the direction (U+2028 to U+202E, U+2066 to U+2069), which garble a line.
 */
bool is_control(std::string_view character)
{
    const auto first = static_cast<unsigned char>(character[0]);

    return first < 0x20 || first == 0x7F || (character >= "\u0080" && character <= "\u009F") ||
           (character >= "\u2028" && character <= "\u202E") ||
           (character >= "\u2066" && character <= "\u2069");
}

void add_words(std::string &words, std::string_view more)
{
    if (more.empty() || words == more)
        return;
    if (!words.empty())
        words += ": ";
    words += more;
}

/* An error that is an object of its own has its text inside. */
void add_member(std::string &words, const JsonValue &value, std::string_view key)
{
    const JsonValue *member = value.find(key);

    if (member && member->is_object())
        add_words(words, member->text_of("message"));
    else
        add_words(words, value.text_of(key));
}

std::string words_of_json(const JsonValue &value)
{
    std::string words;

    for (const std::string_view key : {"error", "error_description", "errorDescription", "message", "detail"})
        add_member(words, value, key);
    const JsonValue *errors = value.find("errors");
    if (errors && errors->kind == JsonKind::array) {
        for (const JsonValue &error : errors->elements)
            add_words(words, error.is_object() ? error.text_of("message") : std::string_view(error.text));
    }
    return words;
}

std::string title_of_page(std::string_view page)
{
    const std::string small = ascii_lower(page);
    const std::size_t tag = small.find("<title");
    const std::size_t begin = tag == std::string::npos ? tag : small.find('>', tag);
    const std::size_t end = begin == std::string::npos ? begin : small.find('<', begin);

    if (end == std::string::npos)
        return "an HTML page";
    return "an HTML page, \"" + std::string(page.substr(begin + 1, end - begin - 1)) + "\"";
}

bool is_html(const HttpResult &reply)
{
    const std::size_t first = reply.body.find_first_not_of(" \t\r\n");

    return first != std::string::npos &&
           (reply.body[first] == '<' || ascii_lower(reply.content_type).find("html") != std::string::npos);
}

} // namespace

std::string one_line(std::string_view text, std::size_t max_size)
{
    constexpr std::string_view dots = "...";
    std::string line;
    std::size_t room = 0; /* bytes of it that leave room for the dots */

    while (!text.empty()) {
        const std::size_t size = character_size(text);
        const std::string_view character = text.substr(0, std::max<std::size_t>(size, 1));

        line += size > 0 && !is_control(character) ? character : " ";
        if (line.size() > max_size)
            return line.substr(0, room).append(dots.substr(0, max_size - room));
        if (line.size() + dots.size() <= max_size)
            room = line.size();
        text.remove_prefix(character.size());
    }
    return line;
}

std::string service_words(const HttpResult &reply)
{
    std::string ignored;

    if (is_html(reply))
        return title_of_page(reply.body);
    if (const std::optional<JsonValue> value = parse_json_value(reply.body, ignored)) {
        std::string words = words_of_json(*value);
        if (!words.empty())
            return words;
    }
    return reply.body;
}

} // namespace cxone_sync
