#include "core/integer_text.h"

#include <algorithm>
#include <cstdint>

namespace cxone_sync {

namespace {

constexpr std::int64_t max_digits = sizeof(IntegerText) - 1;

std::string_view take_digits(std::string_view &rest) noexcept
{
    const std::string_view digits = rest.substr(0, rest.find_first_not_of("0123456789"));
    rest.remove_prefix(digits.size());
    return digits;
}

bool take(std::string_view &rest, std::string_view any_of) noexcept
{
    if (rest.empty() || any_of.find(rest[0]) == any_of.npos)
        return false;
    rest.remove_prefix(1);
    return true;
}

/* One beyond all bounds is cut to where it decides as much. */
std::int64_t take_exponent(std::string_view rest) noexcept
{
    if (!take(rest, "eE"))
        return 0;
    const bool is_negative = take(rest, "-");
    (void)take(rest, "+");
    std::int64_t exponent = 0;
    for (const char digit : take_digits(rest))
        exponent = std::min<std::int64_t>(exponent * 10 + (digit - '0'), INT64_C(1) << 40);
    return is_negative ? -exponent : exponent;
}

/* The digits on both sides of the point as one sequence. */
struct Digits {
    std::string_view whole;
    std::string_view fraction;

    std::int64_t size() const noexcept { return static_cast<std::int64_t>(whole.size() + fraction.size()); }
    char at(std::int64_t place) const noexcept
    {
        const auto index = static_cast<std::size_t>(place);
        return index < whole.size() ? whole[index] : fraction[index - whole.size()];
    }
};

} // namespace

std::string_view integer_text(std::string_view number, IntegerText &buffer) noexcept
{
    if (number.find_first_of(".eE") == number.npos)
        return number;

    std::string_view rest = number;
    Digits digits;
    const bool is_negative = take(rest, "-");
    digits.whole = take_digits(rest);
    if (take(rest, "."))
        digits.fraction = take_digits(rest);
    /* how many of the digits stand before the point, were it where the exponent moves it */
    const std::int64_t point = static_cast<std::int64_t>(digits.whole.size()) + take_exponent(rest);

    std::int64_t first = 0, end = digits.size();
    while (first < end && digits.at(first) == '0')
        first++;
    while (first < end && digits.at(end - 1) == '0')
        end--;
    if (first == end)
        return "0";
    if (end > point || point - first > max_digits)
        return number;
    char *at = buffer;
    if (is_negative)
        *at++ = '-';
    for (std::int64_t place = first; place < point; place++)
        *at++ = place < end ? digits.at(place) : '0';
    return {buffer, static_cast<std::size_t>(at - buffer)};
}

} // namespace cxone_sync
