#include "core/json_text.h"
#include "core/parser.h"

#include "json_reference.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace cxone_sync;

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

std::shared_ptr<const TargetMap> map_of_all_shapes()
{
    using Shape = TargetMap::Shape;
    static const auto map =
        std::make_shared<const TargetMap>(std::vector<TargetMap::Column>{{"id", Shape::scalar},
                                                                         {"first_name", Shape::scalar},
                                                                         {"tags", Shape::array},
                                                                         {"extra", Shape::json},
                                                                         {"parts", Shape::json_array},
                                                                         {"firstName", Shape::scalar}},
                                          std::uint16_t{0}, "timestamp");
    return map;
}

void check_event(const Event &event, const Delivery &delivery)
{
    require(is_inside(event.raw, delivery.body), "an event is no slice of the body", event.raw);
    require(reference::read_json(event.raw).has_value(), "an event is no JSON text", event.raw);
    require(event.refusal.sqlstate || !event.key.empty(), "an event without a key is accepted", event.raw);
    require(event.outcome == Outcome::pending, "an event has an outcome already", event.raw);
    for (std::uint16_t i = 0; i < event.field_count; i++) {
        const Field &field = event.fields[i];
        require(i == 0 || event.fields[i - 1].column < field.column, "fields are out of order", event.raw);
        require(event.refusal.sqlstate || field.text.find('\0') == field.text.npos, "a field holds NUL",
                event.raw);
        if (delivery.map->columns()[field.column].shape == TargetMap::Shape::json)
            require(reference::read_json(field.text).has_value(), "a json field is no JSON", field.text);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    ParseLimits limits;
    limits.max_depth = 12;
    limits.max_events = 20;

    Delivery delivery;
    delivery.body = text;
    delivery.received = 820'000'000'000'000;
    const BodyRefusal refusal = parse_delivery(delivery, map_of_all_shapes(), limits);
    const auto expected = reference::read_json(text);

    Delivery unmapped;
    unmapped.body = text;
    require(parse_delivery(unmapped, nullptr, limits).reason == refusal.reason,
            "without a map the envelope is judged otherwise", text);
    require(unmapped.events.empty(), "without a map there are events", text);

    if (refusal.status != 0) {
        require(!refusal.reason.empty() && (refusal.status == 400 || refusal.status == 413),
                "no proper refusal", text);
        require(!expected || expected->events < 0 || expected->events_keys > 1 ||
                    expected->depth > limits.max_depth ||
                    expected->events > static_cast<int>(limits.max_events),
                "a good body is refused", text);
        return 0;
    }
    require(expected.has_value(), "what is no JSON is accepted", text);
    require(expected->depth <= limits.max_depth, "too deep a body is accepted", text);
    require(expected->events == static_cast<int>(delivery.events.size()), "the number of events is wrong",
            text);
    for (const Event &event : delivery.events)
        check_event(event, delivery);
    return 0;
}
