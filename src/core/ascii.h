#pragma once

#include "core/pure_room.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace cxone_sync {

/* Letters and blanks of protocols, whatever the locale says of them. */

constexpr char ascii_lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

inline std::string ascii_lower(std::string_view text)
{
    std::string small(text);

    for (char &c : small)
        c = ascii_lower(c);
    return small;
}

inline bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return ascii_lower(x) == ascii_lower(y); });
}

constexpr bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

/* Of a hexadecimal digit of either case; -1: it is none. */
constexpr int hex_value(char c) noexcept
{
    const char lower = ascii_lower(c);
    return is_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Of a token, such as the name of a method or a header (RFC 9110 section 5.6.2). */
constexpr bool is_token_char(char c) noexcept
{
    return is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

/* Without the spaces and tabs around it (OWS, RFC 9110 section 5.6.3). */
inline std::string_view trimmed(std::string_view text) noexcept
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

} // namespace cxone_sync
