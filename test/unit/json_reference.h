#pragma once

#include "reference.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/*
 * RFC 8259 by recursive descent over the grammar, for texts of moderate depth: what the unit tests and the
 * fuzz targets hold the reader against.
 */
namespace reference {

struct JsonFacts {
    std::size_t depth = 0;
    int events_keys = 0; /* values that stand where the events should, or later on the way there */
    int events = -1;     /* elements of the last of them; -1 if there is none, or it is no array */
};

class JsonReader {
public:
    /* The events stand at `path`, or are the text itself: an array or one object. */
    JsonReader(std::string_view text, const std::vector<std::string> &path) : text_(text), path_(path) {}

    std::optional<JsonFacts> read()
    {
        if (!is_valid_utf8(text_) || !value(0, true) || (blanks(), at_ != text_.size()))
            return std::nullopt;
        return facts_;
    }

private:
    static constexpr std::size_t too_deep = 5000;

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c)
    {
        if (at_ >= text_.size() || text_[at_] != c)
            return false;
        at_++;
        return true;
    }
    bool word(std::string_view w)
    {
        if (text_.substr(at_, w.size()) != w)
            return false;
        at_ += w.size();
        return true;
    }
    void blanks()
    {
        while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
            at_++;
    }
    bool digits()
    {
        const std::size_t from = at_;
        while (is_digit(peek()))
            at_++;
        return at_ > from;
    }

    bool number()
    {
        take('-');
        if (!take('0') && !digits())
            return false;
        if (take('.') && !digits())
            return false;
        if (take('e') || take('E')) {
            if (!take('+'))
                take('-');
            return digits();
        }
        return true;
    }

    bool escape(std::string &decoded)
    {
        if (!take('u')) {
            const std::size_t which = std::string_view("\"\\/bfnrt").find(peek());
            if (at_ >= text_.size() || which == std::string_view::npos)
                return false;
            decoded += "\"\\/\b\f\n\r\t"[which];
            at_++;
            return true;
        }
        unsigned code = 0;
        for (int i = 0; i < 4; i++, at_++) {
            const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(peek());
            if (at_ >= text_.size() || digit == std::string_view::npos)
                return false;
            code = code * 16 + static_cast<unsigned>(digit < 16 ? digit : digit - 6);
        }
        decoded += code < 0x80 ? static_cast<char>(code) : '?'; /* enough to tell the path */
        return true;
    }

    bool string(std::string &decoded)
    {
        if (!take('"'))
            return false;
        while (at_ < text_.size()) {
            const char c = text_[at_++];
            if (c == '"')
                return true;
            if (static_cast<unsigned char>(c) < 0x20)
                return false;
            if (c == '\\') {
                if (!escape(decoded))
                    return false;
            } else {
                decoded += c;
            }
        }
        return false;
    }

    bool array(std::size_t depth, int &count)
    {
        count = 0;
        blanks();
        if (take(']'))
            return true;
        do {
            if (!value(depth, false))
                return false;
            count++;
            blanks();
        } while (take(','));
        return take(']');
    }

    bool object(std::size_t depth, bool on_path)
    {
        blanks();
        if (take('}'))
            return true;
        do {
            std::string key;
            blanks();
            if (!string(key))
                return false;
            blanks();
            if (!take(':'))
                return false;
            if (!value(depth, on_path && key == path_[depth - 1]))
                return false;
            blanks();
        } while (take(','));
        return take('}');
    }

    /* `on_path`: the path's first `depth` tokens lead here. */
    bool value(std::size_t depth, bool on_path)
    {
        const bool is_events = on_path && depth == path_.size();
        std::string ignored;
        int count;
        if (is_events) {
            facts_.events_keys++;
            facts_.events = -1;
        } else if (on_path && facts_.events_keys > 0) {
            facts_.events_keys++;
        }
        blanks();
        switch (peek()) {
        case '{':
        case '[': {
            const bool is_object = text_[at_++] == '{';
            if (++depth > too_deep)
                return false;
            facts_.depth = std::max(facts_.depth, depth);
            if (is_events && is_object && path_.empty())
                facts_.events = 1;
            return is_object ? object(depth, on_path && !is_events)
                             : array(depth, is_events ? facts_.events : count);
        }
        case '"':
            return string(ignored);
        case 't':
            return word("true");
        case 'f':
            return word("false");
        case 'n':
            return word("null");
        default:
            return number();
        }
    }

    std::string_view text_;
    const std::vector<std::string> &path_;
    std::size_t at_ = 0;
    JsonFacts facts_;
};

inline std::optional<JsonFacts> read_json(std::string_view text,
                                          const std::vector<std::string> &path = {"events"})
{
    return JsonReader(text, path).read();
}

} // namespace reference
