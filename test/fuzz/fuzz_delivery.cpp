#include "core/json_pointer.h"
#include "core/json_text.h"
#include "core/parser.h"

#include "json_reference.h"
#include "parsed.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace cxone_sync;

using Targets = std::vector<Mapping::TargetSpec>;

void require(bool condition, const char *what, std::string_view text)
{
    if (condition)
        return;
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
}

bool is_inside(std::string_view part, std::string_view whole)
{
    return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

/* ---- the mappings and envelopes that the first byte chooses from ---- */

Mapping::TargetSpec all_shapes(const char *name)
{
    Mapping::TargetSpec target = target_of(name, {"id", "first_name", "tags", "doc", "parts", "firstName",
                                                  "place", "times", "at", "ok", "n", "during"});
    target.columns[2].shape = Shape::array;
    target.columns[3].shape = Shape::json;
    target.columns[4].shape = Shape::json_array;
    target.columns[6].shape = Shape::record;
    target.columns[6].inner.fields = {{.name = "at", .shape = Shape::local},
                                      {.name = "n", .shape = Shape::integer},
                                      {.name = "during", .shape = Shape::date_range},
                                      {.name = "place", .fields = {{.name = "on", .shape = Shape::date}}}};
    target.columns[7].shape = Shape::array;
    target.columns[7].inner.shape = Shape::instant;
    target.columns[8].shape = Shape::clock;
    target.columns[9].shape = Shape::boolean;
    target.columns[10].shape = Shape::integer;
    target.columns[11].shape = Shape::instant_range;
    return target;
}

Mapping::TargetSpec with_extra_and_mark(Mapping::TargetSpec target)
{
    target.extra_column = static_cast<int>(target.columns.size());
    target.mark_column = target.extra_column + 1;
    target.columns.push_back({.name = "extra", .shape = Shape::json, .paths = {}, .from_events = false});
    target.columns.push_back(
        {.name = "deleted_ts", .shape = Shape::scalar, .paths = {}, .from_events = false});
    return target;
}

Targets of_three_roots()
{
    Targets targets{with_extra_and_mark(all_shapes("top")), with_extra_and_mark(all_shapes("data")),
                    target_of("both", {"id", "first_name", "x"})};
    targets[0].types = {"a", "7"};
    targets[0].delete_types = {"d"};
    targets[1].root = "/data";
    targets[1].time_paths = {"/data/timestamp", "/timestamp"};
    targets[1].columns[1].paths = {"/first_name", "/data/first_name", "/data/tags/0"};
    targets[2].keys = {0, 2};
    targets[2].columns[2].paths = {"/data/id", "/tags/1/id", ""};
    targets[2].delete_types = {"d"};
    return targets;
}

Targets of_deep_paths()
{
    Targets targets{target_of("deep", {"id", "whole", "tags", "x"}), target_of("broken", {}),
                    all_shapes("element")};
    targets[0].columns[0].paths = {"/data/data/id", "/data/id", "/id"};
    targets[0].columns[1] = {.name = "whole", .shape = Shape::json, .paths = {""}};
    targets[0].columns[2] = {
        .name = "tags", .shape = Shape::array, .paths = {"/data/tags", "/tags/0", "/tags"}};
    targets[0].columns[3].paths = {"/~1/~0", "/"};
    targets[0] = with_extra_and_mark(targets[0]);
    targets[0].type_path = "/data/type";
    targets[0].types = {"a"};
    targets[0].delete_types = {"a", "true"};
    targets[1].keys.clear();
    targets[1].types = {"a"};
    targets[1].is_usable = false;
    targets[2].root = "/data/1";
    targets[2].time_paths = {"/data/0"};
    targets[2].types = {"7", ""};
    return targets;
}

struct Profile {
    explicit Profile(const Targets &targets) : together(mapping_of(targets))
    {
        for (const Mapping::TargetSpec &target : targets)
            alone.push_back(mapping_of({target}));
    }

    std::shared_ptr<const Mapping> together;
    std::vector<std::shared_ptr<const Mapping>> alone;
};

const Profile &profile(unsigned choice)
{
    static const Profile profiles[] = {Profile({all_shapes("contacts")}), Profile(of_three_roots()),
                                       Profile(of_deep_paths()), Profile({})};
    return profiles[choice % std::size(profiles)];
}

const Envelope &envelope(unsigned choice)
{
    static const Envelope envelopes[] = {
        {}, {"", false}, {"", true}, {"/data/events", true}, {"/data/events", false}};
    return envelopes[choice % std::size(envelopes)];
}

/* ---- what must hold ---- */

void check_fields(const Event &event, const Mapping::Target &target)
{
    for (std::uint16_t i = 0; i < event.field_count; i++) {
        const Field &field = event.fields[i];
        require(field.column < target.columns.size(), "a field has no column", event.raw);
        require(i == 0 || event.fields[i - 1].column < field.column, "fields are out of order", event.raw);
        require(field.text.find('\0') == field.text.npos, "a field holds NUL", event.raw);
        const bool is_mark = field.column == target.mark_column;
        if (field.is_json || (target.columns[field.column].shape == Shape::json && !is_mark))
            require(reference::read_json(field.text).has_value(), "a json field is no JSON", field.text);
        if (field.column == target.extra_column)
            require(field.text.starts_with('{') && field.text.size() > 2, "extra is no object", field.text);
    }
}

void check_event(const Event &event, const Delivery &delivery)
{
    const std::string sqlstate = event.refusal.sqlstate ? event.refusal.sqlstate : "";
    require(is_inside(event.raw, delivery.body), "an event is no slice of the body", event.raw);
    require(event.outcome == Outcome::pending, "an event has an outcome already", event.raw);
    require(event.has_time || event.time == delivery.arrival_of(event), "an event has no arrival time",
            event.raw);
    for (const std::string_view text : {event.key, event.refusal.message, event.refusal.column})
        require(text.find('\0') == text.npos, "a dead letter would hold NUL", event.raw);
    /* a line is read only until it turns out to be no envelope */
    const bool is_json = reference::read_json(event.raw).has_value();
    require(is_json ? sqlstate != "22P02" : sqlstate == "22P02" || sqlstate == "22023",
            "an event is no JSON text", event.raw);
    if (event.target == Event::no_target) {
        require(!sqlstate.empty() && event.field_count == 0, "what no target takes is accepted", event.raw);
        return;
    }
    const Mapping::Target &target = delivery.mapping->targets().at(event.target);
    require(!sqlstate.empty() || !event.key.empty() || !target.is_usable,
            "an event without a key is accepted", event.raw);
    check_fields(event, target);
}

/* The number of events; their entries stand side by side and in order. */
std::size_t count_events(const Delivery &delivery)
{
    std::size_t count = 0;
    for (const Event &event : delivery.events) {
        require(event.number == count || event.number + 1 == count, "numbers are out of order", event.raw);
        count = event.number + 1;
    }
    require(delivery.counts().received == count, "the counts are wrong", delivery.body);
    require(delivery.unmapped.size() <= Delivery::max_unmapped_keys, "too many keys are noted",
            delivery.body);
    return count;
}

std::string of_target(const Delivery &delivery, std::uint16_t target)
{
    std::string text;
    for (const Event &event : delivery.events) {
        if (event.target == target)
            text += std::to_string(event.number) + " " + described(event);
    }
    return text;
}

/* Alone, a target without types takes also what others name. */
std::string of_target_alone(const Delivery &alone, const Delivery &together, std::uint16_t target)
{
    std::string text;
    for (const Event &event : alone.events) {
        if (event.target == 0 && is_taken_beside_others(event, together, target))
            text += std::to_string(event.number) + " " + described(event);
    }
    return text;
}

void check_each_target_alone(const ParsedBody &together, const Profile &chosen, const ParseLimits &limits)
{
    for (std::uint16_t i = 0; i < chosen.alone.size() && chosen.alone.size() > 1; i++) {
        const ParsedBody alone(together.delivery.body, chosen.alone[i], limits);
        /* raw texts are equal, though slices of another copy */
        require(of_target(together.delivery, i) == of_target_alone(alone.delivery, together.delivery, i),
                "with others a target takes something else", together.delivery.body);
    }
}

/* What the reference says of a body, or of all its lines. */
struct Expected {
    bool must_be_accepted = true;
    bool may_be_accepted = true;
    int events = 0;
};

bool is_blank(std::string_view line)
{
    return line.find_first_not_of(" \t\r") == line.npos;
}

void expect_envelope(std::string_view text, const ParseLimits &limits, Expected &expected)
{
    const auto facts = reference::read_json(text, *parse_json_pointer(limits.envelope.path));

    if (facts && facts->events_keys == 1 && facts->events >= 0 && facts->depth <= limits.max_depth) {
        expected.events += facts->events;
        return;
    }
    /* such a line is one event, if its beginning does not hold too many already */
    expected.must_be_accepted = false;
    expected.may_be_accepted &= limits.envelope.is_lines;
    expected.events++;
}

Expected expect(std::string_view body, const ParseLimits &limits)
{
    Expected expected;
    bool found = !limits.envelope.is_lines;

    if (limits.envelope.is_lines) {
        for (std::size_t begin = 0, end; begin < body.size(); begin = end + 1) {
            end = std::min(body.find('\n', begin), body.size());
            if (!is_blank(body.substr(begin, end - begin))) {
                found = true;
                expect_envelope(body.substr(begin, end - begin), limits, expected);
            }
        }
    } else {
        expect_envelope(body, limits, expected);
    }
    expected.may_be_accepted &=
        found && reference::is_valid_utf8(body) && expected.events <= static_cast<int>(limits.max_events);
    expected.must_be_accepted &= expected.may_be_accepted;
    return expected;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (size == 0)
        return 0;
    /* the digit 0 and what follows it choose one mapping after the other, for each envelope */
    const auto choice = static_cast<std::uint8_t>(data[0] - '0');
    const Profile &chosen = profile(choice % 4);
    const std::string_view text(reinterpret_cast<const char *>(data + 1), size - 1);
    ParseLimits limits;
    limits.envelope = envelope(choice / 4);
    limits.max_depth = 12;
    limits.max_events = 20;

    const ParsedBody parsed(std::string(text), chosen.together, limits);
    const BodyRefusal &refusal = parsed.refusal;
    const ParsedBody unmapped(std::string(text), nullptr, limits);
    require(unmapped.refusal.reason == refusal.reason, "without a mapping the envelope is judged otherwise",
            text);
    require(unmapped.events().empty(), "without a mapping there are events", text);

    const Expected expected = expect(text, limits);
    if (refusal.status != 0) {
        require(!refusal.reason.empty() && (refusal.status == 400 || refusal.status == 413),
                "no proper refusal", text);
        require(parsed.events().empty(), "a refused body has events", text);
        require(!expected.must_be_accepted, "a good body is refused", text);
        return 0;
    }
    require(expected.may_be_accepted, "what should be refused is accepted", text);
    require(count_events(parsed.delivery) == static_cast<std::size_t>(expected.events),
            "the number of events is wrong", text);
    for (const Event &event : parsed.events())
        check_event(event, parsed.delivery);
    check_each_target_alone(parsed, chosen, limits);
    return 0;
}
