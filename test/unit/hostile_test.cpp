/* Bodies made to cost time, and bodies damaged in every way there is at one place. */
#include "core/json_text.h"
#include "http/framing.h"
#include "http/inflate.h"

#include "gzip.h"
#include "json_reference.h"
#include "parsed.h"

#include <gtest/gtest.h>

#include <chrono>

namespace cxone_sync {
namespace {

/* The work for each must grow with the bytes only; where it grew with their square, these took minutes. */
class Cost {
public:
    ~Cost() { EXPECT_LT(std::chrono::steady_clock::now() - begin_, std::chrono::seconds(30)); }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

BodyRefusal parse(std::string body, std::size_t *events = nullptr)
{
    static const auto mapping = [] {
        const std::vector<std::string> columns{"id", "tags", "extra"};
        Mapping::TargetSpec target = target_of("contacts", columns);
        target.columns[1].shape = Shape::array;
        target.columns[2].shape = Shape::json;
        return mapping_of({std::move(target)});
    }();
    Delivery delivery;
    delivery.body = std::move(body);
    BodyRefusal refusal = parse_delivery(delivery, mapping, {});
    EXPECT_TRUE(refusal.status == 0 || delivery.events.empty());
    if (events)
        *events = delivery.events.size();
    return refusal;
}

TEST(Hostile, ManyNumbersInATextThatIsReadTwice)
{
    const Cost cost;
    for (const char *reason_to_read_twice : {"\"\\ud800\"", "1e999"})
        EXPECT_EQ(parse(std::string("{\"x\":[") + reason_to_read_twice + repeat(",1", 2'000'000) +
                        "],\"events\":[]}")
                      .status,
                  0);
}

TEST(Hostile, ManyMembersForOneColumn)
{
    const Cost cost;
    EXPECT_EQ(parse("{\"events\":[{\"id\":1" + repeat(",\"tags\":[1]", 300'000) + "}]}").status, 0);
    EXPECT_EQ(parse("{\"events\":[{\"id\":1,\"tags\":[1" + repeat(",[[],\"\\\"\"]", 300'000) + "]}]}").status,
              0);
}

TEST(Hostile, ManyMembersThatReplaceOneAnother)
{
    const Cost cost;
    Mapping::TargetSpec target = target_of("contacts", {"id", "city"});
    target.columns[1].paths = {"/data/city"};
    Mapping::TargetSpec below = target_of("below", {"city"});
    below.root = "/data";
    const auto mapping = mapping_of({std::move(target), std::move(below)});
    for (const char *member : {",\"data\":1", ",\"data\":{\"city\":1,\"x\":1}", ",\"data\":{\"data\":{}}"})
        EXPECT_EQ(
            ParsedBody("{\"events\":[{\"id\":1" + repeat(member, 300'000) + "}]}", mapping).refusal.status,
            0);
}

TEST(Hostile, ManyBackslashesBlanksAndLevels)
{
    const Cost cost;
    EXPECT_EQ(parse("{\"x\":\"" + repeat("\\\\", 2'000'000) + "\",\"events\":[]}").status, 0);
    EXPECT_EQ(parse("{\"x\":\"" + repeat("\\ud800", 700'000) + "\",\"events\":[]}").status, 0);
    EXPECT_EQ(parse("{" + std::string(4'000'000, ' ') + "\"events\":[" + std::string(4'000'000, '\n') + "]}")
                  .status,
              0);
    EXPECT_EQ(parse(std::string(4'000'000, '[')).status, 400);
    EXPECT_EQ(parse("{\"events\":[" + std::string(4'000'000, '[')).status, 400);
    EXPECT_EQ(array_literal(std::string(200'000, '[') + std::string(200'000, ']')).size(), 400'000u);
}

TEST(Hostile, ChunksOfOneByte)
{
    const Cost cost;
    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget(used);
    budget.set_limit(std::uint64_t{1} << 30);
    MemoryShare memory(budget);
    Framing framing({});
    std::string input = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string received_at_once = repeat("1\r\nx\r\n", 1 << 16);
    for (int i = 0; i < 1 << 6; i++) {
        input += received_at_once;
        ASSERT_EQ(framing.feed(input, memory), Framing::State::needs_bytes);
    }
    EXPECT_EQ(framing.body().size(), std::size_t{1} << 22);
}

TEST(Hostile, ManyGzipMembersOfLittle)
{
    const Cost cost;
    for (const std::string_view text : {"", "x"}) {
        std::string body = repeat(gzip(text), 200'000);
        MemoryShare memory;
        EXPECT_FALSE(inflate_body(body, {.max_body = std::size_t{1} << 22}, memory));
        EXPECT_EQ(body, repeat(text, 200'000));
    }
}

const std::string body_of_all_kinds =
    R"({"a":[1e999,"\ud83d\ude00"],"events":[{"id":"x\n","tags":["\ud83d",{}],"extra":null},7],"z":-1.5e3})";

TEST(Hostile, EveryTruncation)
{
    EXPECT_EQ(parse(body_of_all_kinds).status, 0);
    for (std::size_t length = 0; length < body_of_all_kinds.size(); length++)
        EXPECT_EQ(parse(body_of_all_kinds.substr(0, length)).status, 400) << length;
}

TEST(Hostile, EveryByteAtEveryPlace)
{
    for (std::size_t at = 0; at < body_of_all_kinds.size(); at++) {
        for (int byte = 0; byte < 256; byte++) {
            std::string changed = body_of_all_kinds;
            changed[at] = static_cast<char>(byte);
            std::size_t events = 0;
            const int status = parse(changed, &events).status;
            const auto expected = reference::read_json(changed);
            const bool good = expected && expected->events_keys == 1 && expected->events >= 0;
            ASSERT_EQ(status, good ? 0 : 400) << changed;
            ASSERT_EQ(events, good ? static_cast<std::size_t>(expected->events) : 0) << changed;
        }
    }
}

} // namespace
} // namespace cxone_sync
