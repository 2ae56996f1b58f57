#include "core/json_text.h"

#include "json_reference.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace cxone_sync;

void require(bool condition, const char *what, std::string_view text)
{
    if (condition)
        return;
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
}

/* Rebuilds the text without its blanks from the raw slices, and looks at each on the way. */
class Rebuild : public JsonHandler {
public:
    explicit Rebuild(std::string_view json) : json_(json) {}

    std::string text;
    std::vector<std::string_view>
        slices; /* of keys and values: exact only if the text turns out well-formed */

    void restart() override
    {
        text.clear();
        slices.clear();
        levels_.clear();
    }
    bool value(JsonKind kind, std::string_view raw, std::string_view decoded, bool has_nul) override
    {
        require(inside(raw), "a value is no slice", raw);
        slices.push_back(raw);
        require(kind == JsonKind::string || decoded == raw, "the text is not the value's", raw);
        require(has_nul == (decoded.find('\0') != decoded.npos), "a NUL is not told of", raw);
        std::string without_nul(decoded);
        std::erase(without_nul, '\0');
        require(reference::is_valid_utf8(without_nul), "the text is not UTF-8", raw);
        begin_value();
        text += raw;
        return true;
    }
    bool key(std::string_view raw, std::string_view decoded, bool has_nul) override
    {
        require(inside(raw), "a key is no slice", raw);
        slices.push_back(raw);
        require(has_nul == (decoded.find('\0') != decoded.npos), "a NUL is not told of", raw);
        if (text.back() != '{')
            text += ',';
        text += raw;
        text += ':';
        return true;
    }
    bool open(JsonKind kind) override
    {
        begin_value();
        levels_.push_back(kind);
        text += kind == JsonKind::object ? '{' : '[';
        return true;
    }
    bool close(JsonKind kind, std::string_view raw) override
    {
        require(!levels_.empty() && levels_.back() == kind, "what closes was not open", raw);
        require(inside(raw) && raw.front() == (kind == JsonKind::object ? '{' : '[') &&
                    raw.back() == (kind == JsonKind::object ? '}' : ']'),
                "a slice is not exact", raw);
        if (levels_.size() < 8) /* each byte is read again for each level */
            slices.push_back(raw);
        levels_.pop_back();
        text += kind == JsonKind::object ? '}' : ']';
        return true;
    }

private:
    bool inside(std::string_view raw) const
    {
        return raw.data() >= json_.data() && raw.data() + raw.size() <= json_.data() + json_.size();
    }
    void begin_value()
    {
        if (!text.empty() && text.back() != '[' && text.back() != ':')
            text += ',';
    }

    std::string_view json_;
    std::vector<JsonKind> levels_;
};

/* Takes an array literal apart by PostgreSQL's rules, as strictly as ours are written; the number of
 * elements. */
class LiteralReader {
public:
    explicit LiteralReader(std::string_view text) : text_(text) {}
    bool read() { return array() && at_ == text_.size(); }

private:
    bool take(char c) { return at_ < text_.size() && text_[at_] == c && ++at_; }
    bool quoted()
    {
        while (at_ < text_.size()) {
            const char c = text_[at_++];
            if (c == '"')
                return true;
            if (c == '\\' && at_++ >= text_.size())
                return false;
        }
        return false;
    }
    bool element()
    {
        if (take('"'))
            return quoted();
        if (text_.substr(at_, 4) == "NULL") {
            at_ += 4;
            return true;
        }
        return array();
    }
    bool array()
    {
        if (!take('{'))
            return false;
        if (take('}'))
            return true;
        do {
            if (!element())
                return false;
        } while (take(','));
        return take('}');
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    if (!reference::is_valid_utf8(text))
        return 0;

    std::pmr::monotonic_buffer_resource arena;
    Rebuild rebuild(text);
    const std::string problem = read_json(text, arena, rebuild);
    require(problem.empty() == reference::read_json(text).has_value(), "the reference disagrees", text);
    if (!problem.empty())
        return 0;
    for (std::string_view raw : rebuild.slices)
        require(reference::read_json(raw).has_value(), "a value is no JSON", raw);
    require(reference::read_json(rebuild.text).has_value(), "tokens are missing", rebuild.text);
    if (rebuild.text.front() == '[') {
        const std::string literal = array_literal(text);
        require(LiteralReader(literal).read(), "no array literal", literal);
        require(literal.size() <= 2 * size, "the literal is larger than is accounted for", literal);
        const std::string of_json = array_literal(text, true);
        require(LiteralReader(of_json).read(), "no array literal", of_json);
        require(of_json.size() <= 3 * size, "the literal is larger than anything should be", of_json);
    }
    return 0;
}
