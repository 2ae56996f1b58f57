#include "core/event_mapper.h"

#include "core/json_pointer.h"
#include "core/time_value.h"

#include <algorithm>
#include <memory>

namespace cxone_sync {

namespace {

using Shape = Mapping::Shape;

std::string quoted(std::string_view name)
{
    std::string text = "\"";
    text += name;
    return text += '"';
}

/* At most 100 bytes, and never half a character. */
std::string_view beginning_of(std::string_view text) noexcept
{
    std::size_t size = std::min<std::size_t>(text.size(), 100);
    while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80)
        size--;
    return text.substr(0, size);
}

bool is_container(JsonKind kind) noexcept
{
    return kind == JsonKind::object || kind == JsonKind::array;
}

bool names_type(const EventWalk::Value &value) noexcept
{
    return value.kind != JsonKind::null && !is_container(value.kind);
}

Field field_with(std::uint16_t column, std::string_view text) noexcept
{
    return {.column = column, .is_null = false, .is_json = false, .is_time = false, .text = text, .time = 0};
}
Field field_at(std::uint16_t column, std::int64_t time) noexcept
{
    return {.column = column, .is_null = false, .is_json = false, .is_time = true, .text = {}, .time = time};
}
Field null_field(std::uint16_t column) noexcept
{
    return {.column = column, .is_null = true, .is_json = false, .is_time = false, .text = {}, .time = 0};
}

bool is_key(const Mapping::Target &target, std::size_t column) noexcept
{
    return std::find(target.keys.begin(), target.keys.end(), column) != target.keys.end();
}

} // namespace

void EventMapper::map(const EventWalk &walk, std::string_view raw, std::uint32_t number)
{
    const std::vector<Mapping::Target> &targets = delivery_.mapping->targets();
    const std::size_t before = delivery_.events.size();

    for (std::size_t i = 0; i < targets.size(); i++) {
        const Mapping::Target &target = targets[i];
        if (!delivery_.only_target.empty() && delivery_.only_target != target.name)
            continue;
        const EventWalk::Value *type = walk.at(target.type_place);
        const std::string_view type_text = type && names_type(*type) ? type->text : std::string_view();
        if (!target.concerns(type_text))
            continue;
        Event &event = delivery_.events.emplace_back();
        event.raw = raw;
        event.number = number;
        event.target = static_cast<std::uint16_t>(i);
        event.time = delivery_.received;
        event.is_deletion = target.deletes(type_text);
        if (target.is_usable)
            map_for(event.target, walk, event);
    }
    if (delivery_.events.size() > before)
        return;
    refuse(raw, number, "02000", nobody_takes(walk));
}

/* Types may stand at several places; the first target's is where they mostly do. */
std::string EventMapper::nobody_takes(const EventWalk &walk) const
{
    if (!delivery_.only_target.empty())
        return "target " + quoted(delivery_.only_target) + " does not exist or takes no events of this type";
    for (const Mapping::Target &target : delivery_.mapping->targets()) {
        const EventWalk::Value *type = walk.at(target.type_place);
        if (type && names_type(*type))
            return "no target takes events of type " + quoted(beginning_of(type->text));
    }
    return "no target takes events without a type";
}

void EventMapper::refuse(std::string_view raw, std::uint32_t number, const char *sqlstate,
                         std::string_view message)
{
    Event &event = delivery_.events.emplace_back();
    event.raw = raw;
    event.number = number;
    event.time = delivery_.received;
    refuse(event, sqlstate, message);
}

void EventMapper::map_for(std::uint16_t index, const EventWalk &walk, Event &event)
{
    const Mapping::Target &target = delivery_.mapping->targets()[index];

    turn_++;
    chosen_places_.resize(delivery_.mapping->place_count());
    take_time(target, walk, event);
    choose_values(target, walk);
    take_fields(index, walk, event);
    check(target, walk, event);
    store_fields(event);
}

void EventMapper::take_time(const Mapping::Target &target, const EventWalk &walk, Event &event)
{
    time_problem_.clear();
    /* events of one delivery that carry no time keep their order */
    event.time = delivery_.received + event.number;
    for (std::size_t i = 0; i < target.time_places.size(); i++) {
        const EventWalk::Value *value = walk.at(target.time_places[i]);
        if (!value || value->kind == JsonKind::null)
            continue;
        choose(target.time_places[i]);
        Timestamp time = 0;
        const char *problem =
            read_time(value->kind, value->raw, value->text, TimeKind::instant, limits_.time_zone.get(), time);
        if (problem) {
            time_problem_ = json_pointer_shown(*parse_json_pointer(target.time_paths[i])) + " " + problem;
        } else {
            event.time = time;
            event.has_time = true;
        }
        return;
    }
}

/* Of a column's paths the first that is there and not null counts, else null if there is one. */
void EventMapper::choose_values(const Mapping::Target &target, const EventWalk &walk)
{
    values_.assign(target.columns.size(), nullptr);
    for (std::size_t i = 0; i < target.columns.size(); i++) {
        for (const std::uint32_t place : target.column_places[i]) {
            const EventWalk::Value *value = walk.at(place);
            if (!value)
                continue;
            values_[i] = value;
            choose(place);
            /* the column's own name wins over its camelCase form, whatever it says */
            if (target.columns[i].paths.empty() || value->kind != JsonKind::null)
                break;
        }
    }
}

void EventMapper::take_fields(std::uint16_t index, const EventWalk &walk, Event &event)
{
    const Mapping::Target &target = delivery_.mapping->targets()[index];

    fields_.clear();
    if (event.is_deletion && target.mark_column < 0) {
        /* the key is all that counts */
        for (std::size_t i = 0; i < target.columns.size(); i++) {
            if (is_key(target, i) && values_[i])
                take_value(static_cast<std::uint16_t>(i), target.columns[i], *values_[i], event);
        }
        return;
    }
    const std::string_view extra = extra_members(event, walk);
    for (std::size_t i = 0; i < target.columns.size(); i++) {
        const auto column = static_cast<std::uint16_t>(i);
        if (target.extra_column == static_cast<int>(i)) {
            if (!extra.empty())
                fields_.push_back(field_with(column, extra));
        } else if (target.mark_column == static_cast<int>(i)) {
            fields_.push_back(event.is_deletion ? field_at(column, event.time) : null_field(column));
        } else if (values_[i]) {
            take_value(column, target.columns[i], *values_[i], event);
        }
    }
}

void EventMapper::take_value(std::uint16_t index, const Mapping::Column &column,
                             const EventWalk::Value &value, Event &event)
{
    if (value.kind == JsonKind::null) {
        fields_.push_back(null_field(index));
        return;
    }
    Field field = field_with(index, value.text);
    std::string_view raw = value.raw;
    std::string rewritten;
    if (!column.times.empty()) {
        std::string name;
        const char *problem = read_inner_times(column, value, rewritten, name);
        if (problem) {
            const std::string where = name.empty() ? quoted(column.name) : quoted(column.name + "." + name);
            refuse(event, "22007", where + " " + problem, column.name);
            return;
        }
        raw = rewritten;
    }
    switch (column.shape) {
    case Shape::scalar:
        break;
    case Shape::clock:
        /* now, allballs */
        if (value.text.empty() || value.text[0] < '0' || value.text[0] > '9') {
            refuse(event, "22007", quoted(column.name) + " is not a time of day", column.name);
            return;
        }
        break;
    case Shape::array:
    case Shape::json_array:
        if (value.kind == JsonKind::array)
            field.text = kept(array_literal(raw, column.shape == Shape::json_array));
        break;
    case Shape::instant:
    case Shape::local:
    case Shape::date: {
        field = field_at(index, 0);
        const char *problem = read_time(value.kind, value.raw, value.text, *time_kind(column.shape),
                                        limits_.time_zone.get(), field.time);
        if (problem) {
            refuse(event, "22007", quoted(column.name) + " " + problem, column.name);
            return;
        }
        break;
    }
    case Shape::record:
        field.is_json = is_container(value.kind);
        if (!rewritten.empty())
            field.text = kept(raw);
        break;
    case Shape::json:
        field.text = value.raw;
        break;
    }
    fields_.push_back(field);
}

/* The value's JSON text with its times as PostgreSQL reads them; or what is wrong with one, and its field. */
const char *EventMapper::read_inner_times(const Mapping::Column &column, const EventWalk::Value &value,
                                          std::string &rewritten, std::string &field)
{
    if (!is_container(value.kind))
        return "holds times and is neither a JSON array nor an object";
    return rewrite_times(value.raw, column.times, limits_.time_zone.get(), rewritten, field);
}

/*
 * Whether a column, or the time, is the member's. One of several that a column may take is not if another has
 * won; but a null that has lost says nothing.
 */
bool EventMapper::is_taken(std::uint16_t index, const EventWalk::Member &member,
                           const EventWalk &walk) const noexcept
{
    if (!member.node || member.node->place == Mapping::no_place)
        return false;
    if (member.node->is_taken_by(index) || chosen_places_[member.node->place] == turn_)
        return true;
    const EventWalk::Value *value = walk.at(member.node->place);
    return value && value->kind == JsonKind::null && member.node->is_wanted_by(index);
}

/* The members that no column of the target takes, as one JSON object; empty if there are none. */
std::string_view EventMapper::extra_members(const Event &event, const EventWalk &walk)
{
    const Mapping::Target &target = delivery_.mapping->targets()[event.target];

    text_.clear();
    for (const EventWalk::Member &member : walk.members()) {
        if (member.object != target.root_node || is_taken(event.target, member, walk) ||
            walk.is_replaced(member))
            continue;
        note_unmapped(event, member);
        if (target.extra_column < 0)
            continue;
        text_ += text_.empty() ? '{' : ',';
        text_ += member.raw_key;
        text_ += ':';
        text_ += member.raw;
    }
    if (text_.empty())
        return {};
    text_ += '}';
    return kept(text_);
}

/* A key that comes twice in one event counts once. */
void EventMapper::note_unmapped(const Event &event, const EventWalk::Member &member)
{
    for (UnmappedKey &seen : delivery_.unmapped) {
        if (seen.target == event.target && seen.key == member.key) {
            seen.events += seen.last_event != event.number;
            seen.last_event = event.number;
            return;
        }
    }
    if (delivery_.unmapped.size() < Delivery::max_unmapped_keys)
        delivery_.unmapped.push_back({event.target, 1, event.number, member.key, member.raw});
}

void EventMapper::check(const Mapping::Target &target, const EventWalk &walk, Event &event)
{
    if (walk.has_nul()) {
        refuse(event, "22P05", "event holds \\u0000 or half of a surrogate pair, which no text can hold");
        return;
    }
    if (walk.has_more_members()) {
        refuse(event, "54000",
               "event has more than " + std::to_string(EventWalk::max_members) +
                   " members that no column takes");
        return;
    }
    text_.clear();
    for (const std::uint16_t key : target.keys)
        check_key(target, key, event);
    if (target.keys.size() != 1)
        event.key = kept(text_);
    if (event.refusal.sqlstate)
        return;
    if (!time_problem_.empty())
        refuse(event, "22007", time_problem_, target.order_column);
    else if (event.has_time && event.time > delivery_.received + limits_.max_future_skew_us)
        refuse(event, "22008",
               "the event's time is further in the future than cxone_sync.max_future_skew allows",
               target.order_column);
}

/* Adds one key column to the event's key: the first alone without a copy, several in text_. */
void EventMapper::check_key(const Mapping::Target &target, std::uint16_t column, Event &event)
{
    const std::string &name = target.columns[column].name;
    const EventWalk::Value *value = values_[column];

    if (!value || value->kind == JsonKind::null) {
        refuse(event, "23502", "event has no " + quoted(name), name);
    } else if (value->kind != JsonKind::string && value->kind != JsonKind::number) {
        refuse(event, "22023", quoted(name) + " is neither a string nor a number", name);
    } else if (value->text.empty()) {
        refuse(event, "22023", quoted(name) + " is empty", name);
    } else {
        if (target.keys.size() == 1)
            event.key = value->text;
        else
            text_.append(text_.empty() ? "" : ", ").append(value->text);
    }
}

/* The first reason stays. */
void EventMapper::refuse(Event &event, const char *sqlstate, std::string_view message,
                         std::string_view column)
{
    if (!event.refusal.sqlstate)
        event.refusal = {sqlstate, kept(message), kept(column)};
}

/* Each target makes its own, so the body's size is no measure of them. */
std::string_view EventMapper::kept(std::string_view text)
{
    delivery_.collected_bytes += text.size();
    return arena_copy(delivery_.arena, text);
}

void EventMapper::store_fields(Event &event)
{
    std::uint32_t hash = 2166136261u; /* FNV-1a */
    for (const Field &field : fields_)
        hash = (hash ^ field.column) * 16777619u;
    event.columns_hash = hash;
    event.field_count = static_cast<std::uint16_t>(fields_.size());
    if (fields_.empty())
        return;
    auto *stored =
        static_cast<Field *>(delivery_.arena.allocate(fields_.size() * sizeof(Field), alignof(Field)));
    std::uninitialized_copy(fields_.begin(), fields_.end(), stored);
    event.fields = stored;
}

} // namespace cxone_sync
