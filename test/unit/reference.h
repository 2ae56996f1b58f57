#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

/*
 * The same answers as the code under test, found another way: slow, and simple enough to be believed. Used by
 * the unit tests and by the fuzz targets.
 */
namespace reference {

inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

inline int number(const std::string &text, std::size_t at, std::size_t length)
{
    return std::stoi(text.substr(at, length));
}

/* The text with every digit as 9, and with the digits of the fraction taken out into `fraction`. */
inline std::string shape_of(const std::string &text, std::string &fraction)
{
    std::string shape;
    for (std::size_t i = 0; i < text.size(); i++) {
        shape += is_digit(text[i]) ? '9' : text[i];
        if (i == 19 && text[i] == '.') {
            while (i + 1 < text.size() && is_digit(text[i + 1]))
                fraction += text[++i];
        }
    }
    return shape;
}

inline bool is_tolerated_shape(const std::string &shape, bool has_fraction)
{
    for (const std::string separator : {"T", "t", " "}) {
        for (const std::string offset : {"Z", "z", "+99:99", "-99:99", "+9999", "-9999"}) {
            if (shape == "9999-99-99" + separator + "99:99:99" + (has_fraction ? "." : "") + offset)
                return true;
        }
    }
    return false;
}

/* Microseconds since 2000 by the C library's calendar, or nothing if the text is refused. */
inline std::optional<std::int64_t> parse_timestamp(std::string_view view)
{
    const std::string text(view);
    std::string fraction;
    const std::string shape = shape_of(text, fraction);
    if (text.size() > 128 || !is_tolerated_shape(shape, !fraction.empty()))
        return std::nullopt;

    std::tm wanted{};
    wanted.tm_year = number(text, 0, 4) - 1900;
    wanted.tm_mon = number(text, 5, 2) - 1;
    wanted.tm_mday = number(text, 8, 2);
    std::tm found = wanted;
    const std::int64_t midnight = timegm(&found);
    const bool exists = found.tm_year == wanted.tm_year && found.tm_mon == wanted.tm_mon &&
                        found.tm_mday == wanted.tm_mday && wanted.tm_year > -1900;

    const int hour = number(text, 11, 2);
    const int minute = number(text, 14, 2);
    const int second = number(text, 17, 2);
    if (!exists || hour > 23 || minute > 59 || second > 60)
        return std::nullopt;

    std::int64_t us = (hour * 3600 + minute * 60 + second) * std::int64_t{1'000'000};
    if (!fraction.empty())
        us +=
            static_cast<std::int64_t>(std::nearbyint(std::strtod(("0." + fraction).c_str(), nullptr) * 1e6));
    if (us > 86'400'000'000)
        return std::nullopt;

    const std::size_t sign = text.find_first_of("+-", 19);
    if (sign != std::string::npos) {
        const int offset_hour = number(text, sign + 1, 2);
        const int offset_minute = number(text, text.size() - 2, 2);
        if (offset_hour > 15 || offset_minute > 59)
            return std::nullopt;
        const std::int64_t offset = (offset_hour * 60 + offset_minute) * std::int64_t{60'000'000};
        us += text[sign] == '-' ? offset : -offset;
    }
    return (midnight - 946'684'800) * 1'000'000 + us;
}

/* A Unicode scalar value as UTF-8; nothing for what is none. */
inline std::string encode_utf8(std::uint32_t point)
{
    const auto tail = [point](int shift) { return static_cast<char>(0x80 | (point >> shift & 0x3F)); };

    if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
        return {};
    if (point < 0x80)
        return {static_cast<char>(point)};
    if (point < 0x800)
        return {static_cast<char>(0xC0 | point >> 6), tail(0)};
    if (point < 0x10000)
        return {static_cast<char>(0xE0 | point >> 12), tail(6), tail(0)};
    return {static_cast<char>(0xF0 | point >> 18), tail(12), tail(6), tail(0)};
}

/* Reads whatever number the bits spell and accepts it if that is not 0 and its own encoding is what was read.
 */
inline bool is_valid_utf8(std::string_view text)
{
    while (!text.empty()) {
        const auto first = static_cast<unsigned char>(text[0]);
        const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        std::uint32_t point = length == 1 ? first : first & (0x7Fu >> length);

        if (text.size() < length)
            return false;
        for (std::size_t i = 1; i < length; i++)
            point = point << 6 | (static_cast<unsigned char>(text[i]) & 0x3Fu);
        if (point == 0 || encode_utf8(point) != text.substr(0, length))
            return false;
        text.remove_prefix(length);
    }
    return true;
}

} // namespace reference
