#include "core/assignments.h"

#include "core/ascii.h"

#include <algorithm>

namespace cxone_sync {

namespace {

bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Names, with quotes or without, and other bytes one by one, but := as one; comments and strings are left
 * out. */
class Tokens {
public:
    explicit Tokens(std::string_view source) : rest_(source) {}

    /* Empty at the end. */
    std::string_view next() noexcept
    {
        for (;;) {
            while (!rest_.empty() && is_blank(rest_.front()))
                rest_.remove_prefix(1);
            if (rest_.starts_with("--"))
                skip_to("\n", 2);
            else if (rest_.starts_with("/*"))
                skip_to("*/", 2);
            else if (rest_.starts_with("'"))
                skip_to("'", 1);
            else
                break;
        }
        return take(size_of_next());
    }

private:
    void skip_to(std::string_view end, std::size_t from) noexcept
    {
        const std::size_t at = rest_.find(end, from);
        rest_.remove_prefix(at == rest_.npos ? rest_.size() : at + end.size());
    }

    std::size_t size_of_next() const noexcept
    {
        if (rest_.empty())
            return 0;
        if (rest_.front() == '"')
            return std::min(rest_.find('"', 1), rest_.size() - 1) + 1;
        if (rest_.starts_with(":="))
            return 2;
        const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_name_byte);
        return std::max<std::size_t>(1, static_cast<std::size_t>(end - rest_.begin()));
    }

    std::string_view take(std::size_t size) noexcept
    {
        const std::string_view token = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return token;
    }

    std::string_view rest_;
};

/* The name that a token stands for. */
bool names(std::string_view token, std::string_view name) noexcept
{
    if (token.size() > 1 && token.front() == '"')
        return token.substr(1, token.size() - 2) == name;
    return equal_ignoring_case(token, name);
}

/* `words` are apart by blanks. */
bool is_one_of(std::string_view token, std::string_view words) noexcept
{
    for (std::size_t end; !words.empty(); words.remove_prefix(std::min(end + 1, words.size()))) {
        end = std::min(words.find(' '), words.size());
        if (equal_ignoring_case(token, words.substr(0, end)))
            return true;
    }
    return false;
}

} // namespace

bool assigns_field(std::string_view source, std::string_view record, std::string_view field) noexcept
{
    Tokens tokens(source);
    bool is_target_of_into = false;
    std::string_view before = ";";

    for (std::string_view token = tokens.next(); !token.empty(); before = token, token = tokens.next()) {
        if (is_one_of(before, "INTO"))
            is_target_of_into = true;
        else if (!is_one_of(before, ", . STRICT") && !is_one_of(token, ", ."))
            is_target_of_into = false;
        if (!names(token, record) || before == ".")
            continue;
        Tokens ahead = tokens;
        if (ahead.next() != "." || !names(ahead.next(), field))
            continue;
        const std::string_view behind = ahead.next();
        const bool begins_statement = is_one_of(before, "; > BEGIN THEN ELSE LOOP");
        if (is_target_of_into || behind == ":=" || (behind == "=" && begins_statement))
            return true;
    }
    return false;
}

} // namespace cxone_sync
