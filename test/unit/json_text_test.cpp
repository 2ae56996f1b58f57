#include "core/json_text.h"

#include "json_reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace cxone_sync {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

enum class Call { value, key, open, close };

struct Token {
    Call call;
    JsonKind kind;
    std::string raw;
    std::string text;
    bool has_nul = false;
    std::ptrdiff_t raw_at = -1; /* offset of `raw` in the text that was read */
    bool text_inside = false;   /* `text` is a slice of what was read */

    bool operator==(const Token &other) const
    {
        return call == other.call && kind == other.kind && raw == other.raw && text == other.text &&
               has_nul == other.has_nul;
    }
};

std::ostream &operator<<(std::ostream &out, const Token &token)
{
    return out << "call " << static_cast<int>(token.call) << " kind " << static_cast<int>(token.kind)
               << " raw <" << token.raw.substr(0, 60) << "> text <" << token.text.substr(0, 60) << "> nul "
               << token.has_nul;
}

class Recorder : public JsonHandler {
public:
    explicit Recorder(std::string_view json) : json_(json) {}

    std::vector<Token> tokens;
    int restarts = 0;
    int calls = 0;
    int calls_allowed = -1; /* the call after so many returns false; -1: none does */

    void restart() override
    {
        restarts++;
        tokens.clear();
    }
    bool value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul) override
    {
        return add({Call::value, kind, std::string(raw), std::string(text), has_nul, offset(raw),
                    offset(text) >= 0});
    }
    bool key(std::string_view raw, std::string_view text, bool has_nul) override
    {
        return add({Call::key, JsonKind::string, std::string(raw), std::string(text), has_nul, offset(raw),
                    offset(text) >= 0});
    }
    bool open(JsonKind kind) override { return add({Call::open, kind, {}, {}}); }
    bool close(JsonKind kind, std::string_view raw) override
    {
        return add({Call::close, kind, std::string(raw), {}, false, offset(raw)});
    }

private:
    std::ptrdiff_t offset(std::string_view slice) const
    {
        const std::less_equal<const char *> ordered;
        if (!ordered(json_.data(), slice.data()) ||
            !ordered(slice.data() + slice.size(), json_.data() + json_.size()))
            return -1;
        return slice.data() - json_.data();
    }
    bool add(Token token)
    {
        tokens.push_back(std::move(token));
        return calls++ != calls_allowed;
    }

    std::string_view json_;
};

/* Reads from a buffer of exactly the text's length, so that the address sanitizer sees a byte read too many.
 */
class Reading {
public:
    explicit Reading(std::string_view text, int calls_allowed = -1)
        : json(text.begin(), text.end()), view(json.data(), json.size()), seen(view)
    {
        seen.calls_allowed = calls_allowed;
        problem = read_json(view, arena, seen);
    }

    std::vector<char> json;
    std::string_view view;
    std::pmr::monotonic_buffer_resource arena;
    Recorder seen;
    std::string problem;
};

Token value(JsonKind kind, std::string raw, std::string text, bool has_nul = false)
{
    return {Call::value, kind, std::move(raw), std::move(text), has_nul};
}
Token scalar(JsonKind kind, const std::string &raw)
{
    return value(kind, raw, raw);
}
Token key(std::string raw, std::string text, bool has_nul = false)
{
    return {Call::key, JsonKind::string, std::move(raw), std::move(text), has_nul};
}
Token key(const std::string &text)
{
    return key('"' + text + '"', text);
}
Token open(JsonKind kind)
{
    return {Call::open, kind, {}, {}};
}
Token close(JsonKind kind, std::string raw)
{
    return {Call::close, kind, std::move(raw), {}};
}

std::string repeat(std::string_view text, std::size_t times)
{
    std::string all;
    all.reserve(text.size() * times);
    for (std::size_t i = 0; i < times; i++)
        all += text;
    return all;
}

TEST(JsonText, EveryKindOfTokenWithItsExactText)
{
    const Reading reading(" {\"a\" : [ 1 ,-2.50,\ttrue, false ,null,\r\n \"x\" ] , \"o\":{ } ,\"e\":[ ]} ");
    EXPECT_EQ(reading.problem, "");
    EXPECT_EQ(reading.seen.restarts, 0);
    const std::vector<Token> expected = {
        open(JsonKind::object),
        key("a"),
        open(JsonKind::array),
        scalar(JsonKind::number, "1"),
        scalar(JsonKind::number, "-2.50"),
        scalar(JsonKind::boolean, "true"),
        scalar(JsonKind::boolean, "false"),
        scalar(JsonKind::null, "null"),
        value(JsonKind::string, "\"x\"", "x"),
        close(JsonKind::array, "[ 1 ,-2.50,\ttrue, false ,null,\r\n \"x\" ]"),
        key("o"),
        open(JsonKind::object),
        close(JsonKind::object, "{ }"),
        key("e"),
        open(JsonKind::array),
        close(JsonKind::array, "[ ]"),
        close(JsonKind::object,
              "{\"a\" : [ 1 ,-2.50,\ttrue, false ,null,\r\n \"x\" ] , \"o\":{ } ,\"e\":[ ]}"),
    };
    EXPECT_EQ(reading.seen.tokens, expected);
}

TEST(JsonText, RawTextsAreSlicesAtTheirOffsets)
{
    const Reading reading(R"({"k": [7, "a\nb", 7, {"q": 7}], "l": 7})");
    ASSERT_EQ(reading.problem, "");
    std::vector<std::ptrdiff_t> offsets;
    for (const Token &token : reading.seen.tokens)
        if (token.call == Call::value || token.call == Call::close)
            offsets.push_back(token.raw_at);
    EXPECT_EQ(offsets, (std::vector<std::ptrdiff_t>{7, 10, 18, 27, 21, 6, 37, 0}));
}

TEST(JsonText, AScalarAlone)
{
    for (const char *text : {"0", "-0", "12", "1.5e-3", "1E5", "0.0", "true", "false", "null"}) {
        const Reading reading(" \t\r\n" + std::string(text) + " \n");
        EXPECT_EQ(reading.problem, "") << text;
        ASSERT_EQ(reading.seen.tokens.size(), 1u) << text;
        EXPECT_EQ(reading.seen.tokens[0].raw, text);
        EXPECT_EQ(reading.seen.tokens[0].raw_at, 4);
    }
    const Reading at_the_end("7");
    EXPECT_EQ(at_the_end.seen.tokens, std::vector<Token>{scalar(JsonKind::number, "7")});
}

TEST(JsonText, DecodedEscapes)
{
    const struct {
        const char *raw, *text;
    } table[] = {
        {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
        {R"("caf\u00e9")", "caf\xC3\xA9"},
        {R"("\u00E9\u20ac")", "\xC3\xA9\xE2\x82\xAC"},
        {R"("\ud83d\ude00")", "\xF0\x9F\x98\x80"},
        {R"("\uD800\uDC00\uDBFF\uDFFF")", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"},
        {R"("\u0001\u001f\u007f")", "\x01\x1F\x7F"},
        {R"("\\ud800")", "\\ud800"},
        {R"("\\\\\"")", "\\\\\""},
        {R"("a\u0062c")", "abc"},
        {"\"caf\xC3\xA9\"", "caf\xC3\xA9"},
        {R"("")", ""},
        {R"("a:b,[c]{d}")", "a:b,[c]{d}"},
    };
    for (const auto &row : table) {
        const Reading reading(row.raw);
        EXPECT_EQ(reading.problem, "") << row.raw;
        EXPECT_EQ(reading.seen.tokens, std::vector<Token>{value(JsonKind::string, row.raw, row.text)});

        const Reading in_key("{" + std::string(row.raw) + ": 1}");
        EXPECT_EQ(in_key.problem, "") << row.raw;
        ASSERT_EQ(in_key.seen.tokens.size(), 4u);
        EXPECT_EQ(in_key.seen.tokens[1], key(row.raw, row.text));
        EXPECT_EQ(in_key.seen.tokens[2], scalar(JsonKind::number, "1"));
    }
}

TEST(JsonText, StringsWithoutEscapesAreSlices)
{
    const Reading reading("{\"plain\": \"gr\xC3\xBC\", \"esc\\u0061\": \"a\\nb\"}");
    ASSERT_EQ(reading.seen.tokens.size(), 6u);
    EXPECT_TRUE(reading.seen.tokens[1].text_inside);
    EXPECT_EQ(reading.seen.tokens[1].raw_at, 1);
    EXPECT_TRUE(reading.seen.tokens[2].text_inside);
    EXPECT_FALSE(reading.seen.tokens[3].text_inside);
    EXPECT_FALSE(reading.seen.tokens[4].text_inside);
}

TEST(JsonText, NulAndHalvesOfSurrogatePairs)
{
    for (const char *raw :
         {R"("\u0000")", R"("a\u0000b")", R"("\ud800")", R"("\uDBFF")", R"("\udc00")", R"("\uDFFF")",
          R"("\ud83dx")", R"("\ude00\ud83d")", R"("\ud83d\ud83d\ude00")", R"("\ud83d\ude00\ude00")",
          R"("\ud83d\n")", R"("\ud83d\\ude00")", R"("\ud83d\u0041")", R"("\\\ud800")"}) {
        const Reading reading(raw);
        EXPECT_EQ(reading.problem, "") << raw;
        ASSERT_EQ(reading.seen.tokens.size(), 1u) << raw;
        EXPECT_TRUE(reading.seen.tokens[0].has_nul) << raw;
        EXPECT_EQ(reading.seen.tokens[0].raw, raw);

        const Reading in_key("{" + std::string(raw) + ":[\"ok\\n\", 1e5]}");
        EXPECT_EQ(in_key.problem, "") << raw;
        ASSERT_EQ(in_key.seen.tokens.size(), 7u) << raw;
        EXPECT_TRUE(in_key.seen.tokens[1].has_nul) << raw;
        EXPECT_EQ(in_key.seen.tokens[1].raw, raw);
        EXPECT_EQ(in_key.seen.tokens[3], value(JsonKind::string, "\"ok\\n\"", "ok\n"));
        EXPECT_EQ(in_key.seen.tokens[4], scalar(JsonKind::number, "1e5"));
    }
    for (const char *raw :
         {R"("\ud83d\ude00")", R"("\\u0000")", R"("\u0030")", R"("\\ud800\\")", R"("0000")"})
        EXPECT_FALSE(Reading(raw).seen.tokens.at(0).has_nul) << raw;
}

TEST(JsonText, NumbersBeyondADoubleKeepTheirText)
{
    const std::string digits = repeat("1234567890", 40);
    for (const std::string &number :
         {"1e400"s, "-1E+999"s, "-1e309"s, digits, "-" + digits, digits + ".5", digits + "e10",
          "1e99999999999999999999"s, "0." + digits + "e500", "17976931348623158" + repeat("0", 293)}) {
        const std::string json = "[\"a\\nb\", " + number + " ,{\"k\":" + number + "}, \"1e400\"]";
        const Reading reading(json);
        EXPECT_EQ(reading.problem, "") << number;
        const std::vector<Token> expected = {
            open(JsonKind::array),
            value(JsonKind::string, "\"a\\nb\"", "a\nb"),
            scalar(JsonKind::number, number),
            open(JsonKind::object),
            key("k"),
            scalar(JsonKind::number, number),
            close(JsonKind::object, "{\"k\":" + number + "}"),
            value(JsonKind::string, "\"1e400\"", "1e400"),
            close(JsonKind::array, json),
        };
        EXPECT_EQ(reading.seen.tokens, expected) << number;
        EXPECT_EQ(Reading(number).seen.tokens, std::vector<Token>{scalar(JsonKind::number, number)});
    }
    for (const std::string &number : {"1e-400"s, "1e-99999999999999999999"s, "0." + digits, "1e308"s})
        EXPECT_EQ(Reading(number).seen.tokens, std::vector<Token>{scalar(JsonKind::number, number)});
}

TEST(JsonText, RestartsOnlyIfSomethingWasSeenThatIsReadAgain)
{
    EXPECT_EQ(Reading("[1, 1e400]").seen.restarts, 1);
    EXPECT_EQ(Reading("[1, 1e400, 1e400, 1e400]").seen.restarts, 1);
    EXPECT_EQ(Reading("[1, 1e300]").seen.restarts, 0);
    EXPECT_EQ(Reading(R"(["\ud800", 1e400])").seen.restarts, 0);
    EXPECT_EQ(Reading(R"(["\ud800", 1])").seen.restarts, 0);
    EXPECT_EQ(Reading("[1, 1e400").seen.tokens.size(), 3u);
}

TEST(JsonText, DepthIsUnlimited)
{
    constexpr std::size_t depth = 200'000;
    const struct {
        const char *before, *after;
        std::size_t tokens;
    } table[] = {{"[", "]", 2}, {"{\"a\":", "}", 3}, {"[{\"a\":", "}]", 5}};
    for (const auto &row : table) {
        class Counter : public JsonHandler {
        public:
            std::size_t seen = 0, longest = 0;
            void restart() override { FAIL(); }
            bool value(JsonKind, std::string_view, std::string_view, bool) override { return true; }
            bool key(std::string_view, std::string_view, bool) override { return ++seen; }
            bool open(JsonKind) override { return ++seen; }
            bool close(JsonKind, std::string_view raw) override
            {
                longest = std::max(longest, raw.size());
                return ++seen;
            }
        } counter;
        const std::string json = repeat(row.before, depth) + "1" + repeat(row.after, depth);
        std::pmr::monotonic_buffer_resource arena;
        EXPECT_EQ(read_json(json, arena, counter), "");
        EXPECT_EQ(counter.seen, depth * row.tokens);
        EXPECT_EQ(counter.longest, json.size());

        EXPECT_NE(read_json(repeat(row.before, depth), arena, counter), "");
    }
}

TEST(JsonText, InvalidTextsAreRefusedAtTheirByte)
{
    const struct {
        std::string_view json;
        std::size_t at;
    } table[] = {
        {"", 0},
        {"  ", 2},
        {"{", 1},
        {"[", 1},
        {"[1", 2},
        {"[1,", 3},
        {"{\"a\"", 4},
        {"{\"a\":", 5},
        {"{\"a\":1", 6},
        {"\"abc", 4},
        {"\"abc\\\"", 6},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1,,2]", 3},
        {"[1 2]", 3},
        {"{\"a\":1,}", 7},
        {"{,}", 1},
        {"{\"a\" 1}", 5},
        {"{\"a\":}", 5},
        {"{\"a\":1 \"b\":2}", 7},
        {"{1:2}", 1},
        {"{a:2}", 1},
        {"{null:2}", 1},
        {"{[]:2}", 1},
        {"{\"a\"}", 4},
        {"[1}", 2},
        {"{\"a\":1]", 6},
        {"]", 0},
        {"}", 0},
        {"[01]", 2},
        {"[-01]", 3},
        {"[+1]", 1},
        {"[.5]", 1},
        {"[1.]", 3},
        {"[1.e5]", 3},
        {"[1e]", 3},
        {"[1e+]", 4},
        {"[-]", 2},
        {"[--1]", 2},
        {"[0x10]", 2},
        {"[1_000]", 2},
        {"[NaN]", 1},
        {"[Infinity]", 1},
        {"[-Infinity]", 2},
        {"[tru]", 4},
        {"[True]", 1},
        {"[nul", 4},
        {"[truex]", 5},
        {"['a']", 1},
        {"[\"a\nb\"]", 3},
        {"[\"a\tb\"]", 3},
        {"[\"\x1F\"]", 2},
        {"[\"\\x41\"]", 2},
        {"[\"\\'\"]", 2},
        {"[\"\\u12\"]", 2},
        {"[\"\\u12g4\"]", 2},
        {"[\"\\U0041\"]", 2},
        {"// c\n1", 0},
        {"[1 /* c */]", 3},
        {"[1] # c", 4},
        {"{}{}", 2},
        {"[] 1", 3},
        {"1 2", 2},
        {"null null", 5},
        {"[1]]", 3},
        {"\xEF\xBB\xBF[]", 0},
        {"[1\v]", 2},
        {"\0"sv, 0},
        {"[]\0"sv, 2},
        {"[] \0 "sv, 3},
        {"[1\0]"sv, 2},
        {"[\"a\0b\"]"sv, 3},
        {"[1e400, 2e5,]", 12},
        {"[\"\\ud800\", 01]", 12},
        {"[\"\\ud800\\x\"]", 8},
        {"[1e400, 01e400]", 9},
        {"[1e400, 1.e400]", 10},
    };
    for (const auto &row : table) {
        const Reading reading(row.json);
        EXPECT_TRUE(reading.problem.starts_with("invalid JSON at byte " + std::to_string(row.at) + ": "))
            << testing::PrintToString(row.json) << " gives <" << reading.problem << ">";
        EXPECT_EQ(reading.problem.find('\n'), std::string::npos);
        EXPECT_GT(reading.problem.size(), 30u) << reading.problem;
    }
}

TEST(JsonText, AHandlerCanEndTheReadingAnywhere)
{
    const std::string_view json = R"({"a": [1, {"b": null}], "c": "x"} trailing)";
    const Reading whole(json);
    EXPECT_NE(whole.problem, "");
    const int calls = whole.seen.calls;
    ASSERT_EQ(calls, 12);
    for (int allowed = 0; allowed < calls; allowed++) {
        const Reading reading(json, allowed);
        EXPECT_EQ(reading.problem, "") << allowed;
        EXPECT_EQ(reading.seen.calls, allowed + 1);
        EXPECT_EQ(reading.seen.restarts, 0);
    }
}

TEST(JsonText, AHandlerCanEndTheSecondReading)
{
    const Reading reading("[1, 2, 1e400, 3] x", 5);
    EXPECT_EQ(reading.problem, "");
    EXPECT_EQ(reading.seen.restarts, 1);
    EXPECT_EQ(reading.seen.calls, 6);
    EXPECT_EQ(reading.seen.tokens.back(), scalar(JsonKind::number, "2"));
}

/* Every text of up to five of these pieces is accepted or refused as the grammar says. */
TEST(JsonText, AgreesWithTheGrammar)
{
    const std::vector<std::string_view> pieces = {"[",     "]",           "{",     "}", ",", ":",
                                                  "\"a\"", "\"\\ud800\"", "1e999", "0", " "};
    std::vector<std::string> texts = {""};
    std::size_t accepted = 0;
    for (std::size_t from = 0, length = 1; length <= 5; length++) {
        const std::size_t to = texts.size();
        for (; from < to; from++)
            for (const std::string_view piece : pieces)
                texts.push_back(texts[from] + std::string(piece));
    }
    for (const std::string &text : texts) {
        const Reading reading(text);
        const bool valid = reference::read_json(text).has_value();
        accepted += valid;
        ASSERT_EQ(reading.problem.empty(), valid) << text << " gives <" << reading.problem << ">";
    }
    EXPECT_GT(accepted, 200u);
}

TEST(JsonText, ArrayLiterals)
{
    const struct {
        const char *json, *literal, *of_json;
    } table[] = {
        {"[]", "{}", "{}"},
        {"[\"a\"]", R"({"a"})", R"({"\"a\""})"},
        {"[ \"a\" , \"b\" ]", R"({"a","b"})", R"({"\"a\"","\"b\""})"},
        {R"(["say \"hi\""])", R"({"say \"hi\""})", R"({"\"say \\\"hi\\\"\""})"},
        {R"(["back\\slash"])", R"({"back\\slash"})", R"({"\"back\\\\slash\""})"},
        {R"(["a\nb"])", "{\"a\nb\"}", R"({"\"a\\nb\""})"},
        {R"(["\u00e9"])", "{\"\xC3\xA9\"}", R"({"\"\\u00e9\""})"},
        {"[null, \"NULL\", \"null\"]", R"({NULL,"NULL","null"})", R"({NULL,"\"NULL\"","\"null\""})"},
        {"[1, -2.50, true, false]", R"({"1","-2.50","true","false"})", R"({"1","-2.50","true","false"})"},
        {"[\"\", \" \"]", R"({""," "})", R"({"\"\"","\" \""})"},
        {"[\"{\", \"}\", \",\", \"x\"]", R"({"{","}",",","x"})", R"({"\"{\"","\"}\"","\",\"","\"x\""})"},
        {"[[1,2],[3,4]]", R"({{"1","2"},{"3","4"}})", R"({{"1","2"},{"3","4"}})"},
        {"[[],[[]]]", "{{},{{}}}", "{{},{{}}}"},
        {"[[null],\"x\",[1]]", R"({{NULL},"x",{"1"}})", R"({{NULL},"\"x\"",{"1"}})"},
        {R"([{"a": "b"}])", R"({"{\"a\": \"b\"}"})", R"({"{\"a\": \"b\"}"})"},
        {R"([{}, {"a":{"b":[1,{}]}}, 2])", R"({"{}","{\"a\":{\"b\":[1,{}]}}","2"})",
         R"({"{}","{\"a\":{\"b\":[1,{}]}}","2"})"},
        {R"([[{"a":[]}],[{"b":null}]])", R"({{"{\"a\":[]}"},{"{\"b\":null}"}})",
         R"({{"{\"a\":[]}"},{"{\"b\":null}"}})"},
        {R"([{"a":"\n\\"}])", R"({"{\"a\":\"\\n\\\\\"}"})", R"({"{\"a\":\"\\n\\\\\"}"})"},
        {"[7, {\"a\": 1e400}, 1e400]", R"({"7","{\"a\": 1e400}","1e400"})",
         R"({"7","{\"a\": 1e400}","1e400"})"},
    };
    for (const auto &row : table) {
        EXPECT_EQ(array_literal(row.json), row.literal) << row.json;
        EXPECT_EQ(array_literal(row.json, true), row.of_json) << row.json;
    }
}

TEST(JsonText, ArenaCopy)
{
    std::pmr::monotonic_buffer_resource arena;
    std::string text = "abc\0d"s;
    const std::string_view copy = arena_copy(arena, text);
    EXPECT_NE(copy.data(), text.data());
    text.assign(5, 'x');
    EXPECT_EQ(copy, "abc\0d"sv);
    EXPECT_TRUE(arena_copy(arena, "").empty());
}

} // namespace
} // namespace cxone_sync
