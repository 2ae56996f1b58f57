#include "core/target_map.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace cxone_sync {
namespace {

using Role = TargetMap::Role;
using Shape = TargetMap::Shape;

TEST(CamelCase, InnerUnderscoresRaiseTheNextLetter)
{
    const std::pair<const char *, const char *> cases[] = {{"id", "id"},
                                                           {"first_name", "firstName"},
                                                           {"a_b_c", "aBC"},
                                                           {"first__name", "firstName"},
                                                           {"line_1", "line1"},
                                                           {"_private", "_private"},
                                                           {"", ""},
                                                           {"Mixed_case", "MixedCase"},
                                                           {"a_B", "aB"},
                                                           {"gr\xC3\xB6\xC3\x9F"
                                                            "e_\xC3\xA4",
                                                            "gr\xC3\xB6\xC3\x9F"
                                                            "e\xC3\xA4"}};
    for (const auto &[name, camel] : cases)
        EXPECT_EQ(camel_case(name), camel) << name;
}

TEST(TargetMap, NamesAndTheirCamelCaseForms)
{
    const TargetMap map({{"id", Shape::scalar}, {"first_name", Shape::scalar}, {"tags", Shape::array}}, 0,
                        "timestamp");
    ASSERT_TRUE(map.find("id"));
    EXPECT_EQ(map.find("id")->role, Role::key);
    EXPECT_TRUE(map.find("id")->exact);
    ASSERT_TRUE(map.find("first_name"));
    EXPECT_TRUE(map.find("first_name")->exact);
    EXPECT_EQ(map.find("first_name")->column, 1);
    ASSERT_TRUE(map.find("firstName"));
    EXPECT_FALSE(map.find("firstName")->exact);
    EXPECT_EQ(map.find("firstName")->column, 1);
    ASSERT_TRUE(map.find("timestamp"));
    EXPECT_EQ(map.find("timestamp")->role, Role::time);
    for (const char *unknown : {"", "ID", "firstname", "FirstName", "updated_ts", "tags "})
        EXPECT_FALSE(map.find(unknown)) << unknown;
    EXPECT_EQ(map.key_column().name, "id");
}

TEST(TargetMap, AnExactNameIsNeverTakenByACamelCaseForm)
{
    const TargetMap map({{"first_name", Shape::scalar}, {"firstName", Shape::scalar}, {"id", Shape::scalar}},
                        2, "timestamp");
    EXPECT_EQ(map.find("firstName")->column, 1);
    EXPECT_TRUE(map.find("firstName")->exact);
    EXPECT_EQ(map.find("first_name")->column, 0);
}

TEST(TargetMap, NoColumnTakesTheTimesKey)
{
    const TargetMap map({{"id", Shape::scalar}, {"timestamp", Shape::scalar}, {"time_stamp", Shape::scalar}},
                        0, "timestamp");
    EXPECT_EQ(map.find("timestamp")->role, Role::time);
    EXPECT_EQ(map.find("timeStamp")->column, 2);
}

TEST(TargetMap, AKeyThatIsNoColumnIsRefused)
{
    EXPECT_THROW(TargetMap({{"id", Shape::scalar}}, 1, "timestamp"), std::invalid_argument);
    EXPECT_THROW(TargetMap({}, 0, "timestamp"), std::invalid_argument);
}

TEST(TargetMap, ManyColumns)
{
    std::vector<TargetMap::Column> columns;
    for (int i = 0; i < 1600; i++)
        columns.push_back({"column_" + std::to_string(i), Shape::scalar});
    const TargetMap map(std::move(columns), 1599, "timestamp");
    for (int i = 0; i < 1600; i++) {
        ASSERT_TRUE(map.find("column" + std::to_string(i)));
        EXPECT_EQ(map.find("column" + std::to_string(i))->column, i);
    }
    EXPECT_EQ(map.find("column1599")->role, Role::key);
}

} // namespace
} // namespace cxone_sync
