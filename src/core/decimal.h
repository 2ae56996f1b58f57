#pragma once

#include "core/timestamp.h"

#include <charconv>
#include <cstdint>
#include <string>

namespace cxone_sync {

/* Numbers as metrics and JSON have them, whatever the server's locale. */

template <typename Integer> void append_integer(std::string &out, Integer number)
{
    char digits[24];
    const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), number);
    out.append(digits, end);
}

/* Microseconds as seconds, exactly and without zeros at the end. */
inline void append_seconds(std::string &out, std::int64_t us)
{
    /* Unsigned, because the smallest number has no positive counterpart. */
    const auto distance = us < 0 ? 0 - static_cast<std::uint64_t>(us) : static_cast<std::uint64_t>(us);
    std::uint64_t fraction = distance % us_per_second;

    if (us < 0)
        out += '-';
    append_integer(out, distance / us_per_second);
    if (fraction == 0)
        return;
    out += '.';
    for (std::uint64_t place = us_per_second / 10; fraction != 0; place /= 10) {
        out += static_cast<char>('0' + fraction / place);
        fraction %= place;
    }
}

} // namespace cxone_sync
