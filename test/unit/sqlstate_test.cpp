#include "core/sqlstate.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

TEST(Sqlstate, SingleCodesComeBeforeTheirClass)
{
    EXPECT_EQ(kind_of_error("40001"), ErrorKind::race);
    EXPECT_EQ(kind_of_error("40P01"), ErrorKind::race);
    EXPECT_EQ(kind_of_error("40003"), ErrorKind::race);
    EXPECT_EQ(kind_of_error("55P03"), ErrorKind::passing);
    EXPECT_EQ(kind_of_error("55000"), ErrorKind::extension);
    EXPECT_EQ(kind_of_error("XX000"), ErrorKind::internal);
    EXPECT_EQ(kind_of_error("XX001"), ErrorKind::server);
    EXPECT_EQ(kind_of_error("XX002"), ErrorKind::server);
}

TEST(Sqlstate, Classes)
{
    EXPECT_EQ(kind_of_error("22P02"), ErrorKind::value);
    EXPECT_EQ(kind_of_error("23505"), ErrorKind::constraint);
    EXPECT_EQ(kind_of_error("3F000"), ErrorKind::target);
    EXPECT_EQ(kind_of_error("42501"), ErrorKind::target);
    EXPECT_EQ(kind_of_error("P0001"), ErrorKind::raised);
    EXPECT_EQ(kind_of_error("57014"), ErrorKind::passing);
    EXPECT_EQ(kind_of_error("72000"), ErrorKind::passing); /* snapshot too old */
    for (const char *state : {"25006", "53100", "58030"})
        EXPECT_EQ(kind_of_error(state), ErrorKind::server) << state;
    for (const char *state : {"", "5", "0A000", "54000", "p0001", "\xFF\xFF"})
        EXPECT_EQ(kind_of_error(state), ErrorKind::other) << state;
}

} // namespace
} // namespace cxone_sync
