#include "core/json_text.h"

#include "core/ascii.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <vector>

/* RapidJSON asserts where it should report; an abort here would restart every backend of the cluster. */
#define RAPIDJSON_ASSERT(condition)                                                                          \
    if (!(condition))                                                                                        \
    throw std::logic_error("RapidJSON: " #condition)
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace cxone_sync {

std::string_view arena_copy(std::pmr::memory_resource &arena, std::string_view text)
{
    if (text.empty())
        return {};
    auto *copy = static_cast<char *>(arena.allocate(text.size(), 1));
    std::memcpy(copy, text.data(), text.size());
    return {copy, text.size()};
}

namespace {

/* RapidJSON's own allocator returns null where it should report, and then that is written to. */
class ThrowingAllocator {
public:
    void *Malloc(std::size_t size) { return Realloc(nullptr, 0, size); }
    void *Realloc(void *memory, std::size_t, std::size_t size)
    {
        if (size == 0) {
            std::free(memory);
            return nullptr;
        }
        void *larger = std::realloc(memory, size);
        if (!larger)
            throw std::bad_alloc();
        return larger;
    }
    static void Free(void *memory) { std::free(memory); }
};

using Reader = rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator>;

bool is_number_char(char c) noexcept
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* RapidJSON hands over decoded values only; this finds the JSON text that each came from. */
class SliceAdapter {
public:
    SliceAdapter(std::string_view json, const rapidjson::MemoryStream &stream,
                 std::pmr::memory_resource &arena, JsonHandler &handler)
        : json_(json), stream_(stream), arena_(arena), handler_(handler)
    {
    }

    bool Null() { return word(JsonKind::null, 4); }
    bool Bool(bool b) { return word(JsonKind::boolean, b ? 4 : 5); }

    bool RawNumber(const char *, rapidjson::SizeType, bool)
    {
        const std::size_t begin = next_token();
        std::size_t end = begin;
        while (end < json_.size() && is_number_char(json_[end]))
            end++;
        return scalar(JsonKind::number, begin, end);
    }

    bool String(const char *decoded, rapidjson::SizeType length, bool)
    {
        const std::string_view raw = string_token();
        const Text text = keep(raw, decoded, length);
        return handler_.value(JsonKind::string, raw, text.text, text.has_nul);
    }

    bool Key(const char *decoded, rapidjson::SizeType length, bool)
    {
        const std::string_view raw = string_token();
        const Text text = keep(raw, decoded, length);
        return handler_.key(raw, text.text, text.has_nul);
    }

    bool StartObject() { return open(JsonKind::object); }
    bool EndObject(rapidjson::SizeType) { return close(JsonKind::object); }
    bool StartArray() { return open(JsonKind::array); }
    bool EndArray(rapidjson::SizeType) { return close(JsonKind::array); }

    /* never called: kParseNumbersAsStringsFlag */
    bool Int(int) { return false; }
    bool Uint(unsigned) { return false; }
    bool Int64(std::int64_t) { return false; }
    bool Uint64(std::uint64_t) { return false; }
    bool Double(double) { return false; }

private:
    struct Text {
        std::string_view text;
        bool has_nul;
    };

    /* Between two tokens of well-formed JSON there are only blanks and separators. */
    std::size_t next_token() const noexcept
    {
        std::size_t at = last_end_;
        while (at < json_.size() && std::strchr(" \t\r\n:,", json_[at]))
            at++;
        return at;
    }

    std::string_view slice(std::size_t begin, std::size_t end)
    {
        last_end_ = end;
        return json_.substr(begin, end - begin);
    }

    std::string_view string_token() { return slice(next_token(), stream_.Tell()); }

    bool scalar(JsonKind kind, std::size_t begin, std::size_t end)
    {
        const std::string_view raw = slice(begin, end);
        return handler_.value(kind, raw, raw, false);
    }

    bool word(JsonKind kind, std::size_t length)
    {
        const std::size_t begin = next_token();
        return scalar(kind, begin, begin + length);
    }

    /* Without escapes the text stands in the body as it is; only other strings are copied. */
    Text keep(std::string_view raw, const char *decoded, std::size_t length)
    {
        const std::string_view inside = raw.substr(1, raw.size() - 2);
        if (inside.size() == length)
            return {inside, false};
        return {arena_copy(arena_, {decoded, length}), std::memchr(decoded, 0, length) != nullptr};
    }

    bool open(JsonKind kind)
    {
        const std::size_t begin = stream_.Tell();
        open_.push_back(begin);
        last_end_ = begin + 1;
        return handler_.open(kind);
    }

    bool close(JsonKind kind)
    {
        const std::size_t begin = open_.back();
        open_.pop_back();
        return handler_.close(kind, slice(begin, stream_.Tell() + 1));
    }

    std::string_view json_;
    const rapidjson::MemoryStream &stream_;
    std::pmr::memory_resource &arena_;
    JsonHandler &handler_;
    std::size_t last_end_ = 0;
    std::vector<std::size_t> open_;
};

/* The value of four hex digits, or -1. */
int hex4(std::string_view text) noexcept
{
    if (text.size() < 4)
        return -1;
    int value = 0;
    for (std::size_t i = 0; i < 4; i++) {
        const int digit = hex_value(text[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

bool is_high_surrogate(int code) noexcept
{
    return code >= 0xD800 && code <= 0xDBFF;
}
bool is_low_surrogate(int code) noexcept
{
    return code >= 0xDC00 && code <= 0xDFFF;
}

/* The code of a \uXXXX escape that begins at `at`, or -1. */
int unicode_escape(std::string_view json, std::size_t at) noexcept
{
    return at + 6 <= json.size() && json[at] == '\\' && json[at + 1] == 'u' ? hex4(json.substr(at + 2)) : -1;
}

bool has_surrogate_escape(std::string_view json) noexcept
{
    for (std::size_t at = 0; (at = json.find('\\', at)) != std::string_view::npos; at += 2) {
        const int code = unicode_escape(json, at);
        if (is_high_surrogate(code) || is_low_surrogate(code))
            return true;
    }
    return false;
}

/* Handles the escape at `at` inside a string and returns where to go on. */
std::size_t mask_escape(std::string &json, std::size_t at)
{
    const int code = unicode_escape(json, at);
    if (code < 0)
        return at + 2;
    if (is_high_surrogate(code) && is_low_surrogate(unicode_escape(json, at + 6)))
        return at + 12;
    if (is_high_surrogate(code) || is_low_surrogate(code))
        json.replace(at + 2, 4, "0000");
    return at + 6;
}

std::size_t end_of_digits(std::string_view json, std::size_t at) noexcept
{
    while (at < json.size() && json[at] >= '0' && json[at] <= '9')
        at++;
    return at;
}

/* RFC 8259 section 6 */
bool is_number(std::string_view text) noexcept
{
    std::size_t at = text.starts_with('-') ? 1 : 0;
    const std::size_t integer = at;
    at = end_of_digits(text, at);
    if (at == integer || (text[integer] == '0' && at > integer + 1))
        return false;
    if (at < text.size() && text[at] == '.') {
        const std::size_t fraction = at + 1;
        at = end_of_digits(text, fraction);
        if (at == fraction)
            return false;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        if (at < text.size() && (text[at] == '+' || text[at] == '-'))
            at++;
        const std::size_t exponent = at;
        at = end_of_digits(text, exponent);
        if (at == exponent)
            return false;
    }
    return at == text.size();
}

/* What is no number stays as it is, so that it is still refused. */
std::size_t mask_number(std::string &json, std::size_t at)
{
    std::size_t end = at;
    while (end < json.size() && is_number_char(json[end]))
        end++;
    const std::string_view text = std::string_view(json).substr(at, end - at);
    if ((text.size() > 300 || text.find_first_of("eE") != text.npos) && is_number(text)) {
        json.replace(at, end - at, end - at, ' ');
        json[at] = '0';
    }
    return end;
}

/*
 * RapidJSON refuses a whole body for one number beyond a double's range, and either refuses or passes on half
 * of a surrogate pair. Both are grammatical JSON (RFC 8259 sections 6 and 8.2) and at most one event's fault.
 * So it reads a copy in which a number with an exponent or hundreds of digits is a plain 0 and such an escape
 * is \u0000, each of the same length: every offset still holds, and what is kept is taken from the original.
 */
std::string masked_copy(std::string_view original)
{
    std::string json(original);
    bool in_string = false;
    for (std::size_t at = 0; at < json.size();) {
        const char c = json[at];
        if (c == '"')
            in_string = !in_string;
        if (in_string && c == '\\')
            at = mask_escape(json, at);
        else if (!in_string && (c == '-' || (c >= '0' && c <= '9')))
            at = mask_number(json, at);
        else
            at++;
    }
    return json;
}

rapidjson::ParseResult parse(std::string_view readable, std::string_view original,
                             std::pmr::memory_resource &arena, JsonHandler &handler)
{
    rapidjson::MemoryStream stream(readable.data(), readable.size());
    SliceAdapter adapter(original, stream, arena, handler);
    Reader reader;
    constexpr unsigned flags = rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
    rapidjson::ParseResult result = reader.Parse<flags>(stream, adapter);
    /* A NUL byte looks like the end to RapidJSON. */
    if (!result.IsError() && stream.Tell() != readable.size())
        result.Set(rapidjson::kParseErrorDocumentRootNotSingular, stream.Tell());
    return result;
}

/* Writes what it reads as an array literal (PostgreSQL's manual, "Array Input and Output Syntax"). */
class ArrayLiteral : public JsonHandler {
public:
    explicit ArrayLiteral(bool json_elements) noexcept : json_elements_(json_elements) {}

    std::string text;

    void restart() override
    {
        text.clear();
        object_level_ = 0;
    }

    bool value(JsonKind kind, std::string_view raw, std::string_view decoded, bool) override
    {
        if (object_level_ > 0)
            return true;
        separate();
        if (kind == JsonKind::null)
            text += "NULL";
        else
            quote(kind == JsonKind::string && !json_elements_ ? decoded : raw);
        return true;
    }

    bool key(std::string_view, std::string_view, bool) override { return true; }

    bool open(JsonKind kind) override
    {
        if (kind == JsonKind::object || object_level_ > 0) {
            object_level_++;
            return true;
        }
        separate();
        text += '{';
        return true;
    }

    bool close(JsonKind, std::string_view raw) override
    {
        if (object_level_ == 0) {
            text += '}';
        } else if (--object_level_ == 0) {
            separate();
            quote(raw);
        }
        return true;
    }

private:
    void separate()
    {
        if (!text.empty() && text.back() != '{')
            text += ',';
    }

    void quote(std::string_view element)
    {
        text += '"';
        for (char c : element) {
            if (c == '"' || c == '\\')
                text += '\\';
            text += c;
        }
        text += '"';
    }

    bool json_elements_;
    unsigned object_level_ = 0;
};

} // namespace

std::string read_json(std::string_view json, std::pmr::memory_resource &arena, JsonHandler &handler)
{
    std::string masked;
    if (has_surrogate_escape(json))
        masked = masked_copy(json);
    rapidjson::ParseResult result = parse(masked.empty() ? json : masked, json, arena, handler);
    if (result.Code() == rapidjson::kParseErrorNumberTooBig && masked.empty()) {
        handler.restart();
        masked = masked_copy(json);
        result = parse(masked, json, arena, handler);
    }

    if (!result.IsError() || result.Code() == rapidjson::kParseErrorTermination)
        return {};
    return "invalid JSON at byte " + std::to_string(result.Offset()) + ": " +
           rapidjson::GetParseError_En(result.Code());
}

std::string array_literal(std::string_view json_array, bool json_elements)
{
    std::pmr::monotonic_buffer_resource arena;
    ArrayLiteral literal(json_elements);
    read_json(json_array, arena, literal);
    return std::move(literal.text);
}

std::string json_quoted(std::string_view text)
{
    std::string json;

    append_json_string(json, text);
    return json;
}

} // namespace cxone_sync
