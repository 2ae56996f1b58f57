#include "core/json_pointer.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

using Tokens = std::vector<std::string>;

/* RFC 6901 section 5, and what section 3 allows besides. */
TEST(JsonPointer, TokensAreDecoded)
{
    const struct {
        const char *pointer;
        Tokens tokens;
    } table[] = {
        {"", {}},
        {"/foo", {"foo"}},
        {"/foo/0", {"foo", "0"}},
        {"/", {""}},
        {"/a~1b", {"a/b"}},
        {"/c%d", {"c%d"}},
        {"/e^f", {"e^f"}},
        {"/g|h", {"g|h"}},
        {"/i\\j", {"i\\j"}},
        {"/k\"l", {"k\"l"}},
        {"/ ", {" "}},
        {"/m~0n", {"m~n"}},
        {"//", {"", ""}},
        {"/a//b/", {"a", "", "b", ""}},
        {"/~01", {"~1"}}, /* not "/": a ~0 makes no new escape */
        {"/~0~1~00/~1~1", {"~/~0", "//"}},
        {"/items/-", {"items", "-"}},
        {"/gr\xC3\xBC", {"gr\xC3\xBC"}},
    };
    for (const auto &row : table) {
        const auto tokens = parse_json_pointer(row.pointer);
        ASSERT_TRUE(tokens) << row.pointer;
        EXPECT_EQ(*tokens, row.tokens) << row.pointer;
    }
}

TEST(JsonPointer, WhatIsNone)
{
    for (const char *text :
         {"a", "a/b", " /a", "#/a", "~0", "/~", "/a~", "/a/~", "/~2", "/~a", "/~/0", "/a~~1"})
        EXPECT_FALSE(parse_json_pointer(text)) << text;
}

TEST(JsonPointer, AnEncodedTokenIsReadBack)
{
    EXPECT_EQ(json_pointer_to("", ""), "/");
    EXPECT_EQ(json_pointer_to("", "a"), "/a");
    EXPECT_EQ(json_pointer_to("/a", "b/c~d"), "/a/b~1c~0d");
    Tokens tokens;
    std::string pointer;
    for (const char *token : {"", "a", "~", "/", "~1", "~0~01/", "0", "a b\"\\"}) {
        tokens.emplace_back(token);
        pointer = json_pointer_to(pointer, token);
        EXPECT_EQ(parse_json_pointer(pointer), tokens) << pointer;
    }
}

} // namespace
} // namespace cxone_sync
