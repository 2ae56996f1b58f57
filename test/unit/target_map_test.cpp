#include "core/target_map.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace cxone_sync {
namespace {

using Role = TargetMap::Role;

void expect_source(const TargetMap &map, std::string_view json_key, Role role, bool exact,
                   std::uint16_t column)
{
    const TargetMap::Source *source = map.find(json_key);
    ASSERT_NE(source, nullptr) << json_key;
    EXPECT_EQ(source->role, role) << json_key;
    EXPECT_EQ(source->exact, exact) << json_key;
    EXPECT_EQ(source->column, column) << json_key;
}

TEST(TargetMap, CamelCase)
{
    const struct {
        const char *column, *camel;
    } table[] = {
        {"first_name", "firstName"},
        {"id", "id"},
        {"a_b_c", "aBC"},
        {"line_2", "line2"},
        {"a_1_b", "a1B"},
        {"already_Upper", "alreadyUpper"},
        {"firstName", "firstName"},
        {"First_name", "FirstName"},
        {"double__score", "doubleScore"},
        {"_leading", "_leading"},
        {"_leading_name", "_leadingName"},
        {"gr\xC3\xB6\xC3\x9F"
         "e_in_cm",
         "gr\xC3\xB6\xC3\x9F"
         "eInCm"},
        {"in_\xC3\xB6rtlich", "in\xC3\xB6rtlich"},
        {"with space_too", "with spaceToo"},
        {"trail_", "trail"},
        {"_", "_"},
        {"", ""},
    };
    for (const auto &row : table)
        EXPECT_EQ(camel_case(row.column), row.camel) << row.column;
}

TEST(TargetMap, AColumnIsFoundByItsNameAndItsCamelCaseForm)
{
    const TargetMap map({{"id"}, {"first_name"}, {"city"}}, 0, "timestamp");
    expect_source(map, "first_name", Role::value, true, 1);
    expect_source(map, "firstName", Role::value, false, 1);
    expect_source(map, "city", Role::value, true, 2);
}

TEST(TargetMap, AnExactNameBeatsCamelCase)
{
    for (const bool exact_first : {true, false}) {
        using Columns = std::vector<TargetMap::Column>;
        const TargetMap map(exact_first ? Columns{{"id"}, {"firstName"}, {"first_name"}}
                                        : Columns{{"id"}, {"first_name"}, {"firstName"}},
                            0, "timestamp");
        expect_source(map, "firstName", Role::value, true, exact_first ? 1 : 2);
        expect_source(map, "first_name", Role::value, true, exact_first ? 2 : 1);
    }
}

TEST(TargetMap, OfTwoColumnsWithOneCamelCaseFormTheFirstHasIt)
{
    const TargetMap map({{"id"}, {"a_b"}, {"a__b"}}, 0, "timestamp");
    expect_source(map, "aB", Role::value, false, 1);
    expect_source(map, "a__b", Role::value, true, 2);
}

TEST(TargetMap, TheTimesKeyBeatsAColumnOfThatName)
{
    const TargetMap exact({{"id"}, {"timestamp"}}, 0, "timestamp");
    ASSERT_NE(exact.find("timestamp"), nullptr);
    EXPECT_EQ(exact.find("timestamp")->role, Role::time);

    const TargetMap camel({{"id"}, {"event_time"}}, 0, "eventTime");
    ASSERT_NE(camel.find("eventTime"), nullptr);
    EXPECT_EQ(camel.find("eventTime")->role, Role::time);
    expect_source(camel, "event_time", Role::value, true, 1);

    const TargetMap key({{"timestamp"}}, 0, "timestamp");
    EXPECT_EQ(key.find("timestamp")->role, Role::time);
}

TEST(TargetMap, TheKeysRoleGoesWithBothOfItsNames)
{
    const TargetMap map({{"city"}, {"contact_id"}, {"name"}}, 1, "timestamp");
    expect_source(map, "contact_id", Role::key, true, 1);
    expect_source(map, "contactId", Role::key, false, 1);
    expect_source(map, "city", Role::value, true, 0);
    expect_source(map, "name", Role::value, true, 2);
    EXPECT_EQ(map.key_index(), 1);
    EXPECT_EQ(map.key_column().name, "contact_id");
    EXPECT_EQ(map.columns().size(), 3u);
}

TEST(TargetMap, UnknownKeys)
{
    const TargetMap map({{"id"}, {"first_name"}}, 0, "timestamp");
    for (const std::string_view key : {"", "ID", "Id", "firstname", "FirstName", "first-name", "first_name ",
                                       "first", "Timestamp", "updated_ts", "sync_status"})
        EXPECT_EQ(map.find(key), nullptr) << key;
    EXPECT_EQ(map.find(std::string_view("id\0", 3)), nullptr);
}

TEST(TargetMap, AKeyOutsideTheColumnsThrows)
{
    EXPECT_THROW(TargetMap({}, 0, "timestamp"), std::invalid_argument);
    EXPECT_THROW(TargetMap({{"id"}}, 1, "timestamp"), std::invalid_argument);
    EXPECT_THROW(TargetMap({{"id"}, {"name"}}, 65535, "timestamp"), std::invalid_argument);
    EXPECT_NO_THROW(TargetMap({{"name"}, {"id"}}, 1, "timestamp"));
}

} // namespace
} // namespace cxone_sync
