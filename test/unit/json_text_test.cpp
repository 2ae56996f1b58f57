#include "core/json_text.h"

#include "json_reference.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <vector>

namespace cxone_sync {
namespace {

using namespace std::string_literals;

/* Writes down what it is told. */
class Recorder : public JsonHandler {
public:
    std::vector<std::string> tokens;
    int restarts = 0;
    std::size_t stop_after = SIZE_MAX;

    void restart() override
    {
        tokens.clear();
        restarts++;
    }
    bool value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul) override
    {
        const char *names[] = {"null", "boolean", "number", "string", "array", "object"};
        return note(std::string(names[static_cast<int>(kind)]) + " " + std::string(raw) +
                    (text == raw ? "" : " = " + std::string(text)) + (has_nul ? " (NUL)" : ""));
    }
    bool key(std::string_view text, bool has_nul) override
    {
        return note("key " + std::string(text) + (has_nul ? " (NUL)" : ""));
    }
    bool open(JsonKind kind) override { return note(kind == JsonKind::array ? "[" : "{"); }
    bool close(JsonKind kind, std::string_view raw) override
    {
        return note((kind == JsonKind::array ? "] " : "} ") + std::string(raw));
    }

private:
    bool note(std::string token)
    {
        tokens.push_back(std::move(token));
        return tokens.size() < stop_after;
    }
};

class Ignorer : public JsonHandler {
public:
    void restart() override {}
    bool value(JsonKind, std::string_view, std::string_view, bool) override { return true; }
    bool key(std::string_view, bool) override { return true; }
    bool open(JsonKind) override { return true; }
    bool close(JsonKind, std::string_view) override { return true; }
};

std::string problem_of(std::string_view json)
{
    std::pmr::monotonic_buffer_resource arena;
    Ignorer ignorer;
    return read_json(json, arena, ignorer);
}

std::vector<std::string> tokens_of(std::string_view json)
{
    std::pmr::monotonic_buffer_resource arena;
    Recorder recorder;
    EXPECT_EQ(read_json(json, arena, recorder), "") << json;
    return recorder.tokens;
}

using Tokens = std::vector<std::string>;

TEST(JsonText, EveryKindWithItsExactText)
{
    EXPECT_EQ(
        tokens_of(" {\"a\" : [ 1 , -2.50e0\t,true,false , null ] ,\n\"b\":{ } , \"c\":[ ],\"d\":\"x\" } "),
        (Tokens{"{", "key a", "[", "number 1", "number -2.50e0", "boolean true", "boolean false", "null null",
                "] [ 1 , -2.50e0\t,true,false , null ]", "key b", "{", "} { }", "key c", "[", "] [ ]",
                "key d", "string \"x\" = x",
                "} {\"a\" : [ 1 , -2.50e0\t,true,false , null ] ,\n\"b\":{ } , \"c\":[ ],\"d\":\"x\" }"}));
    EXPECT_EQ(tokens_of("\"\""), Tokens{"string \"\" = "});
    EXPECT_EQ(tokens_of(" 0 "), Tokens{"number 0"});
    EXPECT_EQ(tokens_of("null"), Tokens{"null null"});
}

/* The decoded text of the one string that `json` is. */
std::string decoded(const std::string &json)
{
    const Tokens tokens = tokens_of(json);
    const std::string before = "string " + json + " = ";
    EXPECT_EQ(tokens.size(), 1u);
    EXPECT_EQ(tokens[0].substr(0, before.size()), before);
    return tokens[0].substr(before.size());
}

TEST(JsonText, Escapes)
{
    EXPECT_EQ(decoded(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
    EXPECT_EQ(decoded(R"("a\u0041\u00e4\u00E4\u20AC")"), "aA\xC3\xA4\xC3\xA4\xE2\x82\xAC");
    EXPECT_EQ(decoded(R"("\ud83d\ude00\uD83D\uDE00")"), "\xF0\x9F\x98\x80\xF0\x9F\x98\x80");
    EXPECT_EQ(decoded(R"("\uFFFF\uE000\uD7FF")"), "\xEF\xBF\xBF\xEE\x80\x80\xED\x9F\xBF");
    EXPECT_EQ(decoded("\"\x7F\xC2\x80\xF4\x8F\xBF\xBF\""), "\x7F\xC2\x80\xF4\x8F\xBF\xBF");
    EXPECT_EQ(tokens_of(R"({"\u0069d":1})"), (Tokens{"{", "key id", "number 1", R"(} {"\u0069d":1})"}));
}

TEST(JsonText, WhatNoTextCanHoldIsToldOf)
{
    const std::string nul(1, '\0');
    EXPECT_EQ(decoded(R"("\u0000")"), nul + " (NUL)");
    EXPECT_EQ(decoded(R"("a\u0000b")"), "a" + nul + "b (NUL)");
    for (const char *half : {R"("\ud800")", R"("\udfff")", R"("\uDBFF")", R"("\uDC00")"})
        EXPECT_EQ(decoded(half), nul + " (NUL)") << half;
    EXPECT_EQ(decoded(R"("\udc00\ud800")"), nul + nul + " (NUL)");
    EXPECT_EQ(decoded(R"("\ud800\ud83d\ude00")"), nul + "\xF0\x9F\x98\x80 (NUL)");
    EXPECT_EQ(decoded(R"("\ud800\n")"), nul + "\n (NUL)");
    EXPECT_EQ(decoded(R"("\ud800x")"), nul + "x (NUL)");
    /* an escaped backslash, not a surrogate */
    EXPECT_EQ(decoded(R"("\\ud800")"), "\\ud800");
    EXPECT_EQ(decoded(R"("\\\ud800")"), "\\" + nul + " (NUL)");
    EXPECT_EQ(tokens_of(R"({"\ud800":"\ud83d\ude00"})")[1], "key " + nul + " (NUL)");
    EXPECT_EQ(tokens_of(R"({"k\u0000":1})")[1], "key k" + nul + " (NUL)");
}

TEST(JsonText, NumbersKeepTheirText)
{
    const std::string nines(2000, '9');
    for (const std::string &number : {"0"s,
                                      "-0"s,
                                      "0.0"s,
                                      "-0.0e-0"s,
                                      "900719925474010002"s,
                                      "123456789012345678901234567890"s,
                                      "1e5"s,
                                      "1E+5"s,
                                      "1e308"s,
                                      "1e309"s,
                                      "-1e309"s,
                                      "1e-400"s,
                                      "0e999999999999"s,
                                      "1e99999999999999999999"s,
                                      "1e-99999999999999999999"s,
                                      nines,
                                      "-" + nines,
                                      nines + "." + nines,
                                      "0." + nines,
                                      std::string(250, '9') + "e99",
                                      std::string(299, '9') + "e9",
                                      "1." + std::string(400, '0') + "1"}) {
        EXPECT_EQ(tokens_of(number), Tokens{"number " + number});
        EXPECT_EQ(tokens_of("[" + number + "," + number + "]"),
                  (Tokens{"[", "number " + number, "number " + number, "] [" + number + "," + number + "]"}));
    }
}

/* A number beyond a double means to begin again with a copy: what is told is the same as without it. */
TEST(JsonText, BeginningAgainChangesNothing)
{
    const std::string before = R"({"a":["x\u0041",{"k":null}],"b":"1e999 \"","c":)";
    for (const std::string &after : {R"(,"d":[1,"\ud83d\ude00"]})"s, "}"s}) {
        std::pmr::monotonic_buffer_resource arena;
        Recorder plain, again;
        EXPECT_EQ(read_json(before + "123456" + after, arena, plain), "");
        const std::string big = before + "1e9999" + after;
        EXPECT_EQ(read_json(big, arena, again), "");
        EXPECT_EQ(plain.restarts, 0);
        /* with a surrogate in it the copy is made at once */
        EXPECT_EQ(again.restarts, after.find("\\u") == after.npos ? 1 : 0);
        for (std::string &token : plain.tokens) {
            for (std::size_t at; (at = token.find("123456")) != token.npos;)
                token.replace(at, 6, "1e9999");
        }
        EXPECT_EQ(plain.tokens, again.tokens);
    }
}

TEST(JsonText, TheHandlerCanEndTheReading)
{
    const std::string_view json = R"({"a":[1,"x"],"b":{}} garbage)";
    for (std::size_t stop = 1; stop <= 9; stop++) {
        std::pmr::monotonic_buffer_resource arena;
        Recorder recorder;
        recorder.stop_after = stop;
        EXPECT_EQ(read_json(json, arena, recorder), "");
        EXPECT_EQ(recorder.tokens.size(), stop);
    }
}

TEST(JsonText, NoNestingExhaustsTheStack)
{
    constexpr std::size_t deep = 200'000;
    EXPECT_EQ(problem_of(std::string(deep, '[') + std::string(deep, ']')), "");
    EXPECT_NE(problem_of(std::string(deep, '[')), "");
    std::string objects;
    for (std::size_t i = 0; i < deep; i++)
        objects += "{\"\":";
    EXPECT_NE(problem_of(objects), "");
    EXPECT_EQ(problem_of(objects + "1" + std::string(deep, '}')), "");
    EXPECT_EQ(array_literal(std::string(deep, '[') + std::string(deep, ']')),
              std::string(deep, '{') + std::string(deep, '}'));
}

TEST(JsonText, WhatIsNoJson)
{
    const std::string nul(1, '\0');
    for (const std::string &json : {""s,
                                    " "s,
                                    "\xEF\xBB\xBF{}"s,
                                    "{"s,
                                    "}"s,
                                    "["s,
                                    "]"s,
                                    "[1"s,
                                    "[1,"s,
                                    "[1,]"s,
                                    "[,1]"s,
                                    "[1,,2]"s,
                                    "[1 2]"s,
                                    "[1]]"s,
                                    "[1] 2"s,
                                    "{} {}"s,
                                    "{}x"s,
                                    "{},"s,
                                    "[1}"s,
                                    "{\"a\":1]"s,
                                    "{a:1}"s,
                                    "{'a':1}"s,
                                    "{\"a\"}"s,
                                    "{\"a\":}"s,
                                    "{\"a\":1,}"s,
                                    "{,}"s,
                                    "{\"a\" 1}"s,
                                    "{1:1}"s,
                                    "{null:1}"s,
                                    "{\"a\":1 \"b\":2}"s,
                                    "{\"a\"::1}"s,
                                    ":"s,
                                    ","s,
                                    "'a'"s,
                                    "\""s,
                                    "\"a"s,
                                    "\"\\\""s,
                                    "\"\\x\""s,
                                    "\"\\a\""s,
                                    "\"\\'\""s,
                                    "\"\\u\""s,
                                    "\"\\u12\""s,
                                    "\"\\u123\""s,
                                    "\"\\u123g\""s,
                                    "\"\\uD80\""s,
                                    "\"\\U0041\""s,
                                    "\"\\u 041\""s,
                                    "\"a\nb\""s,
                                    "\"a\tb\""s,
                                    "\"\x1F\""s,
                                    "\"" + nul + "\"",
                                    nul,
                                    "1" + nul,
                                    nul + "1",
                                    "{}" + nul,
                                    "[1," + nul + "2]",
                                    "{\"a\"" + nul + ":1}",
                                    "tru"s,
                                    "True"s,
                                    "TRUE"s,
                                    "truefalse"s,
                                    "nul"s,
                                    "nulll"s,
                                    "falsee"s,
                                    "undefined"s,
                                    "NaN"s,
                                    "nan"s,
                                    "Infinity"s,
                                    "-Infinity"s,
                                    "inf"s,
                                    "+1"s,
                                    "-"s,
                                    "--1"s,
                                    "-+1"s,
                                    "01"s,
                                    "-01"s,
                                    "00"s,
                                    ".5"s,
                                    "-.5"s,
                                    "1."s,
                                    "1.e5"s,
                                    "1e"s,
                                    "1e+"s,
                                    "1e-"s,
                                    "1e5.5"s,
                                    "1e5e5"s,
                                    "0x10"s,
                                    "1_000"s,
                                    "1,000"s,
                                    "1 000"s,
                                    "--1e999"s,
                                    "01e999"s,
                                    "1e999.5"s,
                                    "1e9999.+-"s,
                                    "1e999e999"s,
                                    "-e999"s,
                                    "1e+-999"s,
                                    "1.e999"s,
                                    "[1e9991e999]x"s,
                                    "//x\n1"s,
                                    "/*x*/1"s,
                                    "1//"s,
                                    "#1"s,
                                    "\x0B"
                                    "1"s,
                                    "\xC2\xA0"
                                    "1"s,
                                    "\f1"s}) {
        EXPECT_NE(problem_of(json), "") << testing::PrintToString(json);
        EXPECT_FALSE(reference::read_json(json)) << testing::PrintToString(json);
        /* the same where the reader works on a masked copy */
        EXPECT_NE(problem_of("[\"\\ud800\",1e999," + json + "]"), "") << testing::PrintToString(json);
    }
}

TEST(JsonText, TheProblemNamesItsByte)
{
    EXPECT_EQ(problem_of("[1,2,x]").substr(0, 23), "invalid JSON at byte 5:");
    EXPECT_EQ(problem_of("[1e999,x]").substr(0, 23), "invalid JSON at byte 7:");
}

/* Numbers that no double holds and halves of pairs once made the reader search to the body's end at each
 * number. */
TEST(JsonText, MaskedTextsAreReadInLinearTime)
{
    for (const std::string first : {"\"\\ud800\"", "1e999"}) {
        std::string json = "[" + first;
        for (int i = 0; i < 500'000; i++)
            json += ",1";
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_EQ(problem_of(json + "]"), "");
        EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
    }
}

/* Texts made of tokens in random order, and well-formed ones with a byte changed, against the reference. */
TEST(JsonText, RandomTextsAsReference)
{
    const char *const pieces[] = {"{",        "}",           "[",    "]",      ":",     ",",
                                  " ",        "\"a\"",       "1",    "-1.5e3", "1e999", "null",
                                  "true",     "false",       "\"\"", "\"\\",   "u0000", "\"\\ud800\"",
                                  "\"\\\"\"", "{\"k\":[0]}", "e"};
    std::mt19937_64 random(3);
    int accepted = 0;
    for (int i = 0; i < 200'000; i++) {
        std::string json;
        for (std::uint64_t n = 1 + random() % 8; n > 0; n--)
            json += pieces[random() % std::size(pieces)];
        if (random() % 2)
            json = "[" + json + "]";
        const bool ok = problem_of(json).empty();
        ASSERT_EQ(ok, reference::read_json(json).has_value()) << json;
        accepted += ok;
    }
    EXPECT_GT(accepted, 1000);
}

TEST(ArrayLiteral, Table)
{
    const std::pair<const char *, const char *> cases[] = {
        {"[]", "{}"},
        {"[1]", R"({"1"})"},
        {R"(["a", null, [1]])", R"({"a",NULL,{"1"}})"},
        {R"(["NULL","null","",null])", R"({"NULL","null","",NULL})"},
        {"[true,false,-1.50e3,1e999]", R"({"true","false","-1.50e3","1e999"})"},
        {R"(["a\"b","c\\d","e,f","{g}"," "])", R"({"a\"b","c\\d","e,f","{g}"," "})"},
        {"[[1,2],[3,4]]", R"({{"1","2"},{"3","4"}})"},
        {"[[],[]]", "{{},{}}"},
        {R"([{"a":[1,{"b":"}"}]},{}])", R"({"{\"a\":[1,{\"b\":\"}\"}]}","{}"})"},
        {R"(["\u00e4\n"])", "{\"\xC3\xA4\n\"}"},
        {R"( [ "x" , 1 ] )", R"({"x","1"})"},
        {R"([["{"],["a"]])", R"({{"{"},{"a"}})"},
    };
    for (const auto &[json, literal] : cases)
        EXPECT_EQ(array_literal(json), literal) << json;
}

TEST(ArrayLiteral, ElementsThatAreJsonThemselves)
{
    EXPECT_EQ(array_literal(R"(["a",1,null,{"k":"v"},["\u0041"]])", true),
              R"({"\"a\"","1",NULL,"{\"k\":\"v\"}",{"\"\\u0041\""}})");
}

TEST(ArenaCopy, CopiesAreIndependent)
{
    std::pmr::monotonic_buffer_resource arena;
    std::string text = "text";
    const std::string_view copy = arena_copy(arena, text);
    text = "gone";
    EXPECT_EQ(copy, "text");
    EXPECT_EQ(arena_copy(arena, ""), "");
}

} // namespace
} // namespace cxone_sync
