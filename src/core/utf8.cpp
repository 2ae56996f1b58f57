#include "core/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cxone_sync {
namespace {

using Byte = unsigned char;

/* NUL is none of PostgreSQL's characters. */
bool is_ascii(Byte byte) noexcept
{
    return byte != 0 && byte < 0x80;
}

const Byte *skip_ascii(const Byte *at, const Byte *end) noexcept
{
    constexpr std::uint64_t high_bits = 0x8080808080808080;
    constexpr std::uint64_t ones = 0x0101010101010101;

    while (end - at >= static_cast<std::ptrdiff_t>(sizeof(std::uint64_t))) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, sizeof(word));
        /* the subtraction leaves a high bit where it borrows, which it does first at a NUL */
        if (((word | (word - ones)) & high_bits) != 0)
            break;
        at += sizeof(word);
    }
    while (at != end && is_ascii(*at))
        at++;
    return at;
}

bool between(Byte byte, Byte low, Byte high) noexcept
{
    return byte >= low && byte <= high;
}

bool is_tail(Byte byte) noexcept
{
    return between(byte, 0x80, 0xBF);
}

/* The second byte is what keeps out overlong forms, surrogates and code points above U+10FFFF. */
bool is_second_of_three(Byte first, Byte second) noexcept
{
    return between(second, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
}

bool is_second_of_four(Byte first, Byte second) noexcept
{
    return between(second, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
}

/* Length of the well-formed sequence of two to four bytes at `at`, or 0. */
std::ptrdiff_t multibyte_length(const Byte *at, const Byte *end) noexcept
{
    const std::ptrdiff_t left = end - at;

    if (between(*at, 0xC2, 0xDF))
        return left >= 2 && is_tail(at[1]) ? 2 : 0;
    if (between(*at, 0xE0, 0xEF))
        return left >= 3 && is_second_of_three(at[0], at[1]) && is_tail(at[2]) ? 3 : 0;
    if (between(*at, 0xF0, 0xF4))
        return left >= 4 && is_second_of_four(at[0], at[1]) && is_tail(at[2]) && is_tail(at[3]) ? 4 : 0;
    return 0;
}

} // namespace

bool is_valid_utf8(std::string_view text) noexcept
{
    const Byte *at = reinterpret_cast<const Byte *>(text.data());
    const Byte *const end = at + text.size();

    for (at = skip_ascii(at, end); at != end;) {
        const std::ptrdiff_t length = multibyte_length(at, end);
        if (length == 0)
            return false;
        at += length;
        /* Text in other scripts comes in runs: look for ASCII words only where ASCII starts again. */
        if (at != end && is_ascii(*at))
            at = skip_ascii(at, end);
    }
    return true;
}

} // namespace cxone_sync
