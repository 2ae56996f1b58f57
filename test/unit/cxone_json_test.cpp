#include "core/utf8.h"
#include "cxone/json_value.h"
#include "cxone/service_words.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace cxone_sync {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::string repeated(std::string_view text, std::size_t count)
{
    std::string result;
    for (std::size_t i = 0; i < count; i++)
        result += text;
    return result;
}

/* ---- JsonValue ---- */

JsonValue parsed(std::string_view json)
{
    std::string problem = "not set";
    std::optional<JsonValue> value = parse_json_value(json, problem);
    EXPECT_TRUE(value) << problem;
    EXPECT_EQ(problem, "");
    return value.value_or(JsonValue());
}

std::string problem_of(std::string_view json)
{
    std::string problem;
    EXPECT_FALSE(parse_json_value(json, problem)) << json.substr(0, 80);
    return problem;
}

TEST(CxoneJsonValue, Scalars)
{
    EXPECT_EQ(parsed("null").kind, JsonKind::null);
    EXPECT_EQ(parsed("null").text, "");
    EXPECT_EQ(parsed(" true ").text, "true");
    EXPECT_EQ(parsed("false").kind, JsonKind::boolean);
    EXPECT_EQ(parsed("\"a\\u00fc\\n\"").text, "aü\n");
    EXPECT_EQ(parsed("\"\"").kind, JsonKind::string);
}

TEST(CxoneJsonValue, NumbersKeepAllDigits)
{
    const std::string long_number(400, '9');
    for (const std::string &number : {"900719925474010002"s, "-0"s, "1.000"s, "1e400"s, "-1E-400"s,
                                      "18446744073709551616"s, long_number, "0." + long_number}) {
        EXPECT_EQ(parsed(number).text, number);
        EXPECT_EQ(parsed(number).kind, JsonKind::number);
        EXPECT_EQ(parsed("{\"id\": " + number + ", \"x\": \"\\ud800\"}").text_of("id"), number);
    }
}

TEST(CxoneJsonValue, Trees)
{
    const JsonValue value = parsed(R"({"a": [1, {"b": "c"}, []], "d": {"e": {}}, "f": null})");
    ASSERT_TRUE(value.is_object());
    ASSERT_EQ(value.keys.size(), 3u);
    const JsonValue &list = *value.find("a");
    ASSERT_EQ(list.elements.size(), 3u);
    EXPECT_FALSE(list.is_object());
    EXPECT_EQ(list.elements[0].text, "1");
    EXPECT_EQ(list.elements[1].text_of("b"), "c");
    EXPECT_EQ(list.elements[2].kind, JsonKind::array);
    EXPECT_TRUE(value.find("d")->find("e")->is_object());
    EXPECT_EQ(value.find("f")->kind, JsonKind::null);
    EXPECT_EQ(value.find("g"), nullptr);
    EXPECT_EQ(list.find("a"), nullptr);
}

/* Siblings that come later must not move what is still open. */
TEST(CxoneJsonValue, ManySiblings)
{
    const JsonValue value = parsed("[" + repeated("[[1],{\"k\":{\"l\":[2]}}],", 1000) + "0]");
    ASSERT_EQ(value.elements.size(), 1001u);
    for (std::size_t i = 0; i < 1000; i++) {
        const JsonValue &pair = value.elements[i];
        ASSERT_EQ(pair.elements.size(), 2u);
        ASSERT_EQ(pair.elements[0].elements.at(0).text, "1");
        ASSERT_EQ(pair.elements[1].find("k")->find("l")->elements.at(0).text, "2");
    }
}

TEST(CxoneJsonValue, TextOf)
{
    const JsonValue value =
        parsed(R"({"s": "x", "n": 7, "empty": "", "t": true, "null": null, "a": ["x"], "o": {"s": "x"}})");
    EXPECT_EQ(value.text_of("s"), "x");
    EXPECT_EQ(value.text_of("n"), "7");
    for (const char *key : {"empty", "t", "null", "a", "o", "missing", "", "S"})
        EXPECT_EQ(value.text_of(key), "") << key;
    EXPECT_EQ(parsed("\"s\"").text_of("s"), "");
}

TEST(CxoneJsonValue, OfEqualKeysTheLastCounts)
{
    const JsonValue value = parsed(R"({"a": 1, "a": 2, "\u0061": 3})");
    EXPECT_EQ(value.keys.size(), 3u);
    EXPECT_EQ(value.text_of("a"), "3");
}

TEST(CxoneJsonValue, NulInTexts)
{
    const JsonValue value = parsed(R"({"a\u0000b": "c\u0000d", "a": "e"})");
    EXPECT_EQ(value.text_of("a\0b"sv), "c\0d"sv);
    EXPECT_EQ(value.text_of("a"), "e");
}

TEST(CxoneJsonValue, Depth)
{
    EXPECT_EQ(problem_of(repeated("[", 33) + repeated("]", 33)), "the JSON is nested too deep");
    EXPECT_EQ(problem_of(repeated("{\"a\":", 32) + "{}" + repeated("}", 32)), "the JSON is nested too deep");
    EXPECT_EQ(problem_of(repeated("[", 1'000'000)), "the JSON is nested too deep");
    (void)parsed(repeated("[", 32) + repeated("]", 32));
    (void)parsed(repeated("{\"a\":", 31) + "{\"a\":1}" + repeated("}", 31));
    /* beside each other they may be many */
    (void)parsed("[" + repeated("[[]],", 1000) + "[]]");
}

TEST(CxoneJsonValue, NumberOfValues)
{
    EXPECT_EQ(parsed("[" + repeated("0,", 99'998) + "0]").elements.size(), 99'999u);
    EXPECT_EQ(problem_of("[" + repeated("0,", 99'999) + "0]"), "the JSON has too many values");
    EXPECT_EQ(problem_of("[" + repeated("[],", 400'000) + "0]"), "the JSON has too many values");
}

TEST(CxoneJsonValue, WhatIsNoJson)
{
    for (const std::string_view json :
         {""sv, " "sv, "{"sv, "[1,]"sv, "{\"a\":}"sv, "nul"sv, "1 2"sv, "'a'"sv, "[1]x"sv, "01"sv,
          "\"a\nb\""sv, "<html>"sv, "\xEF\xBB\xBF{}"sv, "\"\\x\""sv, "NaN"sv, "//c\n1"sv})
        EXPECT_TRUE(problem_of(json).starts_with("invalid JSON at byte ")) << json;
    for (const std::string_view json :
         {"\"\xFF\""sv, "\"\xC0\x80\""sv, "\"\xED\xA0\x80\""sv, "\xFE"sv, "1\0"sv})
        EXPECT_EQ(problem_of(json), "the reply is not valid UTF-8");
}

TEST(CxoneJsonValue, WipeOverwritesEveryText)
{
    JsonValue value = parsed(R"({"a": "secret", "b": ["secret", {"c": "secret"}]})");
    value.wipe();
    EXPECT_EQ(value.find("a")->text, std::string(6, '\0'));
    EXPECT_EQ(value.find("b")->elements[0].text, std::string(6, '\0'));
    EXPECT_EQ(value.find("b")->elements[1].find("c")->text, std::string(6, '\0'));
    JsonValue().wipe();
}

/* ---- what the service says ---- */

std::string words(std::string_view body, const char *type = "application/json")
{
    HttpResult reply;
    reply.content_type = type;
    reply.body = body;
    return service_words(reply);
}

TEST(CxoneServiceWords, ErrorBodies)
{
    EXPECT_EQ(words(R"({"error":"invalid_client","error_description":"Wrong secret"})"),
              "invalid_client: Wrong secret");
    EXPECT_EQ(words(R"({"error":"invalid_client","errorDescription":"Wrong secret"})"),
              "invalid_client: Wrong secret");
    EXPECT_EQ(words(R"({"errors":[{"message":"first"},{"message":"second"}]})"), "first: second");
    EXPECT_EQ(words(R"({"errors":["first",{"code":7},{"message":"second"}]})"), "first: second");
    EXPECT_EQ(words(R"({"message":"Too many requests"})"), "Too many requests");
    EXPECT_EQ(words(R"({"error":{"code":401,"message":"Unauthorized"}})"), "Unauthorized");
    EXPECT_EQ(words(R"({"error":"x"})", ""), "x");
    EXPECT_EQ(words(R"({"error_description":"only this"})"), "only this");
}

TEST(CxoneServiceWords, Detail)
{
    EXPECT_EQ(words(R"({"detail":"Not authenticated"})"), "Not authenticated");
    /* FastAPI's list of what is wrong with a request */
    const std::string list = R"({"detail":[{"loc":["body","name"],"msg":"field required"}]})";
    EXPECT_NE(words(list).find("field required"), std::string::npos);
}

TEST(CxoneServiceWords, TheSameIsNotSaidTwice)
{
    EXPECT_EQ(words(R"({"error":"Unauthorized","message":"Unauthorized"})"), "Unauthorized");
    EXPECT_EQ(words(R"({"error":"","message":"m"})"), "m");
}

TEST(CxoneServiceWords, OtherJsonIsShownAsItIs)
{
    for (const char *body :
         {"{}", "null", "[]", R"({"code":7})", R"({"error":null})", R"({"errors":{"a":1}})",
          R"("only a text")", R"({"error":true})", "[{\"message\":\"m\"}]"})
        EXPECT_EQ(words(body), body);
}

TEST(CxoneServiceWords, Html)
{
    EXPECT_EQ(words("<!DOCTYPE html><html><head><TITLE lang=\"en\">502 Bad Gateway</TITLE>", "text/html"),
              "an HTML page, \"502 Bad Gateway\"");
    EXPECT_EQ(words("\r\n <html><title>Sign in</title>", "text/plain"), "an HTML page, \"Sign in\"");
    EXPECT_EQ(words("<html><body>no title", "text/html; charset=utf-8"), "an HTML page");
    EXPECT_EQ(words("<title", "text/html"), "an HTML page");
    EXPECT_EQ(words("<title>", "text/html"), "an HTML page");
    EXPECT_EQ(words("<title>cut o", "text/html"), "an HTML page");
    EXPECT_EQ(words("<title></title>", "text/html"), "an HTML page, \"\"");
    EXPECT_EQ(words("{\"error\":\"x\"}", "application/xhtml+xml"), "an HTML page");
}

TEST(CxoneServiceWords, PlainTextOrNothing)
{
    EXPECT_EQ(words("upstream timed out\n", "text/plain"), "upstream timed out\n");
    EXPECT_EQ(words("\xFF\xFE", "text/plain"), "\xFF\xFE");
    EXPECT_EQ(words(""), "");
    EXPECT_EQ(words("", ""), "");
    EXPECT_EQ(words("{\"error\":"), "{\"error\":");
}

TEST(CxoneServiceWords, NoPageIsNoHtml)
{
    EXPECT_EQ(words("", "text/html"), "");
    EXPECT_EQ(words("no tags at all, and a type in capitals", "TEXT/HTML"), "an HTML page");
}

/* ---- one line ---- */

TEST(CxoneOneLine, ControlCharactersBecomeSpaces)
{
    EXPECT_EQ(one_line("a\r\nb\tc\0d\x1B[31m\x7F"sv, 100), "a  b c d [31m ");
    EXPECT_EQ(one_line("a\u0080b\u0085c\u009Bd\u009F", 100), "a b c d ");
    EXPECT_EQ(one_line("\u00A0ü€😀", 100), "\u00A0ü€😀");
    EXPECT_EQ(one_line("", 100), "");
}

TEST(CxoneOneLine, InvalidUtf8BecomesSpaces)
{
    EXPECT_EQ(one_line("a\xFF\xFE"
                       "b",
                       100),
              "a  b");
    EXPECT_EQ(one_line("\xC0\x80|\xED\xA0\x80|\xF4\x90\x80\x80|\xE2\x82", 100), "  |   |    |  ");
    EXPECT_EQ(one_line("\x80\xBF", 100), "  ");
    EXPECT_EQ(one_line("\xF0\x9F\x98", 100), "   ");
    EXPECT_EQ(one_line("\xC3", 100), " ");
}

TEST(CxoneOneLine, Limits)
{
    const std::string text(600, 'x');
    EXPECT_EQ(one_line(text.substr(0, 497), 500), text.substr(0, 497));
    EXPECT_EQ(one_line(text, 500), text.substr(0, 497) + "...");
    EXPECT_EQ(one_line(text, 3), "...");
    EXPECT_EQ(one_line("", 0), "");
}

TEST(CxoneOneLine, WhatFitsIsNotCut)
{
    EXPECT_EQ(one_line("abcde", 5), "abcde");
    EXPECT_EQ(one_line("ab", 2), "ab");
    EXPECT_LE(one_line("abc", 2).size(), 2u);
    EXPECT_LE(one_line("abc", 0).size(), 0u);
}

TEST(CxoneOneLine, NoCharacterIsSplit)
{
    for (const std::string_view character : {"x"sv, "ü"sv, "€"sv, "😀"sv, "\xFF"sv}) {
        const std::string text = repeated(character, 40);
        for (std::size_t size = 3; size < 60; size++) {
            const std::string line = one_line(text, size);
            EXPECT_LE(line.size(), size);
            EXPECT_GT(line.size() + 7, std::min(size, text.size())) << size;
            EXPECT_TRUE(is_valid_utf8(line)) << line;
        }
    }
}

TEST(CxoneOneLine, ALargeTextIsQuick)
{
    EXPECT_EQ(one_line(std::string(1 << 20, '\xF0'), 500).size(), 500u);
}

} // namespace
} // namespace cxone_sync
