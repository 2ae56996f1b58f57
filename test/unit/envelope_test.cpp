/* Where the events stand in a body: below a path, alone, in lines. */
#include "core/parser.h"

#include "parsed.h"

#include <gtest/gtest.h>

#include <memory_resource>

namespace cxone_sync {
namespace {

using Texts = std::vector<std::string>;

ParseLimits limits_of(std::string path, bool is_lines = false)
{
    ParseLimits limits;
    limits.envelope = {std::move(path), is_lines};
    return limits;
}

const ParseLimits bare = limits_of("");
const ParseLimits bare_lines = limits_of("", true);
const ParseLimits lines_of_events = limits_of("/events", true);

std::shared_ptr<const Mapping> contacts()
{
    static const auto mapping = mapping_of({target_of("contacts", {"id", "name"})});
    return mapping;
}

class Body : public ParsedBody {
public:
    Body(std::string body, const ParseLimits &limits) : ParsedBody(std::move(body), contacts(), limits)
    {
        ParsedBody unmapped(delivery.body, nullptr, limits);
        EXPECT_EQ(unmapped.refusal.status, refusal.status) << delivery.body;
        EXPECT_EQ(unmapped.refusal.reason, refusal.reason) << delivery.body;
        EXPECT_TRUE(unmapped.events().empty()) << delivery.body;
    }

    /* Each event's key, or SQLSTATE in parentheses; or the refusal of the whole body. */
    std::string seen() const
    {
        if (refusal.status != 0)
            return std::to_string(refusal.status) + " " + refusal.reason;
        std::string text;
        for (std::size_t i = 0; i < events().size(); i++) {
            EXPECT_EQ(event(i).number, i);
            text += (i ? " " : "") +
                    (event(i).refusal.sqlstate ? "(" + sqlstate(event(i)) + ")" : std::string(event(i).key));
        }
        return text;
    }
};

std::string seen(std::string body, const ParseLimits &limits)
{
    return Body(std::move(body), limits).seen();
}

TEST(Envelope, APathOfSeveralTokens)
{
    const ParseLimits limits = limits_of("/data/the~1events");
    const std::string missing = "400 no \"/data/the~1events\"";
    const std::string no_array = "400 \"/data/the~1events\" is not an array";
    const std::string twice = "400 \"/data/the~1events\" appears more than once";
    const struct {
        std::string body, seen;
    } table[] = {
        {R"({"data": {"the/events": [{"id": 1}, 7, {"id": 2}]}})", "1 (22023) 2"},
        {R"({"x": [{"id": 3}], "data": {"a": {"id": 4}, "the\/events": [{"id": 1}], "b": [[]]}, "y": {}})",
         "1"},
        {R"({"\u0064ata": {"the/events": []}})", ""},
        {R"({"data": {"data": {"the/events": [{"id": 2}]}, "the/events": [{"id": 1}]}})", "1"},
        {R"({"the/events": [{"id": 2}], "data": {"the/events": [{"id": 1}]}})", "1"},
        {R"({"data": 7, "data": {"the/events": [{"id": 1}]}})", "1"},
        {R"({"data": {}, "data": {"the/events": [{"id": 1, "data": {"the/events": []}}]}})", "1"},
        {"{}", missing},
        {R"({"data": {}})", missing},
        {R"({"data": []})", missing},
        {R"({"data": null})", missing},
        {R"({"data": "the/events"})", missing},
        {R"({"data": [{"the/events": []}]})", missing},
        {R"({"data": {"events": []}, "the/events": []})", missing},
        {R"({"x": {"data": {"the/events": []}}})", missing},
        {R"({"data": {"x": {"the/events": []}}})", missing},
        {R"({"data": {"the/events": {}}})", no_array},
        {R"({"data": {"the/events": null}})", no_array},
        {R"({"data": {"the/events": 1}})", no_array},
        {R"({"data": {"the/events": [], "the/events": []}})", twice},
        {R"({"data": {"the/events": []}, "data": {"the/events": 1}})", twice},
        {R"({"data": {"the/events": []}, "data": 3})", twice},
        {R"({"data": {"the/events": []}, "x": {"data": 3}})", ""},
        {"[]", "400 the body is not a JSON object"},
        {"7", "400 the body is not a JSON object"},
    };
    for (const auto &row : table)
        EXPECT_EQ(seen(row.body, limits), row.seen) << row.body;
}

TEST(Envelope, WithoutAPathTheBodyIsTheEvents)
{
    const std::string neither = "400 the body is neither an event nor an array of events";
    const struct {
        std::string body, seen;
    } table[] = {
        {R"([{"id": 1}, {"id": 2}])", "1 2"},
        {R"( [ ] )", ""},
        {R"([[{"id": 1}], 7, null, {}, {"id": [{"id": 1}]}])", "(22023) (22023) (22023) (23502) (22023)"},
        {R"( {"id": 1} )", "1"},
        {R"({"events": [{"id": 1}], "id": 2})", "2"},
        {"{}", "(23502)"},
        {R"({"id": "\u0000"})", "(22P05)"},
        {"7", neither},
        {"null", neither},
        {"\"x\"", neither},
        {"1e400", neither},
        {R"([1e400, {"id": 1e400}])", "(22023) 1e400"},
    };
    for (const auto &row : table)
        EXPECT_EQ(seen(row.body, bare), row.seen) << row.body;

    const std::string event = R"({ "id" : 1, "x": [{}] })";
    EXPECT_EQ(Body(" " + event + "\n", bare).event().raw, event);
    EXPECT_EQ(Body("[" + event + " ,1]", bare).event().raw, event);
    EXPECT_TRUE(seen(R"({"id": 1} {"id": 2})", bare).starts_with("400 invalid JSON at byte 10:"));
    EXPECT_TRUE(seen("", bare).starts_with("400 invalid JSON at byte 0:"));
}

TEST(Envelope, LimitsHoldInEveryEnvelope)
{
    for (const ParseLimits &base : {bare, bare_lines}) {
        ParseLimits limits = base;
        limits.max_depth = 3;
        limits.max_events = 2;
        EXPECT_EQ(seen(R"({"id": 1, "x": [[1]]})", limits), "1");
        /* of lines, one that is too deep harms no other */
        EXPECT_EQ(seen(R"({"id": 1, "x": [[[]]]})", limits),
                  base.envelope.is_lines ? "(22023)" : "400 JSON is nested deeper than 3 levels");
        EXPECT_EQ(seen(R"([{"id": 1, "x": [1]}, {"id": 2}])", limits), "1 2");
        EXPECT_EQ(seen("[1, 2, 3]", limits), "413 more than 2 events in one delivery");
    }
}

/* ---- lines ---- */

TEST(Envelope, EachLineIsAnEnvelope)
{
    EXPECT_EQ(seen("{\"id\": 1}\n{\"id\": 2}", bare_lines), "1 2");
    EXPECT_EQ(seen("{\"id\": 1}\n{\"id\": 2}\n", bare_lines), "1 2");
    EXPECT_EQ(seen("[{\"id\": 1}, 7]\n{\"id\": 2}\n[]\n[{}]", bare_lines), "1 (22023) 2 (23502)");
    EXPECT_EQ(seen("\n\r\n \t\r\n{\"id\": 1}\r\n\n  {\"id\": 2} \t\r\n\r\n", bare_lines), "1 2");
    EXPECT_EQ(seen("{\"id\": \"a\\nb\"}\n", bare_lines), "a\nb");
    EXPECT_EQ(seen("{\"events\": [{\"id\": 1}, {\"id\": 2}], \"x\": 1}\n{\"events\": []}\n{\"events\": "
                   "[{\"id\": 3}]}",
                   lines_of_events),
              "1 2 3");
    EXPECT_EQ(
        seen("{\"a\": {\"b\": [{\"id\": 1}]}}\n{\"a\": {\"b\": [{\"id\": 2}]}}", limits_of("/a/b", true)),
        "1 2");
    for (const char *body : {"\n", "\n\n \r\n", " "}) {
        EXPECT_EQ(seen(body, bare_lines), "400 no event");
        EXPECT_EQ(seen(body, lines_of_events), "400 no \"events\"");
    }
    EXPECT_EQ(seen("{\"id\": 1}\n{\"id\": \"\xFF\"}", bare_lines), "400 the body is not valid UTF-8");
    /* no text can hold a NUL, so no dead letter could hold such a line */
    const std::string nul(1, '\0');
    for (const std::string &line :
         {"{\"id\": 8}" + nul, nul, "{\"id\": \"a" + nul + "\"}", "x" + nul + "y"}) {
        EXPECT_EQ(seen("{\"id\": 1}\n" + line + "\n{\"id\": 2}", bare_lines),
                  "400 the body is not valid UTF-8");
        EXPECT_EQ(seen(line, bare), "400 the body is not valid UTF-8");
    }
}

TEST(Envelope, ABrokenLineIsOneRefusedEvent)
{
    const Texts broken = {R"({"id": 8)",
                          R"({"id": 8, "id": )",
                          R"([{"id": 8}, {"id": 9}, {"id": ])",
                          R"({"id": 8} {"id": 9})",
                          R"({"id": 01})",
                          "{\"id\": \"\\ud800\", \"name\": [1e400}",
                          "x",
                          "]",
                          "{\"id\": 8}, "};
    for (const std::string &line : broken) {
        const std::string a = "{\"id\": \"\\u0061\", \"name\": \"x\\n\"}",
                          b = "[{\"id\": 1e400}, {\"id\": \"b\"}]";
        EXPECT_EQ(seen(line + "\n" + a + "\n" + b, bare_lines), "(22P02) a 1e400 b") << line;
        EXPECT_EQ(seen(a + "\n" + line + "\r\n" + b, bare_lines), "a (22P02) 1e400 b") << line;
        EXPECT_EQ(seen(a + "\r\n" + b + "\n" + line, bare_lines), "a 1e400 b (22P02)") << line;
        EXPECT_EQ(seen(line + "\n\n" + line, bare_lines), "(22P02) (22P02)") << line;

        const Body body(a + "\n" + line + "\n" + b, bare_lines);
        EXPECT_EQ(body.event(1).raw, line);
        EXPECT_TRUE(body.event(1).refusal.message.starts_with("invalid JSON at byte "))
            << body.event(1).refusal.message;
        EXPECT_EQ(body.event(1).field_count, 0);
        EXPECT_EQ(body.event(1).target, Event::no_target);
        EXPECT_TRUE(body.event(1).is_envelope);
        EXPECT_FALSE(body.event(0).is_envelope || body.event(2).is_envelope || body.event(3).is_envelope);
        const Texts neighbours = described(Body(a + "\n" + b, bare_lines).events());
        EXPECT_EQ((Texts{described(body.event(0)), described(body.event(2)), described(body.event(3))}),
                  neighbours);
    }
    EXPECT_EQ(seen("{\"events\": [{\"id\": 1}, {\"id\": 2}]}\n{\"events\": [{\"id\": 3}, {\"id\": 4},\n"
                   "{\"events\": [{\"id\": 5}]}",
                   lines_of_events),
              "1 2 (22P02) 5");
}

TEST(Envelope, ALineThatIsNoEnvelopeIsOneRefusedEvent)
{
    const struct {
        std::string line, message;
    } table[] = {
        {"{}", "no \"events\""},
        {R"({"event": [{"id": 8}]})", "no \"events\""},
        {R"({"events": {"id": 8}})", "\"events\" is not an array"},
        {R"({"events": [{"id": 8}], "events": []})", "\"events\" appears more than once"},
        {R"([{"id": 8}])", "the body is not a JSON object"},
        {"null", "the body is not a JSON object"},
        {"{\"events\": [" + repeat("[", 80) + repeat("]", 80) + "]}", "JSON is nested deeper than 64 levels"},
    };
    const std::string a = R"({"events": [{"id": 1}]})", b = R"({"events": [{"id": 2}, 7]})";
    for (const auto &row : table) {
        EXPECT_EQ(seen(row.line + "\n" + a + "\n" + b, lines_of_events), "(22023) 1 2 (22023)") << row.line;
        const Body body(a + "\n" + row.line + "\n" + b, lines_of_events);
        EXPECT_EQ(body.seen(), "1 (22023) 2 (22023)") << row.line;
        EXPECT_EQ(body.event(1).raw, row.line);
        EXPECT_EQ(body.event(1).refusal.message, row.message) << row.line;
    }
    EXPECT_EQ(seen("{\"id\": 1}\nnull\n{\"id\": 2}\n\"x\"", bare_lines), "1 (22023) 2 (22023)");
}

TEST(Envelope, OnlyItsOwnLineIsReadAgain)
{
    const std::string a = "[{\"id\": \"\\u0061\"}, {\"id\": \"\\u0000\"}]", b = "{\"id\": \"\\u0062\"}";
    for (const std::string &number : {std::string("1e400"), "-1E+999" + std::string(400, '0')}) {
        const std::string big =
            "[{\"id\": \"\\u0063\"}, {\"id\": \"d\", \"name\": " + number + "}, {\"id\": \"e\"}]";
        EXPECT_EQ(seen(a + "\n" + big + "\n" + b, bare_lines), "a (22P05) c d e b");
        EXPECT_EQ(seen(big + "\n" + a + "\n" + b, bare_lines), "c d e a (22P05) b");
        EXPECT_EQ(seen(big + "\n" + big + "\n" + a, bare_lines), "c d e c d e a (22P05)");
        EXPECT_EQ(seen("[]\n\n" + big + "\nx\n" + big, bare_lines), "c d e (22P02) c d e");
        const Body body(a + "\n" + big, bare_lines);
        EXPECT_EQ(text_of(body.event(3), 1), number);
    }
}

TEST(Envelope, TheLimitOnEventsIsForAllLines)
{
    ParseLimits limits = bare_lines;
    limits.max_events = 3;
    const std::string reason = "413 more than 3 events in one delivery";
    EXPECT_EQ(seen("{\"id\": 1}\n[{\"id\": 2}, {\"id\": 3}]\n\n[]", limits), "1 2 3");
    EXPECT_EQ(seen("{\"id\": 1}\n[{\"id\": 2}, {\"id\": 3}]\n{}", limits), reason);
    EXPECT_EQ(seen("{\"id\": 1}\n[1, 2, 3]", limits), reason);
    EXPECT_EQ(seen("x\ny\nz", limits), "(22P02) (22P02) (22P02)");
    EXPECT_EQ(seen("x\ny\nz\n{", limits), reason);
    /* events of a line that is read again, or broken, do not count twice */
    EXPECT_EQ(seen("[1, 2, 1e400]", limits), "(22023) (22023) (22023)");
    EXPECT_EQ(seen("{\"id\": 1}\n[2, 1e400]", limits), "1 (22023) (22023)");
    EXPECT_EQ(seen("[1, 2, x]\n[1, 2]", limits), "(22P02) (22023) (22023)");
}

TEST(Envelope, WithoutATimeTheLinesKeepTheirOrder)
{
    const Body body("{\"id\": 1}\nx\n[{\"id\": 1}, {\"id\": 1}]\n{\"id\": 1, \"name\": 1e400}", bare_lines);
    ASSERT_EQ(body.events().size(), 5u);
    for (const std::size_t i : {0, 1, 2, 3, 4})
        EXPECT_EQ(body.event(i).time, arrival + static_cast<Timestamp>(i));
}

/* ---- dead letters ---- */

/* What is seen of the letter, and behind a blank for each event whether it is the whole line still. */
std::string seen_of_letter(const std::string &payload, const std::string &path, bool is_event)
{
    ParsedBody letter("", nullptr);
    ParseLimits limits = limits_of(path);
    limits.envelope.is_event = is_event;
    letter.delivery.body = payload;
    letter.delivery.dead_letter = 1;
    letter.again(contacts(), limits);
    EXPECT_EQ(letter.refusal.status, 0) << payload;
    std::string text;
    for (const Event &event : letter.events()) {
        EXPECT_TRUE(!event.is_envelope || event.raw == payload);
        text += (text.empty() ? "" : " ") +
                (event.refusal.sqlstate ? "(" + sqlstate(event) + ")" : std::string(event.key)) +
                (event.is_envelope ? " line" : "");
    }
    return text;
}

TEST(Envelope, ALetterIsReadAsWhatItIs)
{
    const struct {
        const char *payload, *as_event, *below_events, *bare;
    } table[] = {
        {R"({"id": 1, "events": [{"id": 2}, {}]})", "1", "2 (23502)", "1"},
        {"{\"id\": 1,\n\"events\":\n[ {\"id\": 2} ]\n}", "1", "2", "1"},
        {R"({"id": 1, "events": []})", "1", "", "1"},
        {R"({"id": 1})", "1", "(22023) line", "1"},
        {R"([{"id": 1}, {"id": 2}])", "(22023)", "(22023) line", "1 2"},
        {R"({"events": {"id": 1}})", "(23502)", "(22023) line", "(23502)"},
        {R"({"events": [{"id": 1e400}, 7]})", "(23502)", "1e400 (22023)", "(23502)"},
        {"7", "(22023)", "(22023) line", "(22023) line"},
        {R"({"events": [{"id": 1})", "(22P02)", "(22P02) line", "(22P02) line"},
        {"{\"id\": 1}\n{\"id\": 2}", "(22P02)", "(22P02) line", "(22P02) line"},
        {"", "(22P02)", "(22P02) line", "(22P02) line"},
    };
    for (const auto &row : table) {
        EXPECT_EQ(seen_of_letter(row.payload, "", true), row.as_event) << row.payload;
        EXPECT_EQ(seen_of_letter(row.payload, "/events", false), row.below_events) << row.payload;
        EXPECT_EQ(seen_of_letter(row.payload, "", false), row.bare) << row.payload;
    }
}

/* ---- what a delivery holds ---- */

class CountingResource : public std::pmr::memory_resource {
public:
    std::size_t held = 0;

private:
    void *do_allocate(std::size_t size, std::size_t alignment) override
    {
        held += size;
        return std::pmr::new_delete_resource()->allocate(size, alignment);
    }
    void do_deallocate(void *memory, std::size_t size, std::size_t alignment) override
    {
        held -= size;
        std::pmr::new_delete_resource()->deallocate(memory, size, alignment);
    }
    bool do_is_equal(const memory_resource &other) const noexcept override { return this == &other; }
};

/* Arenas made while it lives take their memory from it. */
class CountedArenas {
public:
    CountedArenas() : before_(std::pmr::set_default_resource(&resource)) {}
    ~CountedArenas() { std::pmr::set_default_resource(before_); }

    CountingResource resource;

private:
    std::pmr::memory_resource *before_;
};

TEST(Envelope, TheSizeCoversWhatIsHeld)
{
    std::vector<Mapping::TargetSpec> targets;
    for (const char *name : {"a", "b", "c"}) {
        Mapping::TargetSpec target = target_of(name, {"id", "part", "tags", "extra"});
        target.keys = {0, 1};
        target.columns[2].shape = Shape::array;
        target.columns[3] = {.name = "extra", .shape = Shape::json, .paths = {}, .from_events = false};
        target.extra_column = 3;
        targets.push_back(std::move(target));
    }
    const auto mapping = mapping_of(std::move(targets));
    const std::string long_text = repeat("\\u00e9", 20'000);
    const struct {
        const char *what;
        std::string event;
        unsigned times;
    } table[] = {
        {"small events", R"({"id": 1, "part": 2})", 1000},
        {"texts with escapes", R"({"id": 1, "part": 2, "x": ")" + long_text + "\"}", 3},
        {"what no column takes", R"({"id": 1, "part": 2)" + repeat(",\"k\":1", 20'000) + "}", 3},
        {"keys", R"({"id": ")" + repeat("k", 50'000) + R"(", "part": 1})", 3},
        {"arrays", R"({"id": 1, "part": 2, "tags": [1)" + repeat(",1", 50'000) + "]}", 3},
        {"refusals", "{}", 1000},
    };
    for (const auto &row : table) {
        std::string lines = row.event;
        for (unsigned i = 1; i < row.times; i++)
            lines += "\n" + row.event;
        for (const std::string &body : {lines, lines + "\n{\"id\":1,\"part\":1,\"tags\":1e400}"}) {
            ParseLimits limits = bare_lines;
            limits.max_events = 2000;
            CountedArenas arenas;
            const ParsedBody parsed(body, mapping, limits);
            const Delivery &delivery = parsed.delivery;
            ASSERT_EQ(parsed.refusal.status, 0) << row.what;
            EXPECT_EQ(parsed.events().size(), 3 * (row.times + (body.size() > lines.size()))) << row.what;
            /* of what an arena took last, up to a third of all, it may have used nothing yet */
            const std::size_t used = arenas.resource.held / 3 * 2;
            const std::size_t held = sizeof(Delivery) + used + delivery.body.capacity() +
                                     delivery.events.capacity() * sizeof(Event) +
                                     delivery.unmapped.capacity() * sizeof(UnmappedKey);
            EXPECT_GE(delivery.size(), held) << row.what << ", " << body.size() << " bytes";
        }
    }
}

} // namespace
} // namespace cxone_sync
