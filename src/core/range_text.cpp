#include "core/range_text.h"

#include "core/ascii.h"

#include <algorithm>

namespace cxone_sync {

namespace {

constexpr const char *malformed =
    "is not a range of times, such as [2026-01-02T03:04:05Z,2026-01-03T00:00:00Z)";

constexpr std::string_view blanks = " \t\n\v\f\r";

std::string_view without_blanks(std::string_view text) noexcept
{
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

class RangeRewriter {
public:
    RangeRewriter(std::string_view text, TimeKind bounds, const TimeZone *zone, std::string &result)
        : rest_(without_blanks(text)), bounds_(bounds), zone_(zone), result_(result)
    {
    }

    const char *rewrite()
    {
        const char *problem = take("{") ? rewrite_ranges() : rewrite_range();
        return problem || rest_.empty() ? problem : malformed;
    }

private:
    bool take(std::string_view any_of)
    {
        if (rest_.empty() || any_of.find(rest_[0]) == any_of.npos)
            return false;
        result_ += rest_[0];
        rest_.remove_prefix(1);
        return true;
    }

    void skip_blanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(blanks), rest_.size())); }

    /* Those of a multirange, behind its brace. */
    const char *rewrite_ranges()
    {
        skip_blanks();
        if (take("}"))
            return nullptr;
        do {
            skip_blanks();
            if (const char *problem = rewrite_range())
                return problem;
            skip_blanks();
        } while (take(","));
        return take("}") ? nullptr : malformed;
    }

    const char *rewrite_range()
    {
        constexpr std::string_view empty = "empty";

        if (equal_ignoring_case(rest_.substr(0, empty.size()), empty)) {
            result_ += empty;
            rest_.remove_prefix(empty.size());
            return nullptr;
        }
        if (!take("[("))
            return malformed;
        if (const char *problem = rewrite_bound())
            return problem;
        if (!take(","))
            return malformed;
        if (const char *problem = rewrite_bound())
            return problem;
        return take("])") ? nullptr : malformed;
    }

    bool is_at_end_of_bound() const noexcept
    {
        return rest_.starts_with(',') || rest_.starts_with(')') || rest_.starts_with(']');
    }

    const char *rewrite_bound()
    {
        std::string bound;
        char buffer[32];
        std::int64_t time = 0;

        if (is_at_end_of_bound())
            return nullptr;
        if (!read_bound(bound))
            return malformed;
        const std::string_view text = without_blanks(bound);
        if (text.empty())
            return "has a bound that is empty";
        if (const char *problem = read_time(JsonKind::string, text, text, bounds_, zone_, time))
            return problem;
        result_.append(buffer, format_time(bounds_, time, buffer));
        return nullptr;
    }

    /* A backslash, and inside quotes a quote before another one, makes what follows it plain. */
    bool read_bound(std::string &bound)
    {
        bool is_quoted = false;

        while (is_quoted || !is_at_end_of_bound()) {
            if (rest_.empty())
                return false;
            const char c = rest_[0];
            rest_.remove_prefix(1);
            if (c == '\\' || (c == '"' && is_quoted && rest_.starts_with('"'))) {
                if (rest_.empty())
                    return false;
                bound += rest_[0];
                rest_.remove_prefix(1);
            } else if (c == '"') {
                is_quoted = !is_quoted;
            } else {
                bound += c;
            }
        }
        return true;
    }

    std::string_view rest_;
    const TimeKind bounds_;
    const TimeZone *const zone_;
    std::string &result_;
};

} // namespace

const char *rewrite_range(std::string_view text, TimeKind bounds, const TimeZone *zone, std::string &result)
{
    return RangeRewriter(text, bounds, zone, result).rewrite();
}

} // namespace cxone_sync
