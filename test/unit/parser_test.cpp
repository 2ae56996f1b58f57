#include "cxone/contract.h"

#include "parsed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace cxone_sync {
namespace {

using namespace std::string_literals;

enum Column : std::uint16_t { city, contact_id, first_name, tags, details, parts, column_count };

std::shared_ptr<const Mapping> make_mapping()
{
    std::vector<Mapping::Column> columns(column_count);
    columns[city] = {"city", Shape::scalar};
    columns[contact_id] = {"contact_id", Shape::scalar};
    columns[first_name] = {"first_name", Shape::scalar};
    columns[tags] = {"tags", Shape::array};
    columns[details] = {"details", Shape::json};
    columns[parts] = {"parts", Shape::json_array};
    Mapping::TargetSpec target{
        .name = "contact_records", .columns = std::move(columns), .keys = {contact_id}};
    target.time_paths = {"/" + std::string(contract::time_key)};
    return mapping_of({std::move(target)});
}

std::string envelope(const std::string &events)
{
    return "{\"" + std::string(contract::events_key) + "\": [" + events + "]}";
}

class Parsed : public ParsedBody {
public:
    explicit Parsed(std::string body, std::shared_ptr<const Mapping> mapping = make_mapping(),
                    const ParseLimits &limits = {})
        : ParsedBody(std::move(body), std::move(mapping), limits)
    {
    }
};

/* The one event of a delivery that is accepted. */
class OneEvent : public Parsed {
public:
    explicit OneEvent(const std::string &event) : Parsed(envelope(event), make_mapping())
    {
        EXPECT_EQ(refusal.status, 0) << refusal.reason;
        EXPECT_EQ(events().size(), 1u);
    }

    const Field *field(Column column) const { return field_of(event(), column); }
    std::string text(Column column) const { return text_of(event(), column); }
};

void expect_refused(const Parsed &parsed, int status, const std::string &reason)
{
    const std::string body = parsed.delivery.body.substr(0, 80);
    EXPECT_EQ(parsed.refusal.status, status) << body;
    EXPECT_EQ(parsed.refusal.reason, reason) << body;
    EXPECT_TRUE(parsed.events().empty()) << body;
}

TEST(Parser, BodiesThatAreRefused)
{
    const std::string ok = R"({"contact_id": "1"})";
    const struct {
        std::string body, reason;
    } table[] = {
        {"[]", "the body is not a JSON object"},
        {"[" + envelope(ok) + "]", "the body is not a JSON object"},
        {"\"events\"", "the body is not a JSON object"},
        {"null", "the body is not a JSON object"},
        {"1", "the body is not a JSON object"},
        {"1e400", "the body is not a JSON object"},
        {"{}", "no \"events\""},
        {R"({"Events": [], "a": {"events": []}, "b": ["events"], "c": "events"})", "no \"events\""},
        {R"({"events": {}})", "\"events\" is not an array"},
        {R"({"events": "x"})", "\"events\" is not an array"},
        {R"({"events": null})", "\"events\" is not an array"},
        {R"({"events": 1})", "\"events\" is not an array"},
        {R"({"events": [], "events": []})", "\"events\" appears more than once"},
        {R"({"events": [{"contact_id": "1"}], "x": 1, "\u0065vents": null})",
         "\"events\" appears more than once"},
        {"{\"events\": [" + ok + "], \"x\": \"\xFF\"}", "the body is not valid UTF-8"},
        {"{\"events\": [{\"contact_id\": \"\xED\xA0\x80\"}]}", "the body is not valid UTF-8"},
        {"{\"events\": [" + ok + "]}\0"s, "the body is not valid UTF-8"},
        {"", "invalid JSON at byte 0: The document is empty."},
    };
    for (const auto &row : table) {
        expect_refused(Parsed(row.body), 400, row.reason);
        expect_refused(Parsed(row.body, nullptr), 400, row.reason);
    }
}

TEST(Parser, InvalidJsonIsRefusedAtItsByte)
{
    const std::string ok = envelope(R"({"contact_id": "1"})");
    const struct {
        std::string body;
        std::size_t at;
    } table[] = {
        {ok.substr(0, ok.size() - 1), ok.size() - 1},
        {ok + "x", ok.size()},
        {ok + ok, ok.size()},
        {R"({"events": [{"contact_id": "1"},]})", 32},
        {R"({"events": [{"contact_id": 1e400},]})", 34},
        {R"({"events": [{"contact_id": "1"}], "x": 01})", 40},
    };
    for (const auto &row : table) {
        const Parsed parsed(row.body);
        EXPECT_EQ(parsed.refusal.status, 400) << row.body;
        EXPECT_TRUE(parsed.refusal.reason.starts_with("invalid JSON at byte " + std::to_string(row.at) + ":"))
            << row.body << " gives " << parsed.refusal.reason;
        EXPECT_TRUE(parsed.events().empty());
    }
}

TEST(Parser, DepthCountsFromTheBodysObject)
{
    ParseLimits limits;
    limits.max_depth = 5;
    const std::string reason = "JSON is nested deeper than 5 levels";
    const auto nested = [](const char *before, const char *after, std::size_t times) {
        return envelope(R"({"contact_id": "1", "details": )" + repeat(before, times) + "1" +
                        repeat(after, times) + "}");
    };
    EXPECT_EQ(Parsed(nested("[", "]", 2), make_mapping(), limits).refusal.status, 0);
    EXPECT_EQ(Parsed(nested("{\"a\":", "}", 2), make_mapping(), limits).refusal.status, 0);
    expect_refused(Parsed(nested("[", "]", 3), make_mapping(), limits), 400, reason);
    expect_refused(Parsed(nested("{\"a\":", "}", 3), make_mapping(), limits), 400, reason);
    expect_refused(Parsed(nested("[", "]", 3), nullptr, limits), 400, reason);
    expect_refused(Parsed("{\"x\": [[[[[]]]]], \"events\": []}", make_mapping(), limits), 400, reason);
    EXPECT_EQ(Parsed("{\"x\": [[[[]]]], \"events\": []}", make_mapping(), limits).refusal.status, 0);
    expect_refused(Parsed(repeat("{\"events\":[", 100'000)), 400, "JSON is nested deeper than 64 levels");
    EXPECT_EQ(Parsed(nested("[", "]", 61)).refusal.status, 0);
    EXPECT_EQ(Parsed(nested("[", "]", 62)).refusal.status, 400);
}

TEST(Parser, TooManyEvents)
{
    ParseLimits limits;
    limits.max_events = 3;
    const std::string reason = "more than 3 events in one delivery";
    EXPECT_EQ(Parsed(envelope("{}, 1, []"), make_mapping(), limits).events().size(), 3u);
    expect_refused(Parsed(envelope("{}, 1, [], {}"), make_mapping(), limits), 413, reason);
    expect_refused(Parsed(envelope("{}, {}, {}, 1"), make_mapping(), limits), 413, reason);
    expect_refused(Parsed(envelope("1, 2, 3, []"), nullptr, limits), 413, reason);
    expect_refused(Parsed(envelope("1e400, 2, 3, 4"), make_mapping(), limits), 413, reason);
    EXPECT_EQ(
        Parsed(envelope(R"({"tags": [1, 2, 3, 4, 5], "details": [{}, {}, {}, {}]})"), make_mapping(), limits)
            .events()
            .size(),
        1u);
}

TEST(Parser, TheEnvelopesOtherMembersDoNotMatter)
{
    const Parsed parsed(
        R"({"a": "\u0000", "\ud800": [[{"events": [1]}]], "timestamp": 1, "b": {"contact_id": 7},
        "events": [ {"contact_id": "1"} ], "c": [{"contact_id": "2"}], "city": "x", "d": "\udc00"})");
    EXPECT_EQ(parsed.refusal.status, 0) << parsed.refusal.reason;
    ASSERT_EQ(parsed.events().size(), 1u);
    EXPECT_EQ(sqlstate(parsed.event()), "");
    EXPECT_EQ(parsed.event().key, "1");
    EXPECT_EQ(parsed.event().field_count, 1);
}

TEST(Parser, NoEvents)
{
    for (const char *body :
         {R"({"events": []})", R"( {"events" : [ ] , "x": 1} )", R"({"\u0065vents": []})"}) {
        const Parsed parsed(body);
        EXPECT_EQ(parsed.refusal.status, 0) << parsed.refusal.reason;
        EXPECT_TRUE(parsed.refusal.reason.empty());
        EXPECT_TRUE(parsed.events().empty());
        EXPECT_NE(parsed.delivery.mapping, nullptr);
    }
}

TEST(Parser, EventsThatAreRefused)
{
    const std::string no_object = "event is not a JSON object";
    const std::string no_key = "event has no \"contact_id\"";
    const std::string key_kind = "\"contact_id\" is neither a string nor a number";
    const auto nul = [](const char *member) {
        return "\"" + std::string(member) +
               "\" holds \\u0000 or half of a surrogate pair, which no text can hold";
    };
    const std::string time_kind =
        "\"timestamp\" is neither a string nor a number nor an object with a date and time";
    const std::string no_offset =
        "\"timestamp\" has no offset from UTC, and cxone_sync.time_zone does not say which zone it means";
    const std::string too_small = "\"timestamp\" is a number too small to be a time since 1970";
    const std::string future =
        "the event's time is further in the future than cxone_sync.max_future_skew allows";
    const struct {
        std::string event, sqlstate, message, column, key;
    } table[] = {
        {"1", "22023", no_object, "", ""},
        {"1e400", "22023", no_object, "", ""},
        {"\"contact_id\"", "22023", no_object, "", ""},
        {"\"\\u0000\"", "22023", no_object, "", ""},
        {"null", "22023", no_object, "", ""},
        {"true", "22023", no_object, "", ""},
        {"[]", "22023", no_object, "", ""},
        {R"([{"contact_id": "1"}])", "22023", no_object, "", ""},
        {R"(["contact_id", "1"])", "22023", no_object, "", ""},

        {"{}", "23502", no_key, "contact_id", ""},
        {R"({"city": "x", "id": "1", "details": {"contact_id": "1"}})", "23502", no_key, "contact_id", ""},
        {R"({"contact_id": null})", "23502", no_key, "contact_id", ""},
        {R"({"contactId": null, "city": "x"})", "23502", no_key, "contact_id", ""},
        {R"({"contact_id": null, "contactId": "1"})", "23502", no_key, "contact_id", ""},
        {R"({"contact_id": "1", "contact_id": null})", "23502", no_key, "contact_id", ""},
        {R"({"contact_id": ""})", "22023", "\"contact_id\" is empty", "contact_id", ""},
        {R"({"contact_id": "1", "contact_id": ""})", "22023", "\"contact_id\" is empty", "contact_id", ""},
        {R"({"contact_id": true})", "22023", key_kind, "contact_id", ""},
        {R"({"contact_id": false})", "22023", key_kind, "contact_id", ""},
        {R"({"contact_id": ["1"]})", "22023", key_kind, "contact_id", ""},
        {R"({"contact_id": {}})", "22023", key_kind, "contact_id", ""},
        {R"({"contact_id": "1", "contact_id": [1]})", "22023", key_kind, "contact_id", ""},

        {R"({"contact_id": "1\u0000"})", "22P05", nul("contact_id"), "contact_id", ""},
        {R"({"contactId": "1\u0000"})", "22P05", nul("contactId"), "contact_id", ""},
        {R"({"contact_id": "1", "city": "\u0000"})", "22P05", nul("city"), "city", "1"},
        {R"({"contact_id": "1", "details": {"a": ["\u0000"]}})", "22P05", nul("details"), "details", "1"},
        {R"({"contact_id": "1", "details": {"a": {"b\u0000": 1}}})", "22P05", nul("details"), "details", "1"},
        {R"({"contact_id": "1", "tags": ["a", "\u0000"]})", "22P05", nul("tags"), "tags", "1"},
        {R"({"city": "\u0000"})", "22P05", nul("city"), "city", ""},
        {R"({"contact_id": "1", "city": "\ud800"})", "22P05", nul("city"), "city", "1"},
        {R"({"contact_id": "1", "city": "\ude00\ud83d"})", "22P05", nul("city"), "city", "1"},
        {R"({"contact_id": "1", "details": [{"\udfff": 1}]})", "22P05", nul("details"), "details", "1"},

        {R"({"contact_id": "1", "timestamp": 17145648})", "22007", too_small, "updated_ts", "1"},
        {R"({"contact_id": "1", "timestamp": true})", "22007", time_kind, "updated_ts", "1"},
        {R"({"contact_id": "1", "timestamp": {}})", "22007",
         "\"timestamp\" is an object, but not one of a \"date\" and a \"timezone\"", "updated_ts", "1"},
        {R"({"contact_id": "1", "timestamp": ["2024-05-01T12:00:00Z"]})", "22007", time_kind, "updated_ts",
         "1"},
        {R"({"contact_id": "1", "timestamp": ""})", "22007", "\"timestamp\" is empty", "updated_ts", "1"},
        {R"({"contact_id": "1", "timestamp": "2024-05-01T12:00:00"})", "22007", no_offset, "updated_ts", "1"},
        {R"({"contact_id": "1", "timestamp": "2024-13-01T12:00:00Z"})", "22007",
         "\"timestamp\" has a month outside 01-12", "updated_ts", "1"},
        {R"({"contact_id": "1", "timestamp": "2024-05-01T12:00:00Z", "timestamp": 7})", "22007", too_small,
         "updated_ts", "1"},
        {R"({"timestamp": 7, "contact_id": ""})", "22023", "\"contact_id\" is empty", "contact_id", ""},

        {R"({"contact_id": "1", "timestamp": "2024-05-01T12:05:00.000001Z"})", "22008", future, "updated_ts",
         "1"},
        {R"({"contact_id": "1", "timestamp": "2024-05-01T12:05:00-00:01"})", "22008", future, "updated_ts",
         "1"},
        {R"({"contact_id": "1", "timestamp": "9999-12-31T23:59:59Z"})", "22008", future, "updated_ts", "1"},
    };
    const std::string good = R"({"contact_id": "good", "city": "x", "timestamp": "2024-05-01T11:00:00Z"})";
    const std::string neighbour = described(OneEvent(good).event());
    for (const auto &row : table) {
        const Parsed parsed(envelope(good + " , " + row.event + "," + good));
        ASSERT_EQ(parsed.refusal.status, 0) << row.event << parsed.refusal.reason;
        ASSERT_EQ(parsed.events().size(), 3u) << row.event;
        const Event &event = parsed.event(1);
        EXPECT_EQ(sqlstate(event), row.sqlstate) << row.event;
        EXPECT_EQ(event.refusal.message, row.message) << row.event;
        EXPECT_EQ(event.refusal.column, row.column) << row.event;
        EXPECT_EQ(event.key, row.key) << row.event;
        EXPECT_EQ(event.raw, row.event);
        EXPECT_EQ(event.outcome, Outcome::pending);
        EXPECT_EQ(described(parsed.event(0)), neighbour) << row.event;
        EXPECT_EQ(described(parsed.event(2)), neighbour) << row.event;
    }
}

TEST(Parser, NothingOfAnEventReachesTheNext)
{
    const std::string alone = described(OneEvent(R"({"contact_id": "2"})").event());
    for (const std::string before :
         {R"({"contact_id": "1", "city": "a", "tags": [1], "timestamp": "2024-05-01T11:00:00Z"})",
          R"({"contact_id": "1", "timestamp": 7})", R"({"contact_id": "\u0000"})", R"({"contactId": true})",
          R"(["contact_id"])", R"("contact_id")"}) {
        const Parsed parsed(envelope(before + R"(,{"contact_id": "2"})"));
        ASSERT_EQ(parsed.events().size(), 2u) << before;
        EXPECT_EQ(described(parsed.event(1)), alone) << before;
    }
    const Parsed parsed(envelope(R"({"contact_id": "1"}, {})"));
    EXPECT_EQ(sqlstate(parsed.event(1)), "23502");
    EXPECT_EQ(parsed.event(1).key, "");
}

TEST(Parser, TheEventsTime)
{
    const struct {
        const char *member;
        bool has_time;
        Timestamp time;
    } table[] = {
        {R"(, "timestamp": "2024-05-01T11:59:59.5Z")", true, arrival - second / 2},
        {R"(, "timestamp": "2024-05-01 14:00:00+0200")", true, arrival},
        {R"(, "timestamp": "2024-05-01T12:00:00\u005a")", true, arrival},
        {R"(, "timestamp": "2000-01-01T00:00:00Z")", true, 0},
        {R"(, "timestamp": 1714564800)", true, arrival},
        {R"(, "timestamp": "2024-05-01T12:05:00Z")", true, arrival + 300 * second},
        {"", false, arrival},
        {R"(, "timestamp": null)", false, arrival},
        {R"(, "Timestamp": "2000-01-01T00:00:00Z", "updated_ts": "2000-01-01T00:00:00Z")", false, arrival},
        {R"(, "details": {"timestamp": 7})", false, arrival},
        {R"(, "timestamp": 7, "timestamp": null)", false, arrival},
        {R"(, "timestamp": "2000-01-01T00:00:00Z", "timestamp": null)", false, arrival},
        {R"(, "timestamp": 7, "timestamp": "2000-01-01T00:00:00Z")", true, 0},
        {R"(, "timestamp": null, "timestamp": "2000-01-01T00:00:00Z")", true, 0},
    };
    for (const auto &row : table) {
        const OneEvent one(R"({"contact_id": "1")" + std::string(row.member) + "}");
        EXPECT_EQ(sqlstate(one.event()), "") << row.member << one.event().refusal.message;
        EXPECT_EQ(one.event().has_time, row.has_time) << row.member;
        EXPECT_EQ(one.event().time, row.time) << row.member;
    }
}

TEST(Parser, EventsWithoutATimeKeepTheirOrder)
{
    const Parsed parsed(envelope(R"({"contact_id": "1"}, 7, {"contact_id": "1", "timestamp": null},
                                    {"contact_id": "1", "timestamp": "2024-05-01T12:00:00Z"},
                                    {"contact_id": "1"})"));
    ASSERT_EQ(parsed.events().size(), 5u);
    /* also of what is refused before its time is read: a dead letter keeps it, for when it is mended */
    for (const std::size_t i : {0, 1, 2, 4}) {
        EXPECT_EQ(parsed.event(i).number, i);
        EXPECT_EQ(parsed.delivery.arrival_of(parsed.event(i)), parsed.event(i).time);
        EXPECT_EQ(parsed.event(i).time, arrival + static_cast<Timestamp>(i)) << i;
        EXPECT_FALSE(parsed.event(i).has_time) << i;
    }
    EXPECT_EQ(parsed.event(3).time, arrival);
    EXPECT_TRUE(parsed.event(3).has_time);
    EXPECT_EQ(parsed.delivery.arrival_of(parsed.event(3)), arrival + 3);
}

TEST(Parser, TheSkewIsTheCallers)
{
    const std::string body = envelope(R"({"contact_id": "1", "timestamp": "2024-05-01T12:00:01Z"})");
    const auto with_skew = [&](std::int64_t skew) {
        ParseLimits limits;
        limits.max_future_skew_us = skew;
        return sqlstate(Parsed(body, make_mapping(), limits).event());
    };
    EXPECT_EQ(with_skew(second), "");
    EXPECT_EQ(with_skew(second - 1), "22008");
    EXPECT_EQ(with_skew(0), "22008");
}

TEST(Parser, TheKey)
{
    const struct {
        const char *json, *key;
    } table[] = {
        {"\"a\"", "a"},
        {"\" \"", " "},
        {"\"null\"", "null"},
        {R"("a\u00e9\n")", "a\xC3\xA9\n"},
        {"7", "7"},
        {"-0", "-0"},
        {"1.50", "1.50"},
        {"1E2", "1E2"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"1e400", "1e400"},
    };
    for (const auto &row : table) {
        for (const char *name : {"contact_id", "contactId"}) {
            const OneEvent one("{\"" + std::string(name) + "\": " + row.json + "}");
            EXPECT_EQ(sqlstate(one.event()), "") << row.json << one.event().refusal.message;
            EXPECT_EQ(one.event().key, row.key);
            EXPECT_EQ(one.text(contact_id), row.key);
            EXPECT_EQ(one.event().field_count, 1);
        }
    }
}

TEST(Parser, WhatAColumnGets)
{
    const struct {
        const char *json, *scalar, *array, *json_array;
    } table[] = {
        {"\"x\"", "x", "x", "x"},
        {"\"\"", "", "", ""},
        {R"("a\n\"b\u00e9")", "a\n\"b\xC3\xA9", "a\n\"b\xC3\xA9", "a\n\"b\xC3\xA9"},
        {"\"{1,2}\"", "{1,2}", "{1,2}", "{1,2}"},
        {"1.50", "1.50", "1.50", "1.50"},
        {"1e400", "1e400", "1e400", "1e400"},
        {"true", "true", "true", "true"},
        {R"({ "a" : "\n" })", R"({ "a" : "\n" })", R"({ "a" : "\n" })", R"({ "a" : "\n" })"},
        {R"([1, "a\"b" ,null])", R"([1, "a\"b" ,null])", R"({"1","a\"b",NULL})",
         R"({"1","\"a\\\"b\"",NULL})"},
        {"[]", "[]", "{}", "{}"},
        {R"([["a"],[{"b": 1}]])", R"([["a"],[{"b": 1}]])", R"({{"a"},{"{\"b\": 1}"}})",
         R"({{"\"a\""},{"{\"b\": 1}"}})"},
        {"[1e400]", "[1e400]", R"({"1e400"})", R"({"1e400"})"},
    };
    for (const auto &row : table) {
        const std::string json = row.json;
        const OneEvent one(R"({"contact_id": "1", "city": )" + json + ", \"tags\": " + json +
                           ", \"parts\": " + json + ", \"details\" : " + json + " }");
        EXPECT_EQ(sqlstate(one.event()), "") << json;
        EXPECT_EQ(one.event().field_count, 5);
        EXPECT_EQ(one.text(city), row.scalar) << json;
        EXPECT_EQ(one.text(tags), row.array) << json;
        EXPECT_EQ(one.text(parts), row.json_array) << json;
        EXPECT_EQ(one.text(details), json);
        for (const Column column : {city, tags, parts, details})
            EXPECT_FALSE(one.field(column)->is_null) << json;
    }
}

TEST(Parser, NullClearsAColumnAndAnAbsentOneIsLeftAlone)
{
    const OneEvent one(
        R"({"contact_id": "1", "city": null, "details": null, "tags": null, "parts": "null"})");
    for (const Column column : {city, details, tags}) {
        ASSERT_NE(one.field(column), nullptr) << column;
        EXPECT_TRUE(one.field(column)->is_null) << column;
    }
    EXPECT_FALSE(one.field(parts)->is_null);
    EXPECT_FALSE(one.field(contact_id)->is_null);
    EXPECT_EQ(one.field(first_name), nullptr);
}

TEST(Parser, OfDuplicatesTheLastWins)
{
    const OneEvent one(
        R"({"contact_id": "0", "city": "a", "contact_id": "1", "city": null, "tags": ["x"], "city": "b",
            "tags": null, "details": {"a": 1}, "details": [2]})");
    EXPECT_EQ(one.event().key, "1");
    EXPECT_EQ(one.text(contact_id), "1");
    EXPECT_EQ(one.text(city), "b");
    EXPECT_FALSE(one.field(city)->is_null);
    EXPECT_TRUE(one.field(tags)->is_null);
    EXPECT_EQ(one.text(details), "[2]");
    EXPECT_EQ(one.event().field_count, 4);

    const OneEvent camel(R"({"contact_id": "1", "firstName": "a", "firstName": "b"})");
    EXPECT_EQ(camel.text(first_name), "b");

    const OneEvent mended(R"({"contact_id": true, "contact_id": null, "contact_id": 7})");
    EXPECT_EQ(sqlstate(mended.event()), "");
    EXPECT_EQ(mended.event().key, "7");
}

TEST(Parser, AnExactNameBeatsCamelCaseInAnyOrder)
{
    for (
        const char *event :
        {R"({"contact_id": "1", "contactId": "2", "first_name": "exact", "firstName": "camel"})",
         R"({"contactId": "2", "contact_id": "1", "firstName": "camel", "first_name": "exact"})",
         R"({"contact_id": "0", "contactId": true, "contact_id": "1", "firstName": "camel", "first_name": "old",
              "first_name": "exact", "firstName": "later"})"}) {
        const OneEvent one(event);
        EXPECT_EQ(sqlstate(one.event()), "") << event;
        EXPECT_EQ(one.event().key, "1") << event;
        EXPECT_EQ(one.text(first_name), "exact") << event;
        EXPECT_EQ(one.event().field_count, 2);
    }
    const OneEvent null(R"({"contact_id": "1", "first_name": null, "firstName": "camel"})");
    EXPECT_TRUE(null.field(first_name)->is_null);
    const OneEvent camel(R"({"contactId": "1", "firstName": "camel"})");
    EXPECT_EQ(camel.text(first_name), "camel");
}

TEST(Parser, TheRawEventIsItsSliceOfTheBody)
{
    const std::string first = "{ \"contact_id\" : \"\\u0031\" ,\n\t\"city\":\"gr\xC3\xBC\" }";
    const std::string third = R"({"contact_id":"3","details":{"a":[{},"}",1e400]}})";
    const Parsed parsed("{\"x\": 1, \"events\" : [\n " + first + " , 7 ,\t" + third + "\n] , \"y\": [] }");
    ASSERT_EQ(parsed.events().size(), 3u);
    std::size_t from = 0;
    for (const std::string &raw : {first, "7"s, third}) {
        const Event &event = parsed.event(from++);
        EXPECT_EQ(event.raw, raw);
        EXPECT_GE(event.raw.data(), parsed.delivery.body.data());
        EXPECT_LE(event.raw.data() + raw.size(), parsed.delivery.body.data() + parsed.delivery.body.size());
    }
    EXPECT_EQ(parsed.event(0).key, "1");
    EXPECT_EQ(parsed.event(2).key, "3");
}

TEST(Parser, FieldsStandInColumnOrder)
{
    const OneEvent one(
        R"({"parts": [], "details": 1, "zip": 2, "tags": [], "firstName": "x", "contactId": "1", "city": "y"})");
    ASSERT_EQ(one.event().field_count, column_count);
    for (std::uint16_t i = 0; i < column_count; i++)
        EXPECT_EQ(one.event().fields[i].column, i);
}

TEST(Parser, EventsWithTheSameColumnsHaveTheSameHash)
{
    const Parsed parsed(envelope(
        R"({"contact_id": "1", "city": "a", "first_name": "b"},
           {"firstName": null, "city": "c", "contactId": 2, "timestamp": null},
           {"city": 1, "first_name": "x", "zip": 3, "contact_id": "4", "city": 2},
           {"contact_id": "1", "city": "a"},
           {"contact_id": "1", "first_name": "a"},
           {"contact_id": "1"},
           {"contact_id": "1", "city": "a", "tags": []})"));
    ASSERT_EQ(parsed.events().size(), 7u);
    const std::uint32_t hash = parsed.event(0).columns_hash;
    EXPECT_EQ(parsed.event(1).columns_hash, hash);
    EXPECT_EQ(parsed.event(2).columns_hash, hash);
    std::vector<std::uint32_t> hashes;
    for (const std::size_t i : {0, 3, 4, 5, 6})
        hashes.push_back(parsed.event(i).columns_hash);
    std::sort(hashes.begin(), hashes.end());
    EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

TEST(Parser, ANumberTooBigForADoubleChangesNothingElse)
{
    const std::string before =
        R"({"contact_id": "1", "city": "a\nb", "tags": ["x"]}, 7, {"contact_id": null}, {"contact_id": 4,
            "timestamp": "2024-05-01T11:00:00Z", "details": {"a": [1]}}, {"contact_id": "\u0000"})";
    const std::string after = R"({"contactId": "5", "tags": [["\""]], "timestamp": 7}, {"contact_id": "6"})";
    const std::vector<std::string> expected = described(Parsed(envelope(before + "," + after)).events());
    ASSERT_EQ(expected.size(), 7u);

    for (const std::string &number : {"1e400"s, "-1E+999"s, repeat("9", 400)}) {
        const Parsed parsed(envelope(before + R"(,{"contact_id": "big", "city": )" + number + "}," + after));
        ASSERT_EQ(parsed.refusal.status, 0) << parsed.refusal.reason;
        std::vector<std::string> seen = described(parsed.events());
        ASSERT_EQ(seen.size(), 8u);
        seen.erase(seen.begin() + 5);
        EXPECT_EQ(seen, expected) << number;
        EXPECT_EQ(sqlstate(parsed.event(5)), "");
        ASSERT_EQ(parsed.event(5).field_count, 2);
        EXPECT_EQ(parsed.event(5).fields[0].text, number);

        const Parsed half_way(envelope(before + R"(,{"city": "left", "contactId": "x", "timestamp": )" +
                                       number + "}," + after));
        seen = described(half_way.events());
        ASSERT_EQ(seen.size(), 8u);
        EXPECT_EQ(sqlstate(half_way.event(5)), "22007");
        seen.erase(seen.begin() + 5);
        EXPECT_EQ(seen, expected) << number;

        const Parsed beside("{\"events\": [" + before + "," + after + "], \"x\": " + number + "}");
        EXPECT_EQ(beside.refusal.status, 0) << beside.refusal.reason;
        EXPECT_EQ(described(beside.events()), expected);
    }
}

TEST(Parser, NothingOfAReadingThatEndedHalfWayRemains)
{
    const std::string first = R"(["leak"], {"contact_id": "1"})";
    const std::vector<std::string> expected = described(Parsed(envelope(first)).events());
    for (const char *last : {R"({"contact_id": "2", "first_name": "left", "city": 1e400})",
                             R"({"contact_id": "2", "first_name": "left", "details": {"a": [1e400]}})"}) {
        const Parsed parsed(envelope(first + "," + last));
        std::vector<std::string> seen = described(parsed.events());
        ASSERT_EQ(seen.size(), 3u);
        EXPECT_EQ(parsed.event(2).field_count, 3);
        seen.pop_back();
        EXPECT_EQ(seen, expected) << last;
    }
}

TEST(Parser, AMappingMadeLaterGivesItsOwnFields)
{
    Parsed parsed(
        envelope(R"({"contact_id": "1", "city": "x\n", "tags": [1], "zip": "\u0037"}, {"zip": "2"})"));
    ASSERT_EQ(parsed.events().size(), 2u);
    EXPECT_EQ(sqlstate(parsed.event(1)), "23502");
    const std::vector<std::string> first = described(parsed.events());

    Mapping::TargetSpec zips = target_of("zips", {"zip", "tags"});
    zips.columns[1].shape = Shape::json;
    const auto other = mapping_of({std::move(zips)});
    parsed.again(other);
    EXPECT_EQ(parsed.refusal.status, 0);
    EXPECT_EQ(parsed.delivery.mapping, other);
    ASSERT_EQ(parsed.events().size(), 2u);
    EXPECT_EQ(parsed.event(0).key, "7");
    ASSERT_EQ(parsed.event(0).field_count, 2);
    EXPECT_EQ(parsed.event(0).fields[1].text, "[1]");
    EXPECT_EQ(sqlstate(parsed.event(1)), "");
    EXPECT_EQ(parsed.event(1).key, "2");

    parsed.again(make_mapping());
    EXPECT_EQ(described(parsed.events()), first);
}

TEST(Parser, WithoutAMappingOnlyTheEnvelopeIsChecked)
{
    Parsed parsed(envelope(R"({"contact_id": "1"}, {}, 7, {"city": "\u0000"}, {"timestamp": 1e400})"),
                  nullptr);
    EXPECT_EQ(parsed.refusal.status, 0) << parsed.refusal.reason;
    EXPECT_TRUE(parsed.events().empty());
    EXPECT_EQ(parsed.delivery.mapping, nullptr);

    parsed.again(make_mapping());
    EXPECT_EQ(parsed.events().size(), 5u);
    EXPECT_EQ(parsed.event(0).key, "1");
    parsed.again(nullptr);
    EXPECT_TRUE(parsed.events().empty());

    ParseLimits limits;
    limits.max_events = 4;
    parsed.again(make_mapping(), limits);
    EXPECT_EQ(parsed.refusal.status, 413);
    EXPECT_TRUE(parsed.events().empty());
}

TEST(Parser, AThousandEvents)
{
    std::string events;
    for (int i = 0; i < 1000; i++)
        events += (i ? "," : "") + R"({"contact_id": )"s + std::to_string(i) + R"(, "city": "c\u00e9)" +
                  std::to_string(i) + R"(", "tags": ["t", )" + std::to_string(i) + "]}";
    const Parsed parsed(envelope(events));
    EXPECT_EQ(parsed.refusal.status, 0) << parsed.refusal.reason;
    ASSERT_EQ(parsed.events().size(), 1000u);
    for (std::size_t i = 0; i < 1000; i++) {
        const Event &event = parsed.event(i);
        const std::string number = std::to_string(i);
        ASSERT_EQ(sqlstate(event), "");
        ASSERT_EQ(event.key, number);
        ASSERT_EQ(event.columns_hash, parsed.event(0).columns_hash);
        ASSERT_EQ(event.field_count, 3);
        ASSERT_EQ(event.fields[0].text, "c\xC3\xA9" + number);
        ASSERT_EQ(event.fields[2].text, "{\"t\",\"" + number + "\"}");
    }
    EXPECT_GT(parsed.delivery.size(), parsed.delivery.body.size() + 1000 * sizeof(Event));
    expect_refused(Parsed(envelope(events + ",{}")), 413, "more than 1000 events in one delivery");
}

TEST(Parser, CountsByOutcome)
{
    Parsed parsed(envelope("1, 2, 3, 4, 5, 6"));
    const Outcome outcomes[] = {Outcome::applied,       Outcome::skipped,       Outcome::skipped,
                                Outcome::dead_lettered, Outcome::dead_lettered, Outcome::dead_lettered};
    ASSERT_EQ(parsed.events().size(), std::size(outcomes));
    for (std::size_t i = 0; i < std::size(outcomes); i++)
        parsed.delivery.events[i].outcome = outcomes[i];
    const DeliveryCounts counts = parsed.delivery.counts();
    EXPECT_EQ(counts.received, 6u);
    EXPECT_EQ(counts.applied, 1u);
    EXPECT_EQ(counts.skipped, 2u);
    EXPECT_EQ(counts.dead_lettered, 3u);
}

} // namespace
} // namespace cxone_sync
