#include "core/json_pointer.h"
#include "core/pointer_meant.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

TEST(PointerMeant, OtherNotationsAreUnderstood)
{
    const struct {
        const char *text;
        const char *pointer;
    } table[] = {
        {"data", "/data"},
        {"data.call", "/data/call"},
        {"data/call", "/data/call"},
        {"$.data.call", "/data/call"},
        {"$['data']['call id']", "/data/call id"},
        {"$.items[0].id", "/items/0/id"},
        {"#/data/call", "/data/call"},
        {"data->'call'->>'id'", "/data/call/id"},
        {"{data,call}", "/data/call"},
        {"/a~2", "/a~02"},
        {"/~", "/~0"},
        {"/a~1b/~", "/a~1b/~0"},
        {"a~b.c", "/a~0b/c"},
    };
    for (const auto &row : table) {
        EXPECT_FALSE(parse_json_pointer(row.text)) << row.text;
        EXPECT_EQ(json_pointer_meant(row.text), row.pointer);
    }
}

TEST(PointerMeant, ThereIsNoGuessBeyondTheLimits)
{
    std::string steps = "a";
    for (int i = 0; i < 64; i++)
        steps += ".a";
    EXPECT_EQ(json_pointer_meant(steps), "");
    EXPECT_EQ(json_pointer_meant(std::string(1000, 'a')), "");
    EXPECT_EQ(json_pointer_meant(std::string(2000000, 'a')), "");
    EXPECT_EQ(json_pointer_meant(""), "");
}

} // namespace
} // namespace cxone_sync
