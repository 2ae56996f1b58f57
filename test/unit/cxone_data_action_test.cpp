#include "cxone/data_action.h"
#include "cxone/retry.h"

#include <gtest/gtest.h>

#include <limits>

namespace cxone_sync {
namespace {

using namespace std::string_literals;

/* ---- reading lists ---- */

struct List {
    std::string problem;
    std::vector<DataAction> actions;
    std::string next;
};

const std::vector<std::string> fields = {"dataActions", "items", "resultSet", "_embedded"};

List list_of(std::string_view body)
{
    List list;
    list.problem = read_data_actions(body, fields, list.actions, list.next);
    return list;
}

/* The ids, or what is wrong. */
std::string ids_in(std::string_view body)
{
    const List list = list_of(body);
    std::string ids;
    for (const DataAction &action : list.actions)
        ids += (ids.empty() ? "" : " ") + action.id;
    return list.problem.empty() ? ids : "! " + list.problem;
}

TEST(CxoneDataActionList, Shapes)
{
    EXPECT_EQ(ids_in("[]"), "");
    EXPECT_EQ(ids_in(R"([{"id":"a"},{"id":7}])"), "a 7");
    EXPECT_EQ(ids_in(R"({"dataActions":[]})"), "");
    EXPECT_EQ(ids_in(R"({"dataActions":[{"id":1}],"totalRecords":1})"), "1");
    EXPECT_EQ(ids_in(R"({"resultSet":{"dataActions":[]}})"), "");
    EXPECT_EQ(ids_in(R"({"totalRecords":"1","resultSet":{"_links":{"self":"x"},"dataActions":[{"id":1}]}})"),
              "1");
}

TEST(CxoneDataActionList, Members)
{
    const List list = list_of(R"([{"id":900719925474010003,"name":"n","endpointUrl":"https://h/",)"
                              R"("description":"d","format":"json","status":"ACTIVE","other":[1,{}]},)"
                              R"({"id":"x","name":null,"endpointUrl":{"a":1},"description":["d"]}])");
    ASSERT_EQ(list.problem, "");
    ASSERT_EQ(list.actions.size(), 2u);
    EXPECT_EQ(list.actions[0].id, "900719925474010003");
    EXPECT_EQ(list.actions[0].name, "n");
    EXPECT_EQ(list.actions[0].endpoint_url, "https://h/");
    EXPECT_EQ(list.actions[0].description, "d");
    EXPECT_EQ(list.actions[0].format, "json");
    EXPECT_EQ(list.actions[0].status, "ACTIVE");
    EXPECT_EQ(list.actions[1].name + list.actions[1].endpoint_url + list.actions[1].description, "");
}

TEST(CxoneDataActionList, PagesAreAppended)
{
    std::vector<DataAction> actions;
    std::string next;
    EXPECT_EQ(read_data_actions(R"({"next":"/2","items":[{"id":1}]})", fields, actions, next), "");
    EXPECT_EQ(next, "/2");
    EXPECT_EQ(read_data_actions(R"({"items":[{"id":2}]})", fields, actions, next), "");
    EXPECT_EQ(next, "");
    EXPECT_EQ(actions.size(), 2u);
}

TEST(CxoneDataActionList, WhatIsNoListIsNoEmptyOne)
{
    const std::string none =
        "! the reply has no list at \"dataActions\", \"items\", \"resultSet\", \"_embedded\"";
    for (const char *body : {"{}", "null", "7", "\"\"", R"({"dataActions":null})", R"({"dataActions":{}})",
                             R"({"a":{"b":{"c":[]}}})", R"({"message":"sign in"})",
                             R"({"resultSet":{"items":{"dataActions":[]}}})", R"({"other":[]})"})
        EXPECT_EQ(ids_in(body), none) << body;
    for (const char *body : {"", "<html></html>", "[", "[]]", "[{\"id\":1}"})
        EXPECT_TRUE(ids_in(body).starts_with("! invalid JSON at byte ")) << body;
    EXPECT_EQ(ids_in("[\"\xFF\"]"), "! the reply is not valid UTF-8");
}

TEST(CxoneDataActionList, TwoArrays)
{
    for (const char *body :
         {R"({"dataActions":[{"id":1}],"errors":[]})", R"({"errors":[],"dataActions":[{"id":1}]})",
          R"({"dataActions":[],"dataActions":[{"id":1}]})", R"({"items":[],"dataActions":[{"id":1}]})",
          R"({"resultSet":{"dataActions":[{"id":1}],"errors":[]}})"})
        EXPECT_EQ(ids_in(body), "1") << body;
}

/* The array that is looked at must be the only one, else an empty one hides ours. */
TEST(CxoneDataActionList, AnArrayBesideTheListDoesNotPassForIt)
{
    for (const char *body : {R"({"links":[],"resultSet":{"dataActions":[{"id":1}]}})",
                             R"({"resultSet":{"dataActions":[{"id":1}]},"errors":[]})",
                             R"({"_links":{"curies":[]},"_embedded":{"dataActions":[{"id":1}]}})",
                             R"({"meta":{"warnings":[]},"resultSet":{"dataActions":[{"id":1}]}})"}) {
        const std::string ids = ids_in(body);
        EXPECT_TRUE(ids == "1" || ids.starts_with("!")) << body << ": <" << ids << ">";
    }
    /* with status 200 some services say so of a failure */
    EXPECT_NE(ids_in(R"({"dataActions":null,"errors":[]})"), "");
}

TEST(CxoneDataActionList, Elements)
{
    for (const char *body : {"[1]", "[null]", "[[]]", R"(["x"])", R"([{"id":1},[]])"})
        EXPECT_EQ(ids_in(body), "! an element of the list is no JSON object") << body;
    for (const char *body :
         {"[{}]", R"([{"id":""}])", R"([{"id":null}])", R"([{"id":true}])", R"([{"id":".."}])",
          R"([{"id":"."}])", R"([{"id":"..."}])", R"([{"id":{}}])", R"([{"id":1},{"ID":2}])"})
        EXPECT_EQ(ids_in(body), "! a Data Action of the list has no usable id") << body;
    EXPECT_EQ(ids_in("[{\"id\":\"" + std::string(200, 'x') + "\"}]"), std::string(200, 'x'));
    EXPECT_EQ(ids_in("[{\"id\":\"" + std::string(201, 'x') + "\"}]"),
              "! a Data Action of the list has no usable id");
    /* it is percent-encoded where it becomes part of a path */
    EXPECT_EQ(ids_in(R"([{"id":"a/../b?c#d"}])"), "a/../b?c#d");
}

TEST(CxoneDataActionList, IdsWithControlCharacters)
{
    for (const char *body : {R"([{"id":"a\u0000b"}])", R"([{"id":"a\nb"}])", R"([{"id":"\u0000"}])"})
        EXPECT_TRUE(ids_in(body).starts_with("! ")) << body;
}

TEST(CxoneDataActionList, Next)
{
    const auto next_in = [](const std::string &members) {
        const List list = list_of("{\"dataActions\":[]" + members + "}");
        EXPECT_EQ(list.problem, "") << members;
        return list.next;
    };
    EXPECT_EQ(next_in(R"(,"_links":{"next":"/a"})"), "/a");
    EXPECT_EQ(next_in(R"(,"_links":{"next":{"href":"/a"}})"), "/a");
    EXPECT_EQ(next_in(R"(,"links":{"next":{"href":"/a"}})"), "/a");
    EXPECT_EQ(next_in(R"(,"next":"/a")"), "/a");
    EXPECT_EQ(next_in(R"(,"next":{"href":"/a"})"), "/a");
    EXPECT_EQ(next_in(R"(,"nextPageUri":"/a")"), "/a");
    EXPECT_EQ(next_in(R"(,"nextUri":"/a")"), "/a");
    EXPECT_EQ(next_in(R"(,"nextUri":"/b","_links":{"next":"/a"})"), "/a");
    for (const char *members :
         {"", R"(,"next":null)", R"(,"next":"")", R"(,"next":{})", R"(,"next":true)",
          R"(,"_links":{"next":null,"self":"/a"})", R"(,"_links":null)", R"(,"next":{"href":null})"})
        EXPECT_EQ(next_in(members), "") << members;
    EXPECT_EQ(list_of("[]").next, "");
}

TEST(CxoneDataAction, CreatedId)
{
    EXPECT_EQ(read_created_id(R"({"id":7,"name":"n","status":"NEW","endpointUrl":"u"})"), "7");
    for (const char *body : {"", "{}", "[]", "null", "created", R"({"id":".."})", R"({"id":null})", "\xFF"})
        EXPECT_EQ(read_created_id(body), "") << body;
}

/* ---- what is sent ---- */

ApiSettings wanted()
{
    ApiSettings settings;
    settings.name = "Consumer";
    settings.description = "what it does";
    settings.endpoint_url = "https://hook.example/webhook";
    return settings;
}

TEST(CxoneDataAction, Body)
{
    EXPECT_EQ(data_action_body(wanted()).view(),
              R"({"name":"Consumer","description":"what it does",)"
              R"("endpointUrl":"https://hook.example/webhook","format":"json"})");
    ApiSettings settings = wanted();
    settings.name = "a\"b\\ü\n";
    settings.description = "";
    EXPECT_EQ(data_action_body(settings).view(),
              R"({"name":"a\"b\\ü\u000a","description":"",)"
              R"("endpointUrl":"https://hook.example/webhook","format":"json"})");
}

/* ---- the plan ---- */

using Step = RegistrationPlan::Step;

DataAction action_of(const std::string &id)
{
    return {.id = id,
            .name = wanted().name,
            .endpoint_url = wanted().endpoint_url,
            .description = wanted().description,
            .format = "json",
            .status = ""};
}

DataAction elsewhere(const std::string &id, const std::string &url = "https://other.example/webhook")
{
    DataAction action = action_of(id);
    action.endpoint_url = url;
    return action;
}

DataAction named(const std::string &id, const std::string &name)
{
    DataAction action = action_of(id);
    action.name = name;
    return action;
}

KnownRegistration known_as(const DataAction &action)
{
    return {.id = action.id, .name = action.name, .endpoint_url = action.endpoint_url};
}

RegistrationPlan plan(const std::vector<DataAction> &actions, const KnownRegistration &known = {})
{
    return plan_registration(actions, wanted(), known);
}

std::string ids_of(const std::vector<DataAction> &actions)
{
    std::string ids;
    for (const DataAction &action : actions)
        ids += action.id + " ";
    return ids;
}

TEST(CxoneRegistrationPlan, NoneIsCreated)
{
    EXPECT_EQ(plan({}).step, Step::create);
    const RegistrationPlan others = plan({elsewhere("1"), named("2", "Other"), named("3", "consumer"),
                                          elsewhere("4", ""), elsewhere("5", "https://hook.example/")});
    EXPECT_EQ(others.step, Step::create);
    EXPECT_EQ(others.others, 3u);
    EXPECT_TRUE(others.duplicates.empty());
    EXPECT_EQ(others.ours.id, "");
}

TEST(CxoneRegistrationPlan, OursIsLeft)
{
    const RegistrationPlan found = plan({named("1", "Other"), action_of("2"), elsewhere("3")});
    EXPECT_EQ(found.step, Step::leave);
    EXPECT_EQ(found.ours.id, "2");
    EXPECT_EQ(found.others, 1u);
    EXPECT_EQ(plan({elsewhere("1", "HTTPS://HOOK.example:443/webhook/")}).step, Step::leave);
}

TEST(CxoneRegistrationPlan, OtherMembers)
{
    DataAction action = action_of("1");
    action.description = "something else";
    EXPECT_EQ(plan({action}).step, Step::update);
    EXPECT_EQ(plan({action}).ours.id, "1");
    /* a list that does not show it says nothing against it */
    action.description = "";
    EXPECT_EQ(plan({action}).step, Step::leave);
    action.format = "";
    EXPECT_EQ(plan({action}).step, Step::leave);
    action.format = "xml";
    EXPECT_EQ(plan({action}).step, Step::update);
}

TEST(CxoneRegistrationPlan, OfSeveralTheLowestIdCounts)
{
    const RegistrationPlan numbers =
        plan({action_of("10"), action_of("9"), elsewhere("1"), action_of("100")});
    EXPECT_EQ(numbers.step, Step::leave);
    EXPECT_EQ(numbers.ours.id, "9");
    EXPECT_EQ(ids_of(numbers.duplicates), "10 100 ");
    EXPECT_EQ(numbers.others, 1u);
    EXPECT_EQ(plan({action_of("b"), action_of("B"), action_of("a")}).ours.id, "B");
    /* which one counts does not depend on what is wrong with it */
    DataAction lowest = action_of("1");
    lowest.description = "something else";
    const RegistrationPlan mixed = plan({action_of("2"), lowest});
    EXPECT_EQ(mixed.step, Step::update);
    EXPECT_EQ(mixed.ours.id, "1");
    EXPECT_EQ(ids_of(mixed.duplicates), "2 ");
}

/* Pages may overlap, if something is added while they are read. What is kept must not be removed as a double.
 */
TEST(CxoneRegistrationPlan, ListedTwiceItIsStillOne)
{
    const RegistrationPlan twice = plan({action_of("1"), action_of("1")});
    EXPECT_EQ(twice.ours.id, "1");
    EXPECT_EQ(ids_of(twice.duplicates), "");
    EXPECT_EQ(ids_of(plan({action_of("1"), action_of("2"), action_of("2")}).duplicates), "2 ");
}

TEST(CxoneRegistrationPlan, TheKnownOneFollowsTheSettings)
{
    const DataAction old_url = elsewhere("5");
    const RegistrationPlan moved = plan({old_url, elsewhere("4")}, known_as(old_url));
    EXPECT_EQ(moved.step, Step::update);
    EXPECT_EQ(moved.ours.id, "5");
    EXPECT_EQ(moved.others, 1u);
    EXPECT_TRUE(moved.duplicates.empty());

    const DataAction old_name = named("6", "Old");
    const RegistrationPlan renamed = plan({old_name}, known_as(old_name));
    EXPECT_EQ(renamed.step, Step::update);
    EXPECT_EQ(renamed.ours.id, "6");
    EXPECT_EQ(renamed.others, 0u);
}

TEST(CxoneRegistrationPlan, WhatSomebodyElseHasChangedIsLeftAlone)
{
    const KnownRegistration known = known_as(elsewhere("5"));
    const RegistrationPlan changed_url = plan({elsewhere("5", "https://third.example/")}, known);
    EXPECT_EQ(changed_url.step, Step::create);
    EXPECT_EQ(changed_url.others, 1u);
    EXPECT_EQ(plan({named("5", "Other")}, known).step, Step::create);
    EXPECT_EQ(plan({elsewhere("6")}, known).step, Step::create);
    /* without an id nothing is known */
    EXPECT_EQ(
        plan({elsewhere("5")},
             KnownRegistration{.id = "", .name = "Consumer", .endpoint_url = "https://other.example/webhook"})
            .step,
        Step::create);
}

TEST(CxoneRegistrationPlan, TheKnownOneBesideOurs)
{
    const DataAction old_url = elsewhere("5");
    const RegistrationPlan both = plan({old_url, action_of("7")}, known_as(old_url));
    EXPECT_EQ(both.step, Step::leave);
    EXPECT_EQ(both.ours.id, "7");
    EXPECT_EQ(both.others, 1u);
    EXPECT_TRUE(both.duplicates.empty());
    /* known is what is also ours */
    EXPECT_EQ(plan({action_of("7")}, known_as(action_of("7"))).step, Step::leave);
    /* of another name it is none of ours */
    const DataAction old_name = named("6", "Old");
    EXPECT_EQ(plan({old_name, action_of("7")}, known_as(old_name)).others, 0u);
}

/* ---- how long to wait ---- */

static_assert(retry_delay_ms(0, 0, 1) == 0);

TEST(CxoneRetry, DelaysGrowToAMinute)
{
    constexpr std::int64_t expected[] = {0, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (unsigned i = 0; i < std::size(expected); i++)
        EXPECT_EQ(retry_delay_ms(i, 0, 0), expected[i]) << i;
    EXPECT_EQ(retry_delay_ms(31, 0, 0), 60000);
    EXPECT_EQ(retry_delay_ms(std::numeric_limits<unsigned>::max(), 0, 0), 60000);
}

TEST(CxoneRetry, UpToAQuarterMore)
{
    EXPECT_EQ(retry_delay_ms(1, 0, 1), 1250);
    EXPECT_EQ(retry_delay_ms(1, 0, 0.5), 1125);
    EXPECT_EQ(retry_delay_ms(100, 0, 1), 75000);
    for (double random = 0; random <= 1; random += 0.01) {
        EXPECT_GE(retry_delay_ms(3, 0, random), 4000);
        EXPECT_LE(retry_delay_ms(3, 0, random), 5000);
    }
}

TEST(CxoneRetry, NoShorterThanTheServiceAsksFor)
{
    EXPECT_EQ(retry_delay_ms(1, 30, 1), 30'000);
    EXPECT_EQ(retry_delay_ms(6, 30, 0), 32'000);
    EXPECT_EQ(retry_delay_ms(0, 5, 0), 5'000);
    EXPECT_EQ(retry_delay_ms(1, 86'400, 0), 86'400'000);
    EXPECT_EQ(retry_delay_ms(1, 86'401, 0), 86'400'000);
    EXPECT_EQ(retry_delay_ms(1, std::numeric_limits<std::int64_t>::max(), 0), 86'400'000);
    EXPECT_EQ(retry_delay_ms(1, -7, 0), 1000);
}

} // namespace
} // namespace cxone_sync
