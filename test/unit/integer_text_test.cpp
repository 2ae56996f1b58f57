#include "core/integer_text.h"

#include <gtest/gtest.h>

#include <string>

namespace cxone_sync {
namespace {

std::string integer(const std::string &number)
{
    IntegerText buffer;
    return std::string(integer_text(number, buffer));
}

TEST(IntegerText, NumbersThatAreIntegers)
{
    const struct {
        const char *number, *text;
    } table[] = {
        {"0", "0"},
        {"-0", "-0"},
        {"7", "7"},
        {"-12", "-12"},
        {"5.0", "5"},
        {"-5.000", "-5"},
        {"1E2", "100"},
        {"1e+2", "100"},
        {"-1e2", "-100"},
        {"100e-2", "1"},
        {"1200e-2", "12"},
        {"1.5e1", "15"},
        {"12.34e2", "1234"},
        {"12.34e3", "12340"},
        {"12.340E2", "1234"},
        {"0.0012e4", "12"},
        {"0.0", "0"},
        {"-0.0", "0"},
        {"0e5", "0"},
        {"0e99999999999999999999", "0"},
        {"0.000e-99999999999999999999", "0"},
        {"10e0", "10"},
        {"9223372036854775807.0", "9223372036854775807"},
        {"-9223372036854775808.0", "-9223372036854775808"},
        {"9.223372036854775807e18", "9223372036854775807"},
        {"-99999999999999999999.0", "-99999999999999999999"},
        {"1e19", "10000000000000000000"},
    };
    for (const auto &row : table)
        EXPECT_EQ(integer(row.number), row.text) << row.number;
    EXPECT_EQ(integer("7." + std::string(100'000, '0')), "7");
    EXPECT_EQ(integer("7" + std::string(100'000, '0') + "e-100000"), "7");
    EXPECT_EQ(integer("0." + std::string(100'000, '0') + "7e100001"), "7");
}

TEST(IntegerText, OtherNumbersStayAsTheyAre)
{
    for (const char *number :
         {"1.5", "0.1", "-0.5", "1e-1", "15e-1", "1e20", "123e18", "1e400", "1e99999999999999999999",
          "1e-99999999999999999999", "1.0000000000000000000000001"})
        EXPECT_EQ(integer(number), number);
    EXPECT_EQ(integer("100000000000000000000.0"), "100000000000000000000.0");
}

} // namespace
} // namespace cxone_sync
