#include "core/range_text.h"

#include "zones.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cxone_sync {
namespace {

constexpr const char *no_range =
    "is not a range of times, such as [2026-01-02T03:04:05Z,2026-01-03T00:00:00Z)";

/* What becomes of the range, or why it is refused. */
std::string rewritten(const std::string &text, TimeKind bounds = TimeKind::instant,
                      const TimeZone *zone = nullptr)
{
    std::string result;
    const char *wrong = rewrite_range(text, bounds, zone, result);
    if (wrong)
        return wrong;
    /* what is written is read as itself */
    std::string again;
    EXPECT_EQ(rewrite_range(result, bounds, nullptr, again), nullptr) << result;
    EXPECT_EQ(again, result);
    return result;
}

TEST(RangeText, BoundsAreReadAsTimes)
{
    const struct {
        const char *text, *result;
    } table[] = {
        {"[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z)", "[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z)"},
        {"(\"2024-01-01 01:00:00+0100\",\"2024-01-02 00:00:00.5Z\"]",
         "(2024-01-01T00:00:00Z,2024-01-02T00:00:00.500000Z]"},
        {"[1704067200000,1704153600)", "[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z)"},
        {"[2024-01-01T00:00:00Z,]", "[2024-01-01T00:00:00Z,]"},
        {"(,2024-01-01T00:00:00Z)", "(,2024-01-01T00:00:00Z)"},
        {"(,)", "(,)"},
        {" \t[ 2024-01-01T00:00:00Z , \"2024-01-02T00:00:00Z \" ) \n",
         "[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z)"},
        {"[2024-01-01T00:00:00\\Z,2024\"-01-02\"T00:00:00Z)", "[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z)"},
        {"empty", "empty"},
        {"  EMPTY ", "empty"},
        {"{}", "{}"},
        {" { } ", "{}"},
        {"{[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z), (\"1704240000\",]}",
         "{[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z),(2024-01-03T00:00:00Z,]}"},
        {"{ empty , (,) }", "{empty,(,)}"},
    };
    for (const auto &row : table)
        EXPECT_EQ(rewritten(row.text), row.result) << row.text;
}

TEST(RangeText, BoundsFollowTheRulesOfTheirKind)
{
    const TimeZone zone = zones::berlin();
    const std::string text = "[2024-07-01 00:00:00,2024-12-01)";
    EXPECT_EQ(rewritten(text, TimeKind::instant, &zone), "[2024-06-30T22:00:00Z,2024-11-30T23:00:00Z)");
    EXPECT_EQ(rewritten(text, TimeKind::local, &zone), "[2024-07-01T00:00:00,2024-12-01T00:00:00)");
    EXPECT_EQ(rewritten(text, TimeKind::date, &zone), "[2024-07-01,2024-12-01)");
    EXPECT_EQ(rewritten(text),
              "has no offset from UTC, and cxone_sync.time_zone does not say which zone it means");
}

TEST(RangeText, WhatIsNoBound)
{
    for (const char *bound :
         {"now", "tomorrow", "infinity", "-infinity", "epoch", "12/06/2026", "2024-02-30", "7", "\"now\"",
          "n\\ow", "2024-01-01T00:00:00", "[2024-01-01", "2024-01-01T00:00:00Z\"\""}) {
        const bool is_good = std::string(bound).ends_with("\"\"");
        for (const std::string &text :
             {"[" + std::string(bound) + ",)", "(," + std::string(bound) + "]",
              "{[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z),(," + std::string(bound) + "]}"}) {
            const std::string result = rewritten(text);
            EXPECT_EQ(result.find_first_of("[({") == 0, is_good) << text << " " << result;
            EXPECT_NE(result, no_range) << text;
        }
    }
    for (const char *text : {"[\"\",)", "[ ,)", "(,\" \")"})
        EXPECT_EQ(rewritten(text), "has a bound that is empty") << text;
}

TEST(RangeText, WhatIsNoRange)
{
    const std::string day = "2024-01-01T00:00:00Z";
    for (const std::string &text : std::vector<std::string>{"",
                                                            " ",
                                                            day,
                                                            "[" + day,
                                                            "[" + day + ",",
                                                            "[" + day + "," + day,
                                                            "[" + day + "]",
                                                            "[" + day + ")",
                                                            "[,,]",
                                                            "[,]x",
                                                            "[,](,)",
                                                            "x[,]",
                                                            "emptyx",
                                                            "empty,",
                                                            "emp",
                                                            "{",
                                                            "}",
                                                            "{[,)",
                                                            "{[,),}",
                                                            "{,[,)}",
                                                            "{[,)}}",
                                                            "{[,)} x",
                                                            "{[,) (,]}",
                                                            "{" + day + "}",
                                                            "{{[,)}}",
                                                            "[\"" + day + ",)",
                                                            "[" + day + "\\",
                                                            "[\"" + day + "\\",
                                                            "]" + day + ",["})
        EXPECT_EQ(rewritten(text), no_range) << text;
}

} // namespace
} // namespace cxone_sync
