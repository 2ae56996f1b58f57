#include "core/mapping.h"

#include "parsed.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace cxone_sync {
namespace {

/* What a key of the event means to the first target: the time, a column and how good a source of it, nothing.
 */
std::string meaning(const Mapping &mapping, std::string_view key)
{
    const Mapping::Target &target = mapping.targets().front();
    const Mapping::Node *node = mapping.event().find(key);
    const auto stands_at = [node](const std::vector<std::uint32_t> &places) {
        return std::find(places.begin(), places.end(), node->place);
    };
    std::string text;

    if (!node)
        return "nothing";
    if (stands_at(target.time_places) != target.time_places.end())
        text = "time";
    for (std::size_t i = 0; i < target.columns.size(); i++) {
        const auto &places = target.column_places[i];
        if (stands_at(places) != places.end())
            text += (text.empty() ? "" : " ") + target.columns[i].name + " " + std::to_string(stands_at(places) - places.begin());
    }
    return text;
}

std::string meaning(const std::vector<std::string> &columns, std::string_view key)
{
    return meaning(*mapping_of({target_of("t", columns)}), key);
}

TEST(Mapping, CamelCase)
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

TEST(Mapping, AColumnIsFoundByItsNameAndItsCamelCaseForm)
{
    const std::vector<std::string> columns{"id", "first_name", "city"};
    EXPECT_EQ(meaning(columns, "first_name"), "first_name 0");
    EXPECT_EQ(meaning(columns, "firstName"), "first_name 1");
    EXPECT_EQ(meaning(columns, "city"), "city 0");
    EXPECT_EQ(meaning(columns, "id"), "id 0");
}

TEST(Mapping, AnExactNameBeatsCamelCase)
{
    using Columns = std::vector<std::string>;
    for (const Columns &columns :
         {Columns{"id", "firstName", "first_name"}, Columns{"id", "first_name", "firstName"}}) {
        EXPECT_EQ(meaning(columns, "firstName"), "firstName 0");
        EXPECT_EQ(meaning(columns, "first_name"), "first_name 0");
    }
}

TEST(Mapping, OfTwoColumnsWithOneCamelCaseFormTheFirstHasIt)
{
    const std::vector<std::string> columns{"id", "a_b", "a__b"};
    EXPECT_EQ(meaning(columns, "aB"), "a_b 1");
    EXPECT_EQ(meaning(columns, "a__b"), "a__b 0");
}

TEST(Mapping, AMemberFeedsTheTimeAndAColumn)
{
    EXPECT_EQ(meaning({"id", "timestamp"}, "timestamp"), "time timestamp 0");

    Mapping::TargetSpec camel = target_of("t", {"id", "event_time", "moment"});
    camel.columns[2].paths = {"/at"};
    camel.time_paths = {"/eventTime", "/at"};
    const Mapping mapping({camel});
    EXPECT_EQ(meaning(mapping, "eventTime"), "time event_time 1");
    EXPECT_EQ(meaning(mapping, "at"), "time moment 0");
    EXPECT_EQ(meaning(mapping, "event_time"), "event_time 0");
}

TEST(Mapping, UnknownKeys)
{
    const auto mapping = mapping_of({target_of("t", {"id", "first_name"})});
    for (const std::string_view key : {"", "ID", "Id", "firstname", "FirstName", "first-name", "first_name ",
                                       "first", "Timestamp", "updated_ts", "sync_status", "eventType"})
        EXPECT_EQ(meaning(*mapping, key), "nothing") << key;
    EXPECT_EQ(meaning(*mapping, std::string_view("id\0", 3)), "nothing");
}

TEST(Mapping, NoMemberFeedsByNameWhatIsNotFromEventsOrHasPaths)
{
    Mapping::TargetSpec target = target_of("t", {"id", "extra", "phone_number"});
    target.columns[1].from_events = false;
    target.columns[2].paths = {"/phone"};
    const Mapping mapping({target});
    EXPECT_EQ(meaning(mapping, "extra"), "nothing");
    EXPECT_EQ(meaning(mapping, "phone_number"), "nothing");
    EXPECT_EQ(meaning(mapping, "phoneNumber"), "nothing");
    EXPECT_EQ(meaning(mapping, "phone"), "phone_number 0");
}

TEST(Mapping, NamesThatAreNoPointersAreEncoded)
{
    EXPECT_EQ(meaning({"id", "a/b~c", "~1"}, "a/b~c"), "a/b~c 0");
    EXPECT_EQ(meaning({"id", "a/b~c", "~1"}, "~1"), "~1 0");
    EXPECT_EQ(meaning({"id", "a/b~c", "~1"}, "a"), "nothing");
}

TEST(Mapping, PathsOfAllTargetsShareOneTree)
{
    Mapping::TargetSpec first = target_of("first", {"id", "city"});
    Mapping::TargetSpec second_one = target_of("second", {"id", "name"});
    second_one.types = {"a"};
    const Mapping mapping({first, second_one});
    EXPECT_EQ(mapping.place_count(), 5u); /* id, city, name, timestamp, eventType */
    const auto &targets = mapping.targets();
    EXPECT_EQ(targets[0].column_places[0], targets[1].column_places[0]);
    EXPECT_EQ(targets[0].time_places, targets[1].time_places);
    EXPECT_EQ(targets[0].root_node, &mapping.event());
    EXPECT_EQ(targets[0].type_place, Mapping::no_place);
    EXPECT_EQ(targets[1].type_place, mapping.event().find("eventType")->place);
    const Mapping::Node *city = mapping.event().find("city");
    EXPECT_TRUE(city->is_taken_by(0));
    EXPECT_FALSE(city->is_taken_by(1));
}

TEST(Mapping, AKeyOutsideTheColumnsThrows)
{
    const auto with_keys = [](const std::vector<std::string> &columns, std::vector<std::uint16_t> keys) {
        Mapping::TargetSpec target = target_of("t", columns);
        target.keys = std::move(keys);
        const Mapping mapping({std::move(target)});
    };
    EXPECT_THROW(with_keys({}, {0}), std::invalid_argument);
    EXPECT_THROW(with_keys({"id"}, {1}), std::invalid_argument);
    EXPECT_THROW(with_keys({"id", "name"}, {65535}), std::invalid_argument);
    EXPECT_THROW(with_keys({"id", "name"}, {0, 2}), std::invalid_argument);
    EXPECT_NO_THROW(with_keys({"name", "id"}, {1}));
    EXPECT_NO_THROW(with_keys({"name", "id"}, {1, 0}));
}

TEST(Mapping, APathThatIsNoPointerThrows)
{
    const auto mapped = [](auto change) {
        Mapping::TargetSpec target = target_of("t", {"id"});
        change(target);
        const Mapping mapping({std::move(target)});
    };
    EXPECT_THROW(mapped([](auto &target) { target.root = "data"; }), std::invalid_argument);
    EXPECT_THROW(mapped([](auto &target) { target.time_paths = {"/a", "b"}; }), std::invalid_argument);
    EXPECT_THROW(mapped([](auto &target) { target.columns[0].paths = {"/~2"}; }), std::invalid_argument);
    EXPECT_THROW(mapped([](auto &target) {
                     target.types = {"a"};
                     target.type_path = "type";
                 }),
                 std::invalid_argument);
    EXPECT_NO_THROW(mapped([](auto &target) {
        target.root = "/a~1b";
        target.time_paths = {""};
    }));
}

} // namespace
} // namespace cxone_sync
