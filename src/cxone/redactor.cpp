#include "cxone/redactor.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace cxone_sync {

namespace {

/* A bound of the time that a hostile text can cost, not of where a secret may end. */
constexpr std::size_t max_text = 2048;

/* What a few bytes of text stand for, in one of the encodings. */
struct Decoded {
    std::array<char, 4> bytes;
    std::size_t byte_count = 0; /* 0: nothing */
    std::size_t text_size = 0;

    std::string_view view() const { return {bytes.data(), byte_count}; }
};

Decoded decoded_byte(char byte, std::size_t text_size)
{
    return {{byte}, 1, text_size};
}

/* A code point as UTF-8. */
Decoded decoded_character(std::uint32_t code, std::size_t text_size)
{
    const auto low = [code](unsigned shift) { return static_cast<char>(0x80 | (code >> shift & 0x3F)); };

    if (code < 0x80)
        return {{static_cast<char>(code)}, 1, text_size};
    if (code < 0x800)
        return {{static_cast<char>(0xC0 | code >> 6), low(0)}, 2, text_size};
    if (code < 0x10000)
        return {{static_cast<char>(0xE0 | code >> 12), low(6), low(0)}, 3, text_size};
    return {{static_cast<char>(0xF0 | (code >> 18 & 7)), low(12), low(6), low(0)}, 4, text_size};
}

bool read_number(std::string_view digits, int base, std::uint32_t &number)
{
    const char *end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, number, base);

    return error == std::errc() && stop == end;
}

/* %XX, and + for a space. */
Decoded decode_percent(std::string_view text)
{
    std::uint32_t code;

    if (text[0] == '+')
        return decoded_byte(' ', 1);
    if (text[0] == '%' && text.size() >= 3 && read_number(text.substr(1, 2), 16, code))
        return decoded_byte(static_cast<char>(code), 3);
    return {};
}

/* The escapes of JSON (RFC 8259 section 7), pairs of surrogates too. */
Decoded decode_json(std::string_view text)
{
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view values = "\"\\/\b\f\n\r\t";
    std::uint32_t code, low;

    if (text.size() < 2 || text[0] != '\\')
        return {};
    if (const std::size_t i = names.find(text[1]); i != std::string_view::npos)
        return decoded_byte(values[i], 2);
    if (text[1] != 'u' || text.size() < 6 || !read_number(text.substr(2, 4), 16, code))
        return {};
    if (code >= 0xD800 && code < 0xDC00 && text.size() >= 12 && text.substr(6, 2) == "\\u" &&
        read_number(text.substr(8, 4), 16, low) && low >= 0xDC00 && low < 0xE000)
        return decoded_character(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), 12);
    return decoded_character(code, 6);
}

/* The entities that a page must use, and numbers for all others. */
Decoded decode_html(std::string_view text)
{
    constexpr std::pair<std::string_view, char> names[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    std::uint32_t code;

    for (const auto &[name, value] : names) {
        if (text.starts_with(name))
            return decoded_byte(value, name.size());
    }
    const std::size_t end = text.substr(0, 12).find(';');
    if (!text.starts_with("&#") || end == std::string_view::npos)
        return {};
    const bool is_hex = text[2] == 'x' || text[2] == 'X';
    const std::size_t begin = is_hex ? 3 : 2;
    if (begin < end && read_number(text.substr(begin, end - begin), is_hex ? 16 : 10, code) &&
        code <= 0x10FFFF)
        return decoded_character(code, end + 1);
    return {};
}

std::array<Decoded, 4> readings_of(std::string_view text)
{
    return {decoded_byte(text[0], 1), decode_percent(text), decode_json(text), decode_html(text)};
}

/*
 * How much of `text`, from its start, stands for `secret`, each byte of it in any encoding; 0 if it does not.
 * For each number of bytes matched it keeps where in the text that may have led: %25 is a percent sign, or
 * three bytes.
 */
std::size_t size_of_secret(std::string_view text, std::string_view secret)
{
    constexpr std::size_t window = 5; /* a reading stands for four bytes at most */
    std::array<std::vector<std::size_t>, window> reached;
    std::size_t open = 1; /* places in all of them */

    reached[0].push_back(0);
    for (std::size_t matched = 0; matched < secret.size() && open > 0; matched++) {
        std::vector<std::size_t> &here = reached[matched % window];
        for (const std::size_t at : here) {
            if (at == text.size())
                continue;
            for (const Decoded &reading : readings_of(text.substr(at))) {
                if (reading.byte_count == 0 || !secret.substr(matched).starts_with(reading.view()))
                    continue;
                std::vector<std::size_t> &there = reached[(matched + reading.byte_count) % window];
                if (std::find(there.begin(), there.end(), at + reading.text_size) == there.end()) {
                    there.push_back(at + reading.text_size);
                    open++;
                }
            }
        }
        open -= here.size();
        here.clear();
    }
    const std::vector<std::size_t> &ends = reached[secret.size() % window];
    return ends.empty() ? 0 : *std::max_element(ends.begin(), ends.end());
}

} // namespace

void Redactor::hide(std::string_view secret)
{
    const auto is_same = [secret](const Secret &other) { return other.view() == secret; };

    if (!secret.empty() && std::none_of(secrets_.begin(), secrets_.end(), is_same))
        secrets_.emplace_back(secret);
}

std::string Redactor::operator()(std::string_view text) const
{
    std::string result;
    std::size_t hidden_until = 0; /* secrets that overlap are hidden as one */

    for (std::size_t at = 0; at < std::min(text.size(), max_text); at++) {
        std::size_t size = 0;
        for (const Secret &secret : secrets_)
            size = std::max(size, size_of_secret(text.substr(at), secret.view()));
        if (size > 0 && at >= hidden_until)
            result += "***";
        if (size > 0)
            hidden_until = std::max(hidden_until, at + size);
        if (at >= hidden_until)
            result += text[at];
    }
    return result;
}

} // namespace cxone_sync
