/* What each target takes of an event: by type, from where, with which refusals. */
#include "core/event_mapper.h"

#include "parsed.h"

#include <gtest/gtest.h>

#include <utility>

namespace cxone_sync {
namespace {

using Texts = std::vector<std::string>;

ParseLimits bare_events()
{
    ParseLimits limits;
    limits.envelope.path.clear();
    return limits;
}

/* One event, or an array of them, and the targets to map it for. */
class Mapped : public ParsedBody {
public:
    Mapped(std::string body, std::vector<Mapping::TargetSpec> targets, std::string only_target = {})
        : ParsedBody(std::move(body), mapping_of(std::move(targets)), bare_events(), std::move(only_target))
    {
        EXPECT_EQ(refusal.status, 0) << refusal.reason;
    }

    /* The names of the targets that took each event. */
    std::string takers() const
    {
        std::string names;
        for (const Event &event : events()) {
            const bool none = event.target == Event::no_target;
            names +=
                (names.empty() ? "" : " ") + (none ? "-" : delivery.mapping->targets()[event.target].name);
            names += event.is_deletion ? "!" : "";
        }
        return names;
    }
    std::string text(std::size_t column, std::size_t at = 0) const { return text_of(event(at), column); }
};

void expect_refused(const Event &event, const std::string &state, const std::string &message,
                    const std::string &column = "")
{
    EXPECT_EQ(sqlstate(event), state) << event.raw;
    EXPECT_EQ(event.refusal.message, message) << event.raw;
    EXPECT_EQ(event.refusal.column, column) << event.raw;
}

/* With a column `extra` at the end. */
Mapping::TargetSpec with_extra(Mapping::TargetSpec target)
{
    target.extra_column = static_cast<int>(target.columns.size());
    target.columns.push_back({.name = "extra", .shape = Shape::json, .paths = {}, .from_events = false});
    return target;
}

/* With a column `deleted_ts` at the end. */
Mapping::TargetSpec with_mark(Mapping::TargetSpec target)
{
    target.mark_column = static_cast<int>(target.columns.size());
    target.columns.push_back(
        {.name = "deleted_ts", .shape = Shape::scalar, .paths = {}, .from_events = false});
    return target;
}

Mapping::TargetSpec with_types(Mapping::TargetSpec target, Texts types, Texts delete_types = {})
{
    target.types = std::move(types);
    target.delete_types = std::move(delete_types);
    return target;
}

/* A target whose columns stand below `root`, and whose time may stand at the top as well. */
Mapping::TargetSpec rooted(Mapping::TargetSpec target, const std::string &root)
{
    target.root = root;
    target.time_paths = {root + "/timestamp", "/timestamp"};
    return target;
}

/* ---- which targets take an event ---- */

TEST(EventMapper, TheTypeSaysWhichTargetsTakeAnEvent)
{
    Mapping::TargetSpec rest_too = with_types(target_of("rest too", {"id"}), {}, {"agent.gone"});
    const std::vector<Mapping::TargetSpec> targets = {
        with_types(target_of("agents", {"id"}), {"agent.created", "agent.changed"}, {"agent.gone"}),
        target_of("rest", {"id"}),
        rest_too,
        with_types(target_of("gone", {"id"}), {"contact.gone"}, {"agent.gone"}),
    };
    const struct {
        const char *event, *takers;
    } table[] = {
        {R"({"id": 1, "eventType": "agent.created"})", "agents"},
        {R"({"id": 1, "eventType": "agent.changed"})", "agents"},
        {R"({"id": 1, "eventType": "agent.gone"})", "agents! rest too! gone!"},
        {R"({"id": 1, "eventType": "contact.gone"})", "gone"},
        {R"({"id": 1, "eventType": "Agent.created"})", "rest rest too"},
        {R"({"id": 1, "eventType": "agent.\u0063reated"})", "agents"},
        {R"({"id": 1, "eventType": ["agent.created"]})", "rest rest too"},
        {R"({"id": 1})", "rest rest too"},
        {R"({"id": 1, "eventType": "agent.created\u0000"})", "rest rest too"},
        {R"({"id": 1, "data": {"eventType": "agent.created"}})", "rest rest too"},
        {R"({"eventType": "x", "id": 1, "eventType": "agent.created"})", "agents"},
    };
    for (const auto &row : table) {
        const Mapped mapped(row.event, targets);
        EXPECT_EQ(mapped.takers(), row.takers) << row.event;
        for (const Event &event : mapped.events()) {
            EXPECT_EQ(event.number, 0u);
            EXPECT_EQ(event.raw, row.event);
            EXPECT_EQ(sqlstate(event), "");
            EXPECT_EQ(event.key, "1");
        }
    }
}

/* Each target's types are those that stand at its own path; one that cannot be used names its types as well.
 */
TEST(EventMapper, WithoutTypesATargetTakesWhatNoOtherNames)
{
    Mapping::TargetSpec kinds = with_types(target_of("kinds", {"id"}), {"a"});
    kinds.type_path = "/kind";
    Mapping::TargetSpec broken = with_types(target_of("broken", {"id"}), {"b"}, {"c"});
    broken.is_usable = false;
    const auto takers = [&](const char *event) {
        return Mapped(event, {kinds, broken, target_of("rest", {"id"})}).takers();
    };
    EXPECT_EQ(takers(R"({"id": 1, "kind": "a"})"), "kinds");
    EXPECT_EQ(takers(R"({"id": 1, "eventType": "a"})"), "rest");
    EXPECT_EQ(takers(R"({"id": 1, "eventType": "b"})"), "broken");
    EXPECT_EQ(takers(R"({"id": 1, "eventType": "c"})"), "broken!");
    EXPECT_EQ(takers(R"({"id": 1, "eventType": "c", "kind": "a"})"), "kinds broken!");
    EXPECT_EQ(takers(R"({"id": 1, "kind": "b"})"), "rest");
    EXPECT_EQ(Mapped(R"([{"id": 1, "kind": "a"}, {"id": 2, "kind": "x"}])",
                     {kinds, target_of("rest", {"id"})}, "rest")
                  .takers(),
              "kinds rest");
}

TEST(EventMapper, EventsOfOneNumberStandSideBySide)
{
    const Mapped mapped(R"([{"id": 1, "eventType": "b"}, {"id": 2}, 7, {"id": 3, "eventType": "a"}])",
                        {with_types(target_of("a", {"id"}), {"a"}),
                         with_types(target_of("b", {"id"}), {"b", "a"}), target_of("rest", {"id"})});
    EXPECT_EQ(mapped.takers(), "b rest - a b");
    Texts numbers;
    for (const Event &event : mapped.events())
        numbers.push_back(std::to_string(event.number));
    EXPECT_EQ(numbers, (Texts{"0", "1", "2", "3", "3"}));
    for (const Event &event : mapped.events())
        EXPECT_EQ(event.time, arrival + event.number);
}

TEST(EventMapper, ATypeMayStandElsewhereAndBeANumber)
{
    Mapping::TargetSpec deep = with_types(target_of("deep", {"id"}), {"7", "1.0", "true"});
    deep.type_path = "/meta/kinds/1";
    const Mapping::TargetSpec top = with_types(target_of("top", {"id"}), {"7"});
    const auto takers = [&](const char *event) { return Mapped(event, {deep, top}).takers(); };
    EXPECT_EQ(takers(R"({"id": 1, "meta": {"kinds": ["x", 7]}})"), "deep");
    EXPECT_EQ(takers(R"({"id": 1, "meta": {"kinds": ["x", "7"]}, "eventType": 7})"), "deep top");
    EXPECT_EQ(takers(R"({"id": 1, "meta": {"kinds": [7, 1.0]}})"), "deep");
    EXPECT_EQ(takers(R"({"id": 1, "meta": {"kinds": [7, true]}})"), "deep");
    EXPECT_EQ(takers(R"({"id": 1, "meta": {"kinds": [7, 1]}})"), "-");
    EXPECT_EQ(takers(R"({"id": 1, "meta": {"kinds": {"1": 7}}})"), "deep");
    EXPECT_EQ(takers(R"({"id": 1, "meta": {"kinds": [7, 7]}, "meta": 7})"), "-");
}

TEST(EventMapper, AnEventThatNoTargetTakes)
{
    const std::vector<Mapping::TargetSpec> targets = {with_types(target_of("a", {"id"}), {"a"}),
                                                      with_types(target_of("b", {"id"}), {}, {"b"})};
    Mapping::TargetSpec only_b = targets[1];
    only_b.types = {"c"};
    const struct {
        std::string event, message;
    } table[] = {
        {R"({"id": 1})", "no target takes events without a type"},
        {R"({"id": 1, "eventType": {"a": 1}})", "no target takes events without a type"},
        {R"({"id": 1, "eventType": "x\ny"})", "no target takes events of type \"x\ny\""},
        {R"({"id": 1, "eventType": 7.0})", "no target takes events of type \"7.0\""},
        {R"({"id": 1, "eventType": "a\u0000\ud800"})", "no target takes events of type \"a\\u0000\\ud800\""},
        {"{\"id\": 1, \"eventType\": \"" + std::string(99, 'x') + "\xC3\xBC\"}",
         "no target takes events of type \"" + std::string(99, 'x') + "\""},
        {"{\"id\": 1, \"eventType\": \"" + std::string(98, 'x') + "\xC3\xBCyz\"}",
         "no target takes events of type \"" + std::string(98, 'x') + "\xC3\xBC\""},
    };
    for (const auto &row : table) {
        const Mapped mapped(row.event, {targets[0], only_b});
        ASSERT_EQ(mapped.takers(), "-") << row.event;
        expect_refused(mapped.event(), "02000", row.message);
        EXPECT_EQ(mapped.event().raw, row.event);
        EXPECT_EQ(mapped.event().field_count, 0);
        EXPECT_EQ(mapped.event().time, arrival);
    }
    EXPECT_EQ(sqlstate(Mapped(R"({"id": 1})", {}).event()), "02000");
    EXPECT_EQ(Mapped(R"([{"id": 1}, {"id": 2}])", {targets[0]}).event(1).time, arrival + 1);
}

TEST(EventMapper, OnlyTheTargetThatIsAskedForIfItTakesTheEvent)
{
    const std::vector<Mapping::TargetSpec> targets = {
        target_of("a", {"id"}), with_types(target_of("b", {"id"}), {"b"}, {"c"}), target_of("c", {"id"})};
    const std::string events = R"([{"id": 1, "eventType": "b"}, {"id": 2, "eventType": "c"}])";
    EXPECT_EQ(Mapped(events, targets, "a").takers(), "b b!");
    EXPECT_EQ(Mapped(R"({"id": 1})", targets, "a").takers(), "a");
    EXPECT_EQ(Mapped(events, targets, "b").takers(), "b b!");
    EXPECT_EQ(Mapped(events, targets, "").takers(), "b b!");
    EXPECT_EQ(Mapped(R"({"id": 1})", targets, "").takers(), "a c");

    const Mapped other_type(R"({"id": 1, "eventType": "x"})", targets, "b");
    EXPECT_EQ(other_type.takers(), "a c");
    EXPECT_EQ(Mapped(events, targets, "B").takers(), "b b!");
    const Mapped nobodys(events, {with_types(target_of("d", {"id"}), {"d"}, {})}, "d");
    EXPECT_EQ(nobodys.takers(), "- -");
    expect_refused(nobodys.event(1), "02000", "no target takes events of type \"c\"");
    EXPECT_EQ(nobodys.event(1).number, 1u);
}

TEST(EventMapper, EventsOfATargetThatCannotBeUsedAreOnlyToldApart)
{
    Mapping::TargetSpec broken = with_types(target_of("broken", {}), {"a"}, {"b"});
    broken.keys.clear();
    broken.is_usable = false;
    const Mapped mapped(
        R"([{"id": 1, "eventType": "a"}, {"eventType": "b"}, {"id": 3, "eventType": "c"}, {}])",
        {broken, target_of("rest", {"id"})});
    EXPECT_EQ(mapped.takers(), "broken broken! rest rest");
    for (const std::size_t at : {0, 1}) {
        EXPECT_EQ(sqlstate(mapped.event(at)), "");
        EXPECT_EQ(mapped.event(at).key, "");
        EXPECT_EQ(mapped.event(at).time, arrival + mapped.event(at).number);
        EXPECT_EQ(mapped.event(at).field_count, 0);
    }
    EXPECT_EQ(mapped.event(2).key, "3");
    expect_refused(mapped.event(3), "23502", "event has no \"id\"", "id");
}

/* ---- where the values stand ---- */

TEST(EventMapper, ColumnsByNameStandBelowTheRoot)
{
    const Mapping::TargetSpec target =
        rooted(target_of("t", {"id", "first_name", "timestamp"}), "/data/contact");
    const Mapped mapped(R"({"id": 0, "first_name": "top", "data": {"id": 9, "contact":
                            {"id": 1, "firstName": "a"}, "firstName": "data"}})",
                        {target});
    EXPECT_EQ(mapped.text(0), "1");
    EXPECT_EQ(mapped.text(1), "a");
    EXPECT_EQ(mapped.event().key, "1");
    EXPECT_FALSE(mapped.event().has_time);

    for (const char *event :
         {R"({"id": 1})", R"({"data": {"id": 1}})", R"({"data": {"contact": 7}})",
          R"({"data": {"contact": [{"id": 1}]}})", R"({"data": [{"contact": {"id": 1}}]})",
          R"({"contact": {"id": 1}})", R"({"data": {"contact": {"contact": {"id": 1}}}})"})
        expect_refused(Mapped(event, {target}).event(), "23502", "event has no \"id\"", "id");

    Mapping::TargetSpec element = target_of("t", {"id"});
    element.root = "/items/1";
    EXPECT_EQ(Mapped(R"({"items": [{"id": 1}, {"id": 2}, {"id": 3}]})", {element}).event().key, "2");
}

TEST(EventMapper, TheTimeBelowTheRootComesBeforeThatAtTheTop)
{
    const Mapping::TargetSpec target = rooted(target_of("t", {"id"}), "/data");
    const auto time = [&](const char *event) { return Mapped(event, {target}).event().time; };
    EXPECT_EQ(time(R"({"timestamp": "2000-01-02T00:00:00Z", "data": {"id": 1}})"), day);
    EXPECT_EQ(time(R"({"timestamp": "2000-01-02T00:00:00Z", "data": {"id": 1, "timestamp": null}})"), day);
    EXPECT_EQ(time(R"({"data": {"id": 1, "timestamp": "2000-01-03T00:00:00Z"},
                       "timestamp": "2000-01-02T00:00:00Z"})"),
              2 * day);
    EXPECT_EQ(time(R"({"data": {"id": 1}, "timestamp": null})"), arrival);
    /* the first that is there counts, even if it is none */
    const Mapped broken(R"({"timestamp": "2000-01-02T00:00:00Z", "data": {"id": 1, "timestamp": 7}})",
                        {target});
    expect_refused(broken.event(), "22007",
                   "\"/data/timestamp\" is a number too small to be a time since 1970", "updated_ts");
    const Mapped top(R"({"timestamp": "x", "data": {"id": 1}})", {target});
    EXPECT_TRUE(top.event().refusal.message.starts_with("\"timestamp\" ")) << top.event().refusal.message;
    Mapping::TargetSpec other = target;
    other.order_column = "changed_at";
    EXPECT_EQ(Mapped(R"({"timestamp": 7, "data": {"id": 1}})", {other}).event().refusal.column, "changed_at");
}

/* As where the order column is fed from paths of its own. */
TEST(EventMapper, AfterTheTimesOwnPathsComeTheUsualOnes)
{
    Mapping::TargetSpec target = with_extra(rooted(target_of("t", {"id", "timestamp"}), "/data"));
    target.time_paths.insert(target.time_paths.begin(), {"/at", "/data/when"});
    const struct {
        const char *event;
        Timestamp time;
        const char *extra;
    } table[] = {
        {R"({"at": "2000-01-01T00:00:00Z", "timestamp": "2000-01-03T00:00:00Z", "data": {"id": 1, "when": 7}})",
         0, R"({"when":7})"},
        {R"({"at": null, "timestamp": "2000-01-03T00:00:00Z", "data": {"id": 1, "when": "2000-01-02T00:00:00Z"}})",
         day, ""},
        {R"({"timestamp": "2000-01-03T00:00:00Z", "data": {"id": 1, "when": null}})", 2 * day, ""},
        {R"({"timestamp": "2000-01-03T00:00:00Z", "data": {"id": 1, "timestamp": "2000-01-04T00:00:00Z"}})",
         3 * day, ""},
        {R"({"timestamp": null, "data": {"id": 1}})", arrival, ""},
    };
    for (const auto &row : table) {
        const Mapped mapped(row.event, {target});
        EXPECT_EQ(sqlstate(mapped.event()), "") << row.event;
        EXPECT_EQ(mapped.event().time, row.time) << row.event;
        EXPECT_EQ(field_of(mapped.event(), 2) ? mapped.text(2) : "", row.extra) << row.event;
    }
    /* what is found there is a time like any other */
    expect_refused(
        Mapped(R"({"timestamp": "2099-01-01T00:00:00Z", "data": {"id": 1}})", {target}).event(), "22008",
        "the event's time is further in the future than cxone_sync.max_future_skew allows", "updated_ts");
    expect_refused(Mapped(R"({"data": {"id": 1, "timestamp": 7}})", {target}).event(), "22007",
                   "\"/data/timestamp\" is a number too small to be a time since 1970", "updated_ts");
    /* a column of that name is fed from it as before */
    EXPECT_EQ(
        Mapped(R"({"at": "2000-01-01T00:00:00Z", "data": {"id": 1, "timestamp": "x"}})", {target}).text(1),
        "x");
    EXPECT_EQ(Mapped(R"({"data": {"id": 1, "timestamp": "2000-01-04T00:00:00Z"}})", {target}).text(1),
              "2000-01-04T00:00:00Z");
}

TEST(EventMapper, OfPathsTheFirstThatIsThereAndNotNullCounts)
{
    Mapping::TargetSpec target = target_of("t", {"id", "phone"});
    target.columns[1].paths = {"/phones/0/number", "/phone", "/a~1b/~0", "/fallback"};
    const struct {
        const char *members, *phone;
    } table[] = {
        {R"("phones": [{"number": "1"}], "phone": "2")", "1"},
        {R"("phone": "2", "phones": [{"number": "1"}])", "1"},
        {R"("phones": [{"number": null}], "phone": "2")", "2"},
        {R"("phones": [{"kind": "x"}, {"number": "1"}], "phone": "2")", "2"},
        {R"("phones": {"0": {"number": "1"}}, "phone": "2")", "1"},
        {R"("phones": [[{"number": "1"}]], "fallback": "4")", "4"},
        {R"("phones": [], "a/b": {"~": "3"}, "fallback": "4")", "3"},
        {R"("a/b": {"~": null}, "fallback": false)", "false"},
        {R"("phone": null)", "(null)"},
        {R"("phones": [{"number": null}], "fallback": null)", "(null)"},
        {R"("phone": "")", ""},
        {R"("phones": [{}], "phoneNumber": 1)", "(no field)"},
    };
    for (const auto &row : table)
        EXPECT_EQ(Mapped("{\"id\": 1, " + std::string(row.members) + "}", {target}).text(1), row.phone)
            << row.members;
}

TEST(EventMapper, ElementsOfArrays)
{
    Mapping::TargetSpec target = target_of("t", {"id", "second_id", "all"});
    target.columns[0].paths = {"/items/0/id"};
    target.columns[1].paths = {"/items/10"};
    target.columns[2] = {.name = "all", .shape = Shape::array, .paths = {"/items"}};
    const Mapped mapped(R"({"items": [{"id": "a"}, 1, 2, 3, 4, 5, 6, 7, 8, 9, [10], 11]})", {target});
    EXPECT_EQ(mapped.event().key, "a");
    EXPECT_EQ(mapped.text(1), "[10]");
    EXPECT_EQ(mapped.text(2), R"({"{\"id\": \"a\"}","1","2","3","4","5","6","7","8","9",{"10"},"11"})");
}

TEST(EventMapper, ThePathOfNoTokensIsTheWholeEvent)
{
    Mapping::TargetSpec target = target_of("t", {"id", "event", "text"});
    target.columns[1] = {.name = "event", .shape = Shape::json, .paths = {""}};
    target.columns[2].paths = {"/text", ""};
    const std::string event = R"({ "id" : "\u0031", "x": [1e400 ] })";
    const Mapped mapped(event, {target});
    EXPECT_EQ(mapped.event().key, "1");
    EXPECT_EQ(mapped.text(1), event);
    EXPECT_EQ(mapped.text(2), event);
}

TEST(EventMapper, AColumnWithPathsIsNotFedByName)
{
    Mapping::TargetSpec target = target_of("t", {"id", "city", "town"});
    target.columns[1].paths = {"/address/city"};
    target.columns[2].paths = {"/address/city", "/city"}; /* one value may feed several columns */
    const Mapped mapped(R"({"id": 1, "city": "a", "town": "b"})", {target});
    EXPECT_EQ(mapped.text(1), "(no field)");
    EXPECT_EQ(mapped.text(2), "a");
    const Mapped deep(R"({"id": 1, "city": "a", "address": {"city": "c"}})", {target});
    EXPECT_EQ(deep.text(1), "c");
    EXPECT_EQ(deep.text(2), "c");
}

TEST(EventMapper, ARecordTakesObjectsAndArraysAsJson)
{
    Mapping::TargetSpec target = target_of("t", {"id", "place"});
    target.columns[1].shape = Shape::record;
    const struct {
        const char *json, *text;
        bool is_json;
    } table[] = {{R"({"a": "\n"})", R"({"a": "\n"})", true},
                 {"[1]", "[1]", true},
                 {R"x("(1,\"x\")")x", "(1,\"x\")", false},
                 {"7", "7", false}};
    for (const auto &row : table) {
        const Mapped mapped(R"({"id": 1, "place": )" + std::string(row.json) + "}", {target});
        EXPECT_EQ(mapped.text(1), row.text);
        EXPECT_EQ(field_of(mapped.event(), 1)->is_json, row.is_json) << row.json;
    }
    EXPECT_EQ(Mapped(R"({"id": 1, "place": null})", {target}).text(1), "(null)");
}

TEST(EventMapper, AKeyThatComesOnceMoreReplacesAllThatStoodBelowIt)
{
    Mapping::TargetSpec target = with_extra(target_of("t", {"id", "city", "zip"}));
    target.columns[1].paths = {"/a/b/city"};
    target.columns[2].paths = {"/a/zip"};
    const struct {
        const char *members, *city, *zip;
    } table[] = {
        {R"("a": {"b": {"city": "x"}, "zip": 1}, "a": {"zip": 2})", "(no field)", "2"},
        {R"("a": {"b": {"city": "x"}, "zip": 1}, "a": {})", "(no field)", "(no field)"},
        {R"("a": {"b": {"city": "x"}, "zip": 1}, "a": 7)", "(no field)", "(no field)"},
        {R"("a": {"b": {"city": "x"}, "zip": 1}, "a": [])", "(no field)", "(no field)"},
        {R"("a": {"b": {"city": "x"}, "zip": 1}, "\u0061": null)", "(no field)", "(no field)"},
        {R"("a": {"b": {"city": "x"}, "zip": 1, "b": {}})", "(no field)", "1"},
        {R"("a": {"b": {"city": "x"}, "b": 1, "zip": 1})", "(no field)", "1"},
        {R"("a": 7, "a": {"b": {"city": "x", "city": "y"}})", "y", "(no field)"},
        {R"("a": {"b": {"city": "x"}}, "x": {"a": 1}, "A": 2)", "x", "(no field)"},
    };
    for (const auto &row : table) {
        const Mapped mapped("{\"id\": 1, " + std::string(row.members) + "}", {target});
        EXPECT_EQ(mapped.text(1), row.city) << row.members;
        EXPECT_EQ(mapped.text(2), row.zip) << row.members;
    }
}

/* ---- keys ---- */

TEST(EventMapper, AKeyOfSeveralColumns)
{
    Mapping::TargetSpec target = target_of("t", {"city", "tenant", "contact_id"});
    target.keys = {1, 2};
    target.columns[1].paths = {"/meta/tenant", "/tenant"};
    const Mapped mapped(R"({"contactId": "a\u00e9", "city": "x", "meta": {"tenant": 7.0}})", {target});
    EXPECT_EQ(sqlstate(mapped.event()), "");
    EXPECT_EQ(mapped.event().key, "7.0, a\xC3\xA9");
    EXPECT_EQ(mapped.event().field_count, 3);

    target.keys = {2, 1};
    EXPECT_EQ(Mapped(R"({"contact_id": 1, "tenant": "t"})", {target}).event().key, "1, t");

    const struct {
        const char *event, *sqlstate, *message, *column;
    } table[] = {
        {R"({"contact_id": 1})", "23502", "event has no \"tenant\"", "tenant"},
        {R"({"contact_id": 1, "tenant": null})", "23502", "event has no \"tenant\"", "tenant"},
        {R"({"tenant": 1})", "23502", "event has no \"contact_id\"", "contact_id"},
        {R"({})", "23502", "event has no \"contact_id\"", "contact_id"},
        {R"({"contact_id": 1, "tenant": ""})", "22023", "\"tenant\" is empty", "tenant"},
        {R"({"contact_id": [], "tenant": ""})", "22023", "\"contact_id\" is neither a string nor a number",
         "contact_id"},
        {R"({"contact_id": 1, "tenant": true, "timestamp": 7})", "22023",
         "\"tenant\" is neither a string nor a number", "tenant"},
    };
    for (const auto &row : table)
        expect_refused(Mapped(row.event, {target}).event(), row.sqlstate, row.message, row.column);
}

/* Only of a type that has such values; a text would take the word as well, and it would be somebody's id. */
TEST(EventMapper, TrueAndFalseAsKeys)
{
    Mapping::TargetSpec target = target_of("t", {"id", "flag"});
    target.keys = {0, 1};
    for (const Shape shape : {Shape::boolean, Shape::json}) {
        target.columns[1].shape = shape;
        const Mapped mapped(R"([{"id": 1, "flag": true}, {"id": 1, "flag": false}, {"id": 1, "flag": "no"},
                                {"id": 1, "flag": []}, {"id": 1, "flag": null}, {"id": true, "flag": true}])",
                            {target});
        EXPECT_EQ(mapped.event(0).key, "1, true");
        EXPECT_EQ(mapped.text(1, 0), "true");
        EXPECT_EQ(mapped.event(1).key, "1, false");
        EXPECT_EQ(mapped.event(2).key, "1, no");
        expect_refused(mapped.event(3), "22023", "\"flag\" is neither a string nor a number", "flag");
        expect_refused(mapped.event(4), "23502", "event has no \"flag\"", "flag");
        expect_refused(mapped.event(5), "22023", "\"id\" is neither a string nor a number", "id");
    }
    for (const Shape shape : {Shape::scalar, Shape::integer, Shape::clock}) {
        target.columns[1].shape = shape;
        EXPECT_NE(sqlstate(Mapped(R"({"id": 1, "flag": true})", {target}).event()), "");
    }
}

TEST(EventMapper, ATargetWithoutAKeyTakesTheFieldsAlone)
{
    Mapping::TargetSpec target = target_of("t", {"city"});
    target.keys.clear();
    const Mapped mapped(R"({"city": "x"})", {target});
    EXPECT_EQ(sqlstate(mapped.event()), "");
    EXPECT_EQ(mapped.text(0), "x");
}

/* ---- what no column takes ---- */

TEST(EventMapper, ExtraHoldsExactlyTheMembersWithoutAColumn)
{
    const Mapping::TargetSpec target =
        with_types(with_extra(target_of("t", {"id", "first_name"})), {"a"}, {});
    const struct {
        const char *event, *extra;
    } table[] = {
        {R"({"id": 1, "firstName": "x", "first_name": "y", "timestamp": null, "eventType": "a"})",
         R"({"firstName":"x","eventType":"a"})"},
        {R"({"id": 1, "first_name": "x", "firstName": null, "eventType": "a"})", R"({"eventType":"a"})"},
        {R"({"id": 1, "firstName": null, "first_name": "x", "first_name": null, "firstName": "y", "eventType": "a"})",
         R"({"firstName":null,"firstName":"y","eventType":"a"})"},
        {R"({"id": 1, "eventType" : "a", "zip" : 1234567890123456789.50 , "b":[ {"id": 2},{ } ],"c" : null})",
         R"({"eventType":"a","zip":1234567890123456789.50,"b":[ {"id": 2},{ } ],"c":null})"},
        {R"({"\u0065ventType": "\u0061", "a\"b\\\n": "\u00e9\/", "": {"": ""}, "\u0069d": "1"})",
         R"({"\u0065ventType":"\u0061","a\"b\\\n":"\u00e9\/","":{"": ""}})"},
        {R"({"id": 1, "eventType": "a", "extra": {"x": 1}, "big": 1e400})",
         R"({"eventType":"a","extra":{"x": 1},"big":1e400})"},
    };
    for (const auto &row : table) {
        const Mapped mapped(row.event, {target});
        EXPECT_EQ(sqlstate(mapped.event()), "") << row.event << mapped.event().refusal.message;
        EXPECT_EQ(mapped.text(2), row.extra) << row.event;
        EXPECT_FALSE(field_of(mapped.event(), 2)->is_null);
        EXPECT_GE(mapped.delivery.collected_bytes, std::string(row.extra).size());
    }
}

TEST(EventMapper, WithoutSuchMembersThereIsNoFieldForExtra)
{
    const Mapping::TargetSpec target = with_extra(target_of("t", {"id", "first_name"}));
    for (const char *event : {R"({"id": 1})", R"({"id": 1, "firstName": {"a": 1}, "timestamp": null})"}) {
        const Mapped mapped(event, {target});
        EXPECT_EQ(mapped.text(2), "(no field)");
        EXPECT_EQ(mapped.delivery.collected_bytes, 0u);
        EXPECT_TRUE(mapped.delivery.unmapped.empty());
    }
}

/* What has lost to another of the paths of its column, or of the time, is thrown away no more than the rest.
 */
TEST(EventMapper, ExtraHoldsWhatHasLost)
{
    Mapping::TargetSpec target = with_extra(target_of("t", {"id", "agent"}));
    target.columns[1].paths = {"/agentId", "/AgentId", "/agent/id"};
    target.time_paths = {"/lastUpdate", "/createdAt"};
    const struct {
        const char *event, *agent, *extra;
    } table[] = {
        {R"({"id": 1, "agentId": 2, "AgentId": 3, "agent": {"id": 4}})", "2",
         R"({"AgentId":3,"agent":{"id": 4}})"},
        {R"({"id": 1, "agentId": null, "AgentId": 3})", "3", ""},
        {R"({"id": 1, "AgentId": 3, "lastUpdate": "2024-01-02T00:00:00Z", "createdAt": "2024-01-01T00:00:00Z"})",
         "3", R"({"createdAt":"2024-01-01T00:00:00Z"})"},
        {R"({"id": 1, "AgentId": 3, "lastUpdate": null, "createdAt": "2024-01-01T00:00:00Z"})", "3", ""},
    };
    for (const auto &row : table) {
        const Mapped mapped(row.event, {target});
        EXPECT_EQ(mapped.text(1), row.agent) << row.event;
        EXPECT_EQ(field_of(mapped.event(), 2) ? mapped.text(2) : "", row.extra) << row.event;
    }
}

TEST(EventMapper, ExtraOfTwoTargetsThatDiffer)
{
    Mapping::TargetSpec a = with_extra(target_of("a", {"id", "agent"}));
    Mapping::TargetSpec b = with_extra(target_of("b", {"id", "agent"}));
    a.columns[1].paths = {"/x", "/y"};
    b.columns[1].paths = {"/y", "/z"};
    const Mapped mapped(R"({"id": 1, "x": 1, "y": null, "z": 3})", {a, b});
    ASSERT_EQ(mapped.delivery.events.size(), 2u);
    EXPECT_EQ(field_of(mapped.delivery.events[0], 2)->text, R"({"z":3})");
    EXPECT_EQ(field_of(mapped.delivery.events[1], 2)->text, R"({"x":1})");
}

TEST(EventMapper, MembersWithoutAColumnAreBounded)
{
    for (const std::size_t count : {EventWalk::max_members, EventWalk::max_members + 1}) {
        std::string event = R"({"id": 1)";
        for (std::size_t i = 0; i < count; i++)
            event += ",\"m" + std::to_string(i) + "\":0";
        const Mapped mapped(event + "}", {with_extra(target_of("t", {"id"}))});
        EXPECT_EQ(sqlstate(mapped.event()), count > EventWalk::max_members ? "54000" : "");
    }
}

TEST(EventMapper, AKeyThatComesTwiceInAnEventIsNotedOnce)
{
    const Mapped mapped(R"({"id": 1, "a": 1, "a": 2})", {target_of("t", {"id"})});
    ASSERT_EQ(mapped.delivery.unmapped.size(), 1u);
    EXPECT_EQ(mapped.delivery.unmapped[0].events, 1u);
}

/* ---- times inside of values ---- */

namespace {

Mapping::TargetSpec with_value(Shape shape, InnerValues inner = {})
{
    Mapping::TargetSpec target = target_of("t", {"id", "v"});
    target.columns[1].shape = shape;
    target.columns[1].inner = std::move(inner);
    return target;
}

} // namespace

TEST(EventMapper, TimesInArrays)
{
    const auto target = with_value(Shape::array, {.shape = Shape::instant});
    const struct {
        const char *value, *text;
    } table[] = {
        {R"(["2024-01-01T00:00:00+01:00",null,1704067200])",
         R"({"2023-12-31T23:00:00Z",NULL,"2024-01-01T00:00:00Z"})"},
        {R"([ [1704067200], [{"date": "2024-01-01 00:00:00", "timezone": "UTC"}] ])",
         R"({{"2024-01-01T00:00:00Z"},{"2024-01-01T00:00:00Z"}})"},
        {"[]", "{}"},
    };
    for (const auto &row : table) {
        const Mapped mapped(std::string(R"({"id": 1, "v": )") + row.value + "}", {target});
        EXPECT_EQ(sqlstate(mapped.event()), "") << row.value;
        EXPECT_EQ(mapped.text(1), row.text) << row.value;
    }
    for (const char *value : {R"(["now"])", R"([["infinity"]])", R"(["2024-01-01T00:00:00"])", R"("{now}")",
                              "1", R"([true])", R"([{"date": "today"}])"})
        EXPECT_EQ(sqlstate(Mapped(std::string(R"({"id": 1, "v": )") + value + "}", {target}).event()),
                  "22007")
            << value;
}

TEST(EventMapper, TimesInRecords)
{
    const auto target = with_value(
        Shape::record, {.fields = {{.name = "at", .shape = Shape::local},
                                   {.name = "in", .fields = {{.name = "on", .shape = Shape::date}}}}});
    const struct {
        const char *value, *text;
    } table[] = {
        {R"({"at": 1704067200, "x": "now", "in": {"on": ["2024-01-01", null], "at": "now"}, "on": 1})",
         R"({"at":"2024-01-01T00:00:00","x":"now","in":{"on":["2024-01-01",null],"at":"now"},"on":1})"},
        {R"([{"at": null}, 1, {"at": {"date": "2024-01-01 00:00:00", "timezone": "UTC"}, "y": [1, {}]}])",
         R"([{"at":null},1,{"at":"2024-01-01T00:00:00","y":[1,{}]}])"},
        {"{}", "{}"},
    };
    for (const auto &row : table) {
        const Mapped mapped(std::string(R"({"id": 1, "v": )") + row.value + "}", {target});
        EXPECT_EQ(sqlstate(mapped.event()), "") << row.value;
        EXPECT_EQ(mapped.text(1), row.text) << row.value;
        EXPECT_TRUE(field_of(mapped.event(), 1)->is_json);
    }
    const Mapped mapped(R"({"id": 1, "v": {"in": {"on": "tomorrow"}}})", {target});
    EXPECT_EQ(sqlstate(mapped.event()), "22007");
    EXPECT_EQ(mapped.event().refusal.message.substr(0, 6), "\"v.on\"") << mapped.event().refusal.message;
}

/* ---- integers ---- */

TEST(EventMapper, ANumberThatIsAnIntegerIsWrittenAsOne)
{
    const struct {
        const char *number, *integer, *plain;
    } table[] = {{"5.0", "5", "5.0"}, {"1E2", "100", "1E2"}, {"7", "7", "7"}, {"1.5", "1.5", "1.5"}};
    Mapping::TargetSpec target = target_of("t", {"n", "id", "text"});
    target.columns[0].shape = target.columns[1].shape = Shape::integer;
    for (const auto &row : table) {
        const std::string number = row.number;
        const Mapped mapped("{\"id\": " + number + ", \"n\": " + number + ", \"text\": " + number + "}",
                            {target});
        EXPECT_EQ(mapped.text(0), row.integer);
        EXPECT_EQ(mapped.text(2), row.plain);
        EXPECT_EQ(mapped.event().key, row.integer);
        target.keys = {0, 1};
        EXPECT_EQ(Mapped(mapped.delivery.body, {target}).event().key,
                  row.integer + std::string(", ") + row.integer);
        target.keys = {0};
    }
    /* strings are what they are */
    EXPECT_EQ(Mapped(R"({"id": 1, "n": "5.0"})", {target}).text(0), "5.0");
    EXPECT_EQ(Mapped(R"({"id": 1, "n": true})", {target}).text(0), "true");
}

TEST(EventMapper, IntegersInArraysAndRecords)
{
    const auto array = with_value(Shape::array, {.shape = Shape::integer});
    const auto record = with_value(Shape::record, {.fields = {{.name = "n", .shape = Shape::integer}}});
    const struct {
        const Mapping::TargetSpec &target;
        const char *value, *text;
    } table[] = {
        {array, R"([1, 2.0, null, "3.0", 1e1, 1.5])", R"({"1","2",NULL,"3.0","10","1.5"})"},
        {array, R"([[1], [2.0]])", R"({{"1"},{"2"}})"},
        {array, R"([1, 2])", R"({"1","2"})"},
        {array, R"("{1,2}")", "{1,2}"},
        {array, "7.0", "7.0"},
        {array, "[]", "{}"},
        {record, R"({"n": 5.0, "x": 5.0})", R"({"n":5,"x":5.0})"},
        {record, R"([{"n": [1e1]}, null])", R"([{"n":[10]},null])"},
        {record, R"({"n": {"a": 5.0}})", R"({"n":{"a":5.0}})"},
        {record, R"x("(5,x)")x", "(5,x)"},
    };
    for (const auto &row : table) {
        const Mapped mapped(std::string(R"({"id": 1, "v": )") + row.value + "}", {row.target});
        EXPECT_EQ(sqlstate(mapped.event()), "") << row.value;
        EXPECT_EQ(mapped.text(1), row.text) << row.value;
    }
}

/* ---- ranges of times ---- */

TEST(EventMapper, RangesOfTimes)
{
    const auto target = with_value(Shape::instant_range);
    const auto mapped = [](const std::string &value, const Mapping::TargetSpec &of) {
        return Mapped("{\"id\": 1, \"v\": " + value + "}", {of});
    };
    EXPECT_EQ(mapped(R"x("[2024-01-01 01:00:00+01:00,)")x", target).text(1), "[2024-01-01T00:00:00Z,)");
    EXPECT_EQ(mapped(R"x(["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"])x", target).text(1),
              "[2024-01-01T00:00:00Z,2024-01-02T00:00:00Z]");
    EXPECT_EQ(mapped("null", target).text(1), "(null)");
    for (const char *value : {R"x("[now,)")x", R"x("[2024-01-01T00:00:00,)")x", "7", "true", "[]", "\"\""}) {
        const Mapped refused = mapped(value, target);
        EXPECT_EQ(sqlstate(refused.event()), "22007") << value;
        EXPECT_EQ(refused.event().refusal.column, "v") << value;
        EXPECT_EQ(refused.event().field_count, 1) << value;
    }

    const auto array = with_value(Shape::array, {.shape = Shape::date_range});
    EXPECT_EQ(mapped(R"x(["[2024-01-01,\"2024-01-02\")", null, "empty"])x", array).text(1),
              R"x({"[2024-01-01,2024-01-02)",NULL,"empty"})x");
    for (const char *value : {R"x("{\"[now,)\"}")x", R"x(["[today,)"])x", R"x([{"lower": "now"}])x"})
        EXPECT_EQ(sqlstate(mapped(value, array).event()), "22007") << value;

    const auto record = with_value(Shape::record, {.fields = {{.name = "in", .shape = Shape::local_range}}});
    EXPECT_EQ(mapped(R"x({"in": "{[2024-01-01,)}", "x": "[now,)"})x", record).text(1),
              R"x({"in":"{[2024-01-01T00:00:00,)}","x":"[now,)"})x");
    const Mapped word = mapped(R"x([{"in": "(,tomorrow)"}])x", record);
    EXPECT_EQ(sqlstate(word.event()), "22007");
    EXPECT_TRUE(word.event().refusal.message.starts_with("\"v.in\" ")) << word.event().refusal.message;
}

TEST(EventMapper, TimesOfDayAreNoWords)
{
    const auto target = with_value(Shape::clock);
    EXPECT_EQ(Mapped(R"({"id": 1, "v": "12:00"})", {target}).text(1), "12:00");
    for (const char *value : {R"("now")", R"("allballs")", R"("")", "true"})
        EXPECT_EQ(sqlstate(Mapped(std::string(R"({"id": 1, "v": )") + value + "}", {target}).event()),
                  "22007")
            << value;
}

TEST(EventMapper, ExtraIsOfTheRootAndOfWholeMembers)
{
    Mapping::TargetSpec target = with_extra(rooted(target_of("t", {"id", "city", "when"}), "/data"));
    target.columns[1].paths = {"/data/address/city"};
    target.columns[2].paths = {"/when"};
    const Mapped mapped(
        R"({"top": 1, "when": 2, "data": {"id": 1, "address": {"city": "x", "zip": 1}, "k": "v",
                            "timestamp": null}, "timestamp": null, "b": {"k": 1}})",
        {target});
    EXPECT_EQ(mapped.text(1), "x");
    EXPECT_EQ(mapped.text(2), "2");
    EXPECT_EQ(mapped.text(3), R"({"address":{"city": "x", "zip": 1},"k":"v"})");

    EXPECT_EQ(Mapped(R"({"data": {"id": 1, "k": 1}, "data": {"id": 2, "l": 2}})", {target}).text(3),
              R"({"l":2})");
    EXPECT_EQ(Mapped(R"({"data": {"id": 1, "k": 1}, "data": []})", {target}).text(3), "(no field)");
    EXPECT_EQ(Mapped(R"({"data": 7})", {target}).text(3), "(no field)");

    /* also if no path leads on from the root */
    Mapping::TargetSpec leaf = with_extra(rooted(target_of("t", {"id"}), "/data"));
    leaf.columns[0].paths = {"/id"};
    leaf.time_paths.clear();
    EXPECT_EQ(Mapped(R"({"id": 1, "data": {"k": 1}, "data": {"l": 2}})", {leaf}).text(1), R"({"l":2})");
}

/* What one target takes, another with the same root may lack. */
TEST(EventMapper, EachTargetHasItsOwnExtra)
{
    Mapping::TargetSpec elsewhere = with_extra(rooted(target_of("elsewhere", {"id", "name"}), "/data"));
    elsewhere.columns[1].paths = {"/name", "/data/name"};
    Mapping::TargetSpec plain = with_extra(target_of("plain", {"id"}));
    plain.time_paths = {"/at"};
    const Mapped mapped(
        R"({"id": 1, "name": "n", "timestamp": "2000-01-02T00:00:00Z", "at": null, "data": {"id": 2, "x": 3}})",
        {with_extra(target_of("named", {"id", "name"})), elsewhere, plain});
    ASSERT_EQ(mapped.takers(), "named elsewhere plain");
    EXPECT_EQ(mapped.text(2, 0), R"({"at":null,"data":{"id": 2, "x": 3}})");
    EXPECT_EQ(mapped.text(2, 1), R"({"x":3})");
    EXPECT_EQ(mapped.text(1, 2),
              R"({"name":"n","timestamp":"2000-01-02T00:00:00Z","data":{"id": 2, "x": 3}})");
    EXPECT_EQ(mapped.event(0).time, day);
    EXPECT_EQ(mapped.event(1).time, day);
    EXPECT_EQ(mapped.event(2).time, arrival);
}

TEST(EventMapper, KeysWithoutAColumnAreCountedWithAnExample)
{
    const Mapped mapped(
        R"([{"id": 1, "zip": [1 ], "fax": "a"}, {"id": 2, "zip": 2}, {"zip": 3, "n\u0061me": "x"},
                            7, {"id": 4, "eventType": "b", "zip": 5}])",
        {target_of("a", {"id", "name"}), with_types(with_extra(target_of("b", {"id"})), {"b"})});
    Texts seen;
    for (const UnmappedKey &key : mapped.delivery.unmapped)
        seen.push_back(std::to_string(key.target) + " " + std::string(key.key) + " " +
                       std::to_string(key.events) + " " + std::string(key.example));
    EXPECT_EQ(seen, (Texts{"0 zip 3 [1 ]", "0 fax 1 \"a\"", "1 eventType 1 \"b\"", "1 zip 1 5"}));
}

TEST(EventMapper, OnlySoManyKeysAreNoted)
{
    std::string events;
    for (int event = 0; event < 3; event++) {
        events += event ? ",{\"id\":1" : "{\"id\":1";
        for (int i = 0; i < 100; i++)
            events += ",\"k" + std::to_string(i) + "\":" + std::to_string(event);
        events += '}';
    }
    const Mapped mapped("[" + events + "]", {with_extra(target_of("t", {"id"}))});
    ASSERT_EQ(mapped.delivery.unmapped.size(), Delivery::max_unmapped_keys);
    EXPECT_EQ(Delivery::max_unmapped_keys, 64u);
    for (std::size_t i = 0; i < 64; i++) {
        EXPECT_EQ(mapped.delivery.unmapped[i].key, "k" + std::to_string(i));
        EXPECT_EQ(mapped.delivery.unmapped[i].events, 3u);
        EXPECT_EQ(mapped.delivery.unmapped[i].example, "0");
    }
    /* what is not noted is kept all the same */
    EXPECT_TRUE(mapped.text(1, 2).ends_with(",\"k99\":2}"));
}

/* ---- deletions ---- */

TEST(EventMapper, ADeletionWithoutAMarkFeedsOnlyTheKey)
{
    Mapping::TargetSpec target =
        with_types(with_extra(target_of("t", {"city", "id", "part"})), {"a"}, {"gone"});
    target.keys = {1, 2};
    const Mapped mapped(R"([{"city": "x", "id": 1, "part": 2, "zip": 3, "eventType": "gone", "timestamp":
                             "2000-01-02T00:00:00Z"}, {"id": 1, "eventType": "gone"},
                            {"id": 1, "part": 2, "eventType": "a"}])",
                        {target});
    EXPECT_EQ(mapped.takers(), "t! t! t");
    EXPECT_EQ(mapped.event(0).field_count, 2);
    EXPECT_EQ(mapped.text(1), "1");
    EXPECT_EQ(mapped.text(2), "2");
    EXPECT_EQ(mapped.event(0).key, "1, 2");
    EXPECT_EQ(mapped.event(0).time, day);
    expect_refused(mapped.event(1), "23502", "event has no \"part\"", "part");
    EXPECT_EQ(mapped.event(2).field_count, 3);
    for (const UnmappedKey &key : mapped.delivery.unmapped)
        EXPECT_NE(key.key, "zip");
}

TEST(EventMapper, AMarkIsSetByADeletionAndClearedByAllElse)
{
    const Mapping::TargetSpec target =
        with_types(with_mark(with_extra(target_of("t", {"id", "city"}))), {"a"}, {"gone"});
    const Mapped mapped(R"([{"id": 1, "eventType": "a", "deleted_ts": 7},
                            {"id": 1, "city": "x", "eventType": "gone", "deletedTs": 7}, {"eventType": "gone"}])",
                        {target});
    EXPECT_EQ(mapped.takers(), "t t! t!");
    EXPECT_EQ(mapped.text(3), "(null)");
    EXPECT_EQ(mapped.text(1), "(no field)");
    EXPECT_EQ(mapped.text(2), R"({"eventType":"a","deleted_ts":7})");
    ASSERT_NE(field_of(mapped.event(1), 3), nullptr);
    EXPECT_FALSE(field_of(mapped.event(1), 3)->is_null);
    EXPECT_EQ(mapped.text(1, 1), "x");
    EXPECT_EQ(mapped.text(2, 1), R"({"eventType":"gone","deletedTs":7})");
    expect_refused(mapped.event(2), "23502", "event has no \"id\"", "id");
}

/* ---- all targets at once ---- */

TEST(EventMapper, ATextThatCannotBeKeptHarmsWhatTakesIt)
{
    const auto nul = [](const std::string &member) {
        return "\"" + member + "\" holds \\u0000 or half of a surrogate pair, which no text can hold";
    };
    Mapping::TargetSpec target = with_extra(target_of("t", {"id", "first_name", "doc", "city", "at", "n"}));
    target.columns[2].shape = Shape::json;
    target.columns[3].paths = {"/address/city", "/town"};
    target.columns[4].shape = Shape::instant;
    target.columns[5].shape = Shape::array;
    const struct {
        const char *members, *member, *column;
    } refused[] = {
        {R"("first_name": "a\u0000b")", "first_name", "first_name"},
        {R"("firstName": "\ud800")", "firstName", "first_name"},
        {R"("doc": [{"a": {"b": "\udfff"}}])", "doc", "doc"},
        {R"("doc": {"a": 1, "\u0000": 2})", "doc", "doc"},
        {R"("doc": {"a": "\u0000", "a": 2})", "doc", "doc"},
        {R"("address": {"city": "\u0000"}, "town": "x")", "/address/city", "city"},
        {R"("address": {"city": null}, "town": "\u0000")", "town", "city"},
        {R"("at": "\u0000")", "at", "at"},
        {R"("n": ["\u0000"])", "n", "n"},
    };
    for (const auto &row : refused) {
        const Mapped mapped("{\"id\": 1, " + std::string(row.members) + "}", {target});
        expect_refused(mapped.event(), "22P05", nul(row.member), row.column);
        EXPECT_EQ(mapped.event().key, "1") << row.members;
    }
    const struct {
        const char *members, *extra;
    } taken[] = {
        {R"("x": "\u0000", "y": 1)", R"({"y":1})"},
        {R"("x": {"y": [{"\ud800": 1}]})", ""},
        {R"("\udc00": 1, "y": "\ud83d\ude00")", R"({"y":"\ud83d\ude00"})"},
        {R"("first_name": "a", "firstName": "\u0000")", ""},
        {R"("first_name": "\u0000", "first_name": "a")", ""},
        {R"("address": {"city": "a", "zip": "\u0000"}, "town": "\u0000")", ""},
        {R"("x": "\u0000", "x": 1)", R"({"x":1})"},
    };
    for (const auto &row : taken) {
        const Mapped mapped("{\"id\": 1, " + std::string(row.members) + "}", {target});
        EXPECT_EQ(sqlstate(mapped.event()), "") << row.members << mapped.event().refusal.message;
        EXPECT_EQ(field_of(mapped.event(), 6) ? mapped.text(6) : "", row.extra) << row.members;
    }

    Mapping::TargetSpec whole = target_of("t", {"id", "event"});
    whole.columns[1] = {.name = "event", .shape = Shape::json, .paths = {""}};
    expect_refused(Mapped(R"({"id": 1, "x": "\u0000"})", {whole}).event(), "22P05",
                   "event holds \\u0000 or half of a surrogate pair, which no text can hold", "event");

    /* the key itself, alone and one of several; whoever takes nothing of it has nothing to refuse */
    const Mapped alone(R"({"id": "\u0000", "first_name": "a"})", {target});
    expect_refused(alone.event(), "22P05", nul("id"), "id");
    EXPECT_EQ(alone.event().key, "");
    target.keys = {0, 1};
    const Mapped several(R"({"id": 1, "first_name": "\u0000"})", {target, target_of("plain", {"id"})});
    expect_refused(several.event(0), "22P05", nul("first_name"), "first_name");
    EXPECT_EQ(several.event(0).key, "1");
    EXPECT_EQ(sqlstate(several.event(1)), "");
    const Mapped deletion(R"({"id": 1, "first_name": "\u0000", "eventType": "gone"})",
                          {with_types(target_of("t", {"id", "first_name"}), {}, {"gone"})});
    EXPECT_EQ(sqlstate(deletion.event()), "");
}

TEST(EventMapper, AKeyThatCannotBeKeptIsNotedAsItIsWritten)
{
    const Mapped mapped(
        R"([{"id": 1, "a\u0000\u0062": 1, "n\u0061me": "\ud800"}, {"id": 2, "a\u0000\u0062": 2}])",
        {with_extra(target_of("t", {"id"}))});
    ASSERT_EQ(mapped.delivery.unmapped.size(), 2u);
    EXPECT_EQ(mapped.delivery.unmapped[0].key, R"(a\u0000\u0062)");
    EXPECT_EQ(mapped.delivery.unmapped[0].events, 2u);
    EXPECT_EQ(mapped.delivery.unmapped[1].key, "name");
    EXPECT_EQ(mapped.delivery.unmapped[1].example, R"("\ud800")");
}

TEST(EventMapper, CountsAreOfEventsAndTheWorstOutcomeCounts)
{
    constexpr Outcome applied = Outcome::applied, skipped = Outcome::skipped, dead = Outcome::dead_lettered;
    const std::vector<std::vector<Outcome>> outcomes = {{applied},
                                                        {skipped},
                                                        {dead},
                                                        {applied, skipped},
                                                        {skipped, applied},
                                                        {applied, dead, skipped},
                                                        {skipped, skipped, dead},
                                                        {dead, applied},
                                                        {skipped, skipped},
                                                        {applied, applied}};
    Delivery delivery;
    for (std::uint32_t number = 0; number < outcomes.size(); number++) {
        for (const Outcome outcome : outcomes[number]) {
            Event &event = delivery.events.emplace_back();
            event.number = number;
            event.outcome = outcome;
        }
    }
    const DeliveryCounts counts = delivery.counts();
    EXPECT_EQ(counts.received, 10u);
    EXPECT_EQ(counts.applied, 4u);
    EXPECT_EQ(counts.skipped, 2u);
    EXPECT_EQ(counts.dead_lettered, 4u);
    EXPECT_EQ(Delivery().counts().received, 0u);
}

/* Small numbers, the same for each seed. */
class Dice {
public:
    explicit Dice(unsigned seed) : state_(seed * 2654435761u + 1) {}
    unsigned roll(unsigned sides)
    {
        state_ = state_ * 1664525u + 1013904223u;
        return (state_ >> 16) % sides;
    }
    template <typename T, std::size_t N> const T &one_of(const T (&list)[N])
    {
        return list[roll(static_cast<unsigned>(N))];
    }

private:
    unsigned state_;
};

/* Few names, so that they meet: as members, columns, paths, roots and types. */
constexpr const char *names[] = {"id", "a", "a_b", "aB", "data", "timestamp", "eventType", "0", "x/y"};
constexpr const char *paths[] = {"/id", "/data",      "/data/id",    "/data/a",       "/a/0",
                                 "/aB", "/data/0/a",  "/x~1y/a",     "/data/data/id", "/0",
                                 "",    "/timestamp", "/a/timestamp"};

std::string random_json(Dice &dice, unsigned depth)
{
    const unsigned kind = dice.roll(depth > 0 ? 10 : 6);
    if (kind >= 6) {
        const bool is_object = kind < 9;
        std::string text(1, is_object ? '{' : '[');
        for (unsigned i = dice.roll(5); i > 0; i--) {
            if (is_object)
                text += '"' + std::string(dice.one_of(names)) + "\": ";
            text += random_json(dice, depth - 1) + (i > 1 ? "," : "");
        }
        return text + (is_object ? '}' : ']');
    }
    constexpr const char *scalars[] = {
        "1", "null", "\"x\\u0000\"", "\"\\u0061\"", "\"2001-01-01T00:00:00Z\"", "true"};
    return scalars[kind];
}

std::string random_event(Dice &dice)
{
    std::string text = "{";
    for (unsigned i = dice.roll(7); i > 0; i--)
        text += '"' + std::string(dice.one_of(names)) + "\": " + random_json(dice, 3) + ", ";
    return text + "\"data\": " + random_json(dice, 3) + "}";
}

Mapping::TargetSpec random_target(Dice &dice, const std::string &name)
{
    constexpr const char *roots[] = {"", "", "/data", "/data", "/a", "/data/0", "/data/data"};
    constexpr Shape shapes[] = {Shape::scalar,     Shape::array,   Shape::record,  Shape::json,
                                Shape::json_array, Shape::boolean, Shape::integer, Shape::date_range};
    Mapping::TargetSpec target = rooted(target_of(name, {"id"}), dice.one_of(roots));
    for (unsigned i = dice.roll(5); i > 0; i--) {
        Mapping::Column column{.name = dice.one_of(names), .shape = dice.one_of(shapes)};
        for (unsigned j = dice.roll(3); j > 0; j--)
            column.paths.push_back(dice.one_of(paths));
        target.columns.push_back(std::move(column));
    }
    if (dice.roll(2))
        target.keys.push_back(static_cast<std::uint16_t>(target.columns.size() - 1));
    if (dice.roll(3) == 0)
        target.time_paths.insert(target.time_paths.begin(), {dice.one_of(paths), dice.one_of(paths)});
    if (dice.roll(3) > 0)
        target = with_extra(std::move(target));
    if (dice.roll(3) == 0)
        target = with_mark(std::move(target));
    if (dice.roll(2))
        target.type_path = dice.one_of(paths);
    if (dice.roll(2))
        target.types = {"a", "1", "x"};
    if (dice.roll(2))
        target.delete_types = {"x"};
    return target;
}

TEST(EventMapper, EachTargetTakesTheSameAsIfItWereAlone)
{
    std::size_t compared = 0;
    for (unsigned seed = 0; seed < 3000; seed++) {
        Dice dice(seed);
        std::vector<Mapping::TargetSpec> targets;
        for (const char *name : {"one", "two", "three"})
            targets.push_back(random_target(dice, name));
        std::string events = random_event(dice);
        for (int i = 0; i < 3; i++)
            events += "," + random_event(dice);
        events = "[" + events + "]";
        const Mapped together(events, targets);
        for (std::size_t i = 0; i < targets.size(); i++) {
            Texts seen, expected;
            for (const Event &event : together.events()) {
                if (event.target == i)
                    seen.push_back(std::to_string(event.number) + " " + described(event));
            }
            const Mapped alone(events, {targets[i]});
            for (const Event &event : alone.events()) {
                if (event.target == 0 &&
                    is_taken_beside_others(event, together.delivery, static_cast<std::uint16_t>(i)))
                    expected.push_back(std::to_string(event.number) + " " + described(event));
            }
            ASSERT_EQ(seen, expected) << "seed " << seed << ", target " << i << ": " << events;
            compared += seen.size();
        }
    }
    EXPECT_GT(compared, 10'000u);
}

} // namespace
} // namespace cxone_sync
