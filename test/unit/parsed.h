#pragma once

#include "core/parser.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/* What the tests of the parser and of the mapping share: deliveries that are parsed, and events as text. */
namespace cxone_sync {

constexpr Timestamp second = 1'000'000;
constexpr Timestamp day = 86'400 * second;
/* 2024-05-01 12:00:00 UTC: 8,887 days after 2000-01-01 */
constexpr Timestamp arrival = 8'887 * day + 12 * 3'600 * second;

inline std::shared_ptr<const Mapping> mapping_of(std::vector<Mapping::TargetSpec> targets)
{
    return std::make_shared<const Mapping>(std::move(targets));
}

/* A target as the default profile has it, with scalar columns of these names and the first as its key. */
inline Mapping::TargetSpec target_of(std::string name, const std::vector<std::string> &columns)
{
    Mapping::TargetSpec target{.name = std::move(name)};
    for (const std::string &column : columns)
        target.columns.push_back({.name = column});
    target.keys = {0};
    target.time_paths = {"/timestamp"};
    return target;
}

class ParsedBody {
public:
    ParsedBody(std::string body, std::shared_ptr<const Mapping> mapping, const ParseLimits &limits = {},
               std::string only_target = {})
    {
        delivery.body = std::move(body);
        delivery.received = arrival;
        delivery.only_target = std::move(only_target);
        again(std::move(mapping), limits);
    }

    void again(std::shared_ptr<const Mapping> mapping, const ParseLimits &limits = {})
    {
        refusal = parse_delivery(delivery, std::move(mapping), limits);
    }

    const std::vector<Event> &events() const { return delivery.events; }
    const Event &event(std::size_t at = 0) const { return delivery.events.at(at); }

    Delivery delivery;
    BodyRefusal refusal;
};

inline std::string sqlstate(const Event &event)
{
    return event.refusal.sqlstate ? event.refusal.sqlstate : "";
}

inline const Field *field_of(const Event &event, std::size_t column)
{
    const Field *end = event.fields + event.field_count;
    const Field *found =
        std::find_if(event.fields, end, [&](const Field &field) { return field.column == column; });
    return found == end ? nullptr : found;
}

/* What the column's input function gets. */
inline std::string text_of(const Event &event, std::size_t column)
{
    const Field *field = field_of(event, column);
    if (!field)
        return "(no field)";
    return field->is_null ? "(null)" : std::string(field->text);
}

/*
 * Whether a target that takes this event alone takes it beside the others of a delivery as well: not if it
 * has no types, and another one names the event's.
 */
inline bool is_taken_beside_others(const Event &event, const Delivery &delivery, std::uint16_t target)
{
    if (event.is_deletion || !delivery.mapping->targets()[target].types.empty())
        return true;
    return std::none_of(delivery.events.begin(), delivery.events.end(), [&](const Event &other) {
        return other.number == event.number && other.target != target && other.target != Event::no_target &&
               (other.is_deletion || !delivery.mapping->targets()[other.target].types.empty());
    });
}

/* All that a parse says of an event but its number, and its target's index, as text. */
inline std::string described(const Event &event)
{
    std::string text = "raw " + std::string(event.raw) + "\nkey " + std::string(event.key) + "\ntime " +
                       (event.has_time ? std::to_string(event.time) : "arrival") +
                       (event.is_deletion ? "\ndeletion" : "") + "\nhash " +
                       std::to_string(event.columns_hash) + "\nrefusal " + sqlstate(event) + " " +
                       std::string(event.refusal.message) + " " + std::string(event.refusal.column) + "\n";
    for (int i = 0; i < event.field_count; i++) {
        const Field &field = event.fields[i];
        text += std::to_string(field.column) + (field.is_json ? " json" : "") +
                (field.is_null ? " null " : " ") + std::string(field.text) + "\n";
    }
    return text;
}

inline std::vector<std::string> described(const std::vector<Event> &events)
{
    std::vector<std::string> texts;
    for (const Event &event : events)
        texts.push_back(described(event));
    return texts;
}

inline std::string repeat(std::string_view text, std::size_t times)
{
    std::string all;
    all.reserve(text.size() * times);
    for (std::size_t i = 0; i < times; i++)
        all += text;
    return all;
}

} // namespace cxone_sync
