#include "core/parser.h"

#include "json_reference.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace cxone_sync {
namespace {

using namespace std::string_literals;
using Shape = TargetMap::Shape;

constexpr Timestamp arrival = 820'000'000'000'000;

std::shared_ptr<const TargetMap> contract_map()
{
    return std::make_shared<const TargetMap>(std::vector<TargetMap::Column>{{"id", Shape::scalar},
                                                                            {"external_id", Shape::scalar},
                                                                            {"first_name", Shape::scalar},
                                                                            {"tags", Shape::array},
                                                                            {"extra", Shape::json},
                                                                            {"parts", Shape::json_array}},
                                             std::uint16_t{0}, "timestamp");
}

struct Parsed {
    Delivery delivery;
    BodyRefusal refusal;
};

std::unique_ptr<Parsed> parse(std::string body, const ParseLimits &limits = {},
                              std::shared_ptr<const TargetMap> map = contract_map())
{
    auto parsed = std::make_unique<Parsed>();
    parsed->delivery.body = std::move(body);
    parsed->delivery.received = arrival;
    parsed->refusal = parse_delivery(parsed->delivery, std::move(map), limits);
    return parsed;
}

std::unique_ptr<Parsed> parse_event(const std::string &event)
{
    auto parsed = parse("{\"events\":[" + event + "]}");
    EXPECT_EQ(parsed->refusal.reason, "");
    EXPECT_EQ(parsed->delivery.events.size(), 1u);
    parsed->delivery.events.resize(1);
    return parsed;
}

std::map<std::string, std::string> fields_of(const Delivery &delivery, const Event &event)
{
    std::map<std::string, std::string> fields;
    for (std::uint16_t i = 0; i < event.field_count; i++) {
        const Field &field = event.fields[i];
        const std::string &name = delivery.map->columns()[field.column].name;
        EXPECT_TRUE(fields.emplace(name, field.is_null ? "NULL" : std::string(field.text)).second);
    }
    return fields;
}

using Fields = std::map<std::string, std::string>;

Fields fields_of_event(const std::string &event)
{
    const auto parsed = parse_event(event);
    EXPECT_EQ(parsed->delivery.events[0].refusal.sqlstate, nullptr);
    return fields_of(parsed->delivery, parsed->delivery.events[0]);
}

/* SQLSTATE, message and column; empty if the event is fine. */
std::string refusal_of_event(const std::string &event)
{
    const auto parsed = parse_event(event);
    const Refusal &refusal = parsed->delivery.events[0].refusal;
    return refusal.sqlstate
               ? refusal.sqlstate + ": "s + std::string(refusal.message) + " @" + std::string(refusal.column)
               : "";
}

TEST(Parser, AnEventOfTheContract)
{
    const std::string event =
        R"({"id":"c1","externalId":"x-9","firstName":"Zo\u00eb","timestamp":"2026-01-02T03:04:05Z","other":[1]})";
    const auto parsed = parse_event(event);
    const Event &first = parsed->delivery.events[0];
    EXPECT_EQ(first.raw, event);
    EXPECT_EQ(first.key, "c1");
    EXPECT_TRUE(first.has_time);
    EXPECT_EQ(first.time, 820'638'245'000'000);
    EXPECT_EQ(first.outcome, Outcome::pending);
    EXPECT_EQ(fields_of(parsed->delivery, first),
              (Fields{{"id", "c1"}, {"external_id", "x-9"}, {"first_name", "Zo\xC3\xAB"}}));
}

TEST(Parser, RefusedBodies)
{
    const std::pair<std::string, std::string> cases[] = {
        {"", "400 invalid JSON at byte 0: The document is empty."},
        {"[]", "400 the body is not a JSON object"},
        {"[{\"id\":1}]", "400 the body is not a JSON object"},
        {"1", "400 the body is not a JSON object"},
        {"\"events\"", "400 the body is not a JSON object"},
        {"null", "400 the body is not a JSON object"},
        {"{}", "400 no \"events\""},
        {"{\"Events\":[]}", "400 no \"events\""},
        {"{\"a\":{\"events\":[]}}", "400 no \"events\""},
        {"{\"a\":[{\"events\":[]}]}", "400 no \"events\""},
        {"{\"events\\u0000\":[]}", "400 no \"events\""},
        {"{\"events\":{}}", "400 \"events\" is not an array"},
        {"{\"events\":null}", "400 \"events\" is not an array"},
        {"{\"events\":\"[]\"}", "400 \"events\" is not an array"},
        {"{\"events\":1e999}", "400 \"events\" is not an array"},
        {"{\"events\":[],\"events\":[]}", "400 \"events\" appears more than once"},
        {"{\"events\":[],\"\\u0065vents\":1}", "400 \"events\" appears more than once"},
        {"{\"events\":[\xFF]}", "400 the body is not valid UTF-8"},
        {"{\"events\":[\"\xED\xA0\x80\"]}", "400 the body is not valid UTF-8"},
        {"{\"events\":[]}" + std::string(1, '\0'),
         "400 invalid JSON at byte 13: The document root must not be followed by other values."},
    };
    for (const auto &[body, refusal] : cases) {
        for (const bool mapped : {true, false}) {
            const auto parsed = parse(body, {}, mapped ? contract_map() : nullptr);
            EXPECT_EQ(std::to_string(parsed->refusal.status) + " " + parsed->refusal.reason, refusal) << body;
            EXPECT_TRUE(parsed->delivery.events.empty());
        }
    }
    /* one bad byte refuses good events before it, since no part of such a body can be trusted */
    const auto parsed = parse(R"({"events":[{"id":1},{"id":2},]})");
    EXPECT_EQ(parsed->refusal.status, 400);
    EXPECT_TRUE(parsed->delivery.events.empty());
}

TEST(Parser, AcceptedEnvelopes)
{
    for (const char *body :
         {R"({"events":[]})", R"({"a":1,"events":[],"b":{"events":5}})", R"({"\u0065vents":[]})",
          " \n{ \"events\" : [ ] } ", R"({"a":{"events":[{"id":1}]},"events":[]})",
          R"({"":"","events":[],"":null})"}) {
        const auto parsed = parse(body);
        EXPECT_EQ(parsed->refusal.status, 0) << body << parsed->refusal.reason;
        EXPECT_TRUE(parsed->delivery.events.empty()) << body;
    }
}

TEST(Parser, Limits)
{
    ParseLimits limits;
    limits.max_events = 2;
    EXPECT_EQ(parse(R"({"events":[{"id":1},2]})", limits)->refusal.status, 0);
    const auto many = parse(R"({"events":[{"id":1},2,3]})", limits);
    EXPECT_EQ(many->refusal.status, 413);
    EXPECT_EQ(many->refusal.reason, "more than 2 events in one delivery");
    EXPECT_TRUE(many->delivery.events.empty());

    limits.max_depth = 5;
    EXPECT_EQ(parse(R"({"events":[{"a":[[1]]}]})", limits)->refusal.status, 0);
    EXPECT_EQ(parse(R"({"events":[{"a":[[[]]]}]})", limits)->refusal.reason,
              "JSON is nested deeper than 5 levels");
    EXPECT_EQ(parse(R"({"a":[[[[[]]]]],"events":[]})", limits)->refusal.status, 400);
    EXPECT_EQ(parse(R"({"a":[[[[]]]],"events":[]})", limits)->refusal.status, 0);
    EXPECT_EQ(parse("{\"events\":" + std::string(200'000, '['))->refusal.reason,
              "JSON is nested deeper than 64 levels");
}

TEST(Parser, RefusedEvents)
{
    const std::string nul =
        "22P05: event holds \\u0000 or half of a surrogate pair, which no text can hold @";
    const std::pair<const char *, std::string> cases[] = {
        {"{}", "23502: event has no \"id\" @id"},
        {R"({"id":null})", "23502: event has no \"id\" @id"},
        {R"({"ID":1})", "23502: event has no \"id\" @id"},
        {R"({"id":""})", "22023: \"id\" is empty @id"},
        {R"({"id":true})", "22023: \"id\" is neither a string nor a number @id"},
        {R"({"id":[1]})", "22023: \"id\" is neither a string nor a number @id"},
        {R"({"id":{}})", "22023: \"id\" is neither a string nor a number @id"},
        {"7", "22023: event is not a JSON object @"},
        {"null", "22023: event is not a JSON object @"},
        {"\"id\"", "22023: event is not a JSON object @"},
        {"\"\\u0000\"", "22023: event is not a JSON object @"},
        {R"([{"id":1}])", "22023: event is not a JSON object @"},
        {R"({"id":"\u0000"})", nul},
        {R"({"id":1,"x":"\ud800"})", nul},
        {R"({"id":1,"x":[{"k":"\udc00"}]})", nul},
        {R"({"id":1,"x\u0000":1})", nul},
        {R"({"id":1,"x":{"\ud800":1}})", nul},
        {R"({"id":1,"timestamp":1700000000000})",
         "22007: \"timestamp\" is not a string with an RFC 3339 date and time @updated_ts"},
        {R"({"id":1,"timestamp":{"date":"2026-01-01"}})",
         "22007: \"timestamp\" is not a string with an RFC 3339 date and time @updated_ts"},
    };
    for (const auto &[event, refusal] : cases)
        EXPECT_EQ(refusal_of_event(event), refusal) << event;
    for (const char *time :
         {"", "now", "infinity", "2021-07-27T00:00:00", "12/06/2024", "2022-12-12T14:41:45+0,0:00"})
        EXPECT_EQ(refusal_of_event("{\"id\":1,\"timestamp\":\""s + time + "\"}").substr(0, 19),
                  "22007: \"timestamp\" ")
            << time;
}

TEST(Parser, ARefusedEventHarmsNoNeighbour)
{
    const auto parsed =
        parse(R"({"events":[{"id":"a","firstName":"\ud800","tags":[1]},{"id":"b"},7,{"id":"c"}]})");
    ASSERT_EQ(parsed->delivery.events.size(), 4u);
    const auto &events = parsed->delivery.events;
    EXPECT_TRUE(events[0].refusal.sqlstate);
    EXPECT_TRUE(events[0].key.empty());
    EXPECT_FALSE(events[1].refusal.sqlstate);
    EXPECT_EQ(fields_of(parsed->delivery, events[1]), (Fields{{"id", "b"}}));
    EXPECT_TRUE(events[2].refusal.sqlstate);
    EXPECT_EQ(events[2].raw, "7");
    EXPECT_EQ(fields_of(parsed->delivery, events[3]), (Fields{{"id", "c"}}));
}

TEST(Parser, Times)
{
    const auto time_of = [](const std::string &members) {
        const auto parsed = parse_event("{\"id\":1," + members + "}");
        EXPECT_EQ(parsed->delivery.events[0].refusal.sqlstate, nullptr) << members;
        return parsed->delivery.events[0].has_time ? parsed->delivery.events[0].time : -1;
    };
    EXPECT_EQ(time_of(R"("timestamp":"2000-01-01T00:00:01Z")"), 1'000'000);
    EXPECT_EQ(time_of(R"("timestamp":"2000-01-01T01:00:01\u002B01:00")"), 1'000'000);
    EXPECT_EQ(time_of(R"("timestamp":null)"), -1);
    EXPECT_EQ(time_of(R"("x":1)"), -1);
    /* the last of several counts, whatever the others were */
    EXPECT_EQ(time_of(R"("timestamp":"now","timestamp":"2000-01-01T00:00:01Z")"), 1'000'000);
    EXPECT_EQ(time_of(R"("timestamp":"2000-01-01T00:00:01Z","timestamp":null)"), -1);
    EXPECT_NE(refusal_of_event(R"({"id":1,"timestamp":"2000-01-01T00:00:01Z","timestamp":1})"), "");
    /* one inside the event's members is none of the event's */
    EXPECT_EQ(time_of(R"("x":{"timestamp":"now"})"), -1);

    const auto arrived = parse_event(R"({"id":1})");
    EXPECT_EQ(arrived->delivery.events[0].time, arrival);
}

TEST(Parser, TheFuture)
{
    /* the arrival is 2025-12-25T17:46:40Z */
    ParseLimits limits;
    limits.max_future_skew_us = 300'000'000;
    const auto state = [&](const char *time) {
        const auto parsed = parse("{\"events\":[{\"id\":1,\"timestamp\":\""s + time + "\"}]}", limits);
        const char *sqlstate = parsed->delivery.events.at(0).refusal.sqlstate;
        return std::string(sqlstate ? sqlstate : "");
    };
    EXPECT_EQ(state("2025-12-25T17:46:40Z"), "");
    EXPECT_EQ(state("2025-12-25T17:51:40Z"), "");
    EXPECT_EQ(state("2025-12-25T17:51:40.000001Z"), "22008");
    EXPECT_EQ(state("9999-12-31T23:59:59Z"), "22008");
    EXPECT_EQ(state("0001-01-01T00:00:00Z"), "");
}

TEST(Parser, ShapesAndKinds)
{
    EXPECT_EQ(fields_of_event(R"({"id":900719925474010002,"externalId":1.50,"first_name":true})"),
              (Fields{{"id", "900719925474010002"}, {"external_id", "1.50"}, {"first_name", "true"}}));
    EXPECT_EQ(fields_of_event(R"({"id":"x","external_id":[1, "a"],"first_name":{"a": 1}})"),
              (Fields{{"id", "x"}, {"external_id", R"([1, "a"])"}, {"first_name", R"({"a": 1})"}}));
    EXPECT_EQ(fields_of_event(R"({"id":"x","tags":["a",null,[1]],"extra":"s","parts":["a",{"b":1}]})"),
              (Fields{{"id", "x"},
                      {"tags", R"({"a",NULL,{"1"}})"},
                      {"extra", "\"s\""},
                      {"parts", R"({"\"a\"","{\"b\":1}"})"}}));
    EXPECT_EQ(fields_of_event(R"({"id":"x","tags":"{a,b}","extra":[1 ],"parts":null})"),
              (Fields{{"id", "x"}, {"tags", "{a,b}"}, {"extra", "[1 ]"}, {"parts", "NULL"}}));
    EXPECT_EQ(fields_of_event(R"({"id":"x","extra":null,"tags":[],"firstName":""})"),
              (Fields{{"id", "x"}, {"extra", "NULL"}, {"tags", "{}"}, {"first_name", ""}}));
    EXPECT_EQ(fields_of_event(R"({"id":1e999})"), (Fields{{"id", "1e999"}}));
}

TEST(Parser, OfTwoKeysForOneColumn)
{
    /* the column's own name wins wherever it stands, else the later one */
    for (const char *event :
         {R"({"id":1,"first_name":"a","firstName":"b"})", R"({"id":1,"firstName":"b","first_name":"a"})",
          R"({"id":1,"first_name":"x","firstName":"b","first_name":"a","firstName":null})",
          R"({"id":0,"id":1,"firstName":"y","first_name":"a"})"})
        EXPECT_EQ(fields_of_event(event), (Fields{{"id", "1"}, {"first_name", "a"}})) << event;
    EXPECT_EQ(fields_of_event(R"({"id":1,"firstName":"a","firstName":null})"),
              (Fields{{"id", "1"}, {"first_name", "NULL"}}));
    EXPECT_EQ(fields_of_event(R"({"id":1,"first_name":null,"firstName":"b"})"),
              (Fields{{"id", "1"}, {"first_name", "NULL"}}));
    EXPECT_EQ(refusal_of_event(R"({"id":1,"id":true})"),
              "22023: \"id\" is neither a string nor a number @id");
    EXPECT_EQ(refusal_of_event(R"({"id":true,"id":1})"), "");
}

TEST(Parser, EventsAlikeHaveOneHash)
{
    const auto parsed =
        parse(R"({"events":[{"id":1,"firstName":"a","tags":[1]},{"tags":null,"x":1,"id":2,"first_name":"b"},
                                  {"id":3,"tags":[1]}]})");
    const auto &events = parsed->delivery.events;
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(events[0].columns_hash, events[1].columns_hash);
    EXPECT_NE(events[0].columns_hash, events[2].columns_hash);
}

TEST(Parser, WithoutAMapAndWithAnother)
{
    auto parsed = parse(R"({"events":[{"id":1,"b":"x"},{"id":2}]})", {}, nullptr);
    EXPECT_EQ(parsed->refusal.status, 0);
    EXPECT_TRUE(parsed->delivery.events.empty());

    EXPECT_EQ(parse_delivery(parsed->delivery, contract_map(), {}).status, 0);
    ASSERT_EQ(parsed->delivery.events.size(), 2u);
    EXPECT_EQ(fields_of(parsed->delivery, parsed->delivery.events[0]), (Fields{{"id", "1"}}));

    const auto other = std::make_shared<const TargetMap>(
        std::vector<TargetMap::Column>{{"b", Shape::scalar}, {"id", Shape::scalar}}, std::uint16_t{1},
        "timestamp");
    EXPECT_EQ(parse_delivery(parsed->delivery, other, {}).status, 0);
    ASSERT_EQ(parsed->delivery.events.size(), 2u);
    EXPECT_EQ(fields_of(parsed->delivery, parsed->delivery.events[0]), (Fields{{"b", "x"}, {"id", "1"}}));
    EXPECT_EQ(parsed->delivery.events[0].fields[0].column, 0);
    EXPECT_EQ(parsed->delivery.events[1].key, "2");
}

/* What a number beyond a double makes the parser begin again with leaves no trace in the other events. */
TEST(Parser, BeginningAgainChangesNothing)
{
    const std::string events =
        R"({"id":"a","firstName":"\u0041","timestamp":"2026-01-02T03:04:05Z"},{"id":7,"tags":[1,"x"]},
        {"id":"\u0000"},5,{"timestamp":"now","id":1},{"first_name":null,"id":"b")";
    const auto plain = parse("{\"events\":[" + events + ",\"extra\":1}]}");
    const auto again = parse("{\"events\":[" + events + ",\"extra\":1e999}]}");
    ASSERT_EQ(plain->delivery.events.size(), 6u);
    ASSERT_EQ(again->delivery.events.size(), 6u);
    for (std::size_t i = 0; i < 6; i++) {
        const Event &a = plain->delivery.events[i], &b = again->delivery.events[i];
        EXPECT_EQ(a.key, b.key);
        EXPECT_EQ(a.time, b.time);
        EXPECT_EQ(a.has_time, b.has_time);
        EXPECT_EQ(a.columns_hash, b.columns_hash);
        EXPECT_EQ(a.refusal.message, b.refusal.message);
        if (i < 5) {
            EXPECT_EQ(a.raw, b.raw);
            EXPECT_EQ(fields_of(plain->delivery, a), fields_of(again->delivery, b));
        }
    }
    EXPECT_EQ(fields_of(again->delivery, again->delivery.events[5]),
              (Fields{{"id", "b"}, {"first_name", "NULL"}, {"extra", "1e999"}}));
}

TEST(Parser, EveryTruncationOfABodyIsRefused)
{
    const std::string body =
        R"({"a":[1e999,"\ud83d\ude00"],"events":[{"id":"x\n","firstName":null,"tags":[{}]},7],"z":-1.5e3})";
    EXPECT_EQ(parse(body)->refusal.status, 0);
    for (std::size_t length = 0; length < body.size(); length++) {
        const auto parsed = parse(body.substr(0, length));
        EXPECT_EQ(parsed->refusal.status, 400) << length;
        EXPECT_TRUE(parsed->delivery.events.empty());
    }
}

TEST(Parser, EveryChangedByteAsReference)
{
    const std::string body = R"({"events":[{"id":"x","tags":["\ud83d",1e999,{}]},{"id":2}],"z":[{}]})";
    for (std::size_t at = 0; at < body.size(); at++) {
        for (int byte = 0; byte < 256; byte++) {
            std::string changed = body;
            changed[at] = static_cast<char>(byte);
            const auto parsed = parse(changed);
            const auto expected = reference::read_json(changed);
            const bool good = expected && expected->events_keys == 1 && expected->events >= 0;
            ASSERT_EQ(parsed->refusal.status, good ? 0 : 400) << changed;
            if (good) {
                ASSERT_EQ(parsed->delivery.events.size(), static_cast<std::size_t>(expected->events))
                    << changed;
            }
        }
    }
}

TEST(Delivery, CountsAndSize)
{
    const auto parsed = parse(R"({"events":[{"id":1},{"id":2},{"id":3},{"id":4}]})");
    auto &events = parsed->delivery.events;
    events[0].outcome = events[3].outcome = Outcome::applied;
    events[1].outcome = Outcome::skipped;
    events[2].outcome = Outcome::dead_lettered;
    const DeliveryCounts counts = parsed->delivery.counts();
    EXPECT_EQ(counts.received, 4u);
    EXPECT_EQ(counts.applied, 2u);
    EXPECT_EQ(counts.skipped, 1u);
    EXPECT_EQ(counts.dead_lettered, 1u);
    EXPECT_GE(parsed->delivery.size(),
              sizeof(Delivery) + 2 * parsed->delivery.body.size() + 4 * (sizeof(Event) + sizeof(Field)));
}

} // namespace
} // namespace cxone_sync
