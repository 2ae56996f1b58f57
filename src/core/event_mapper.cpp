#include "core/event_mapper.h"

#include "core/ascii.h"
#include "core/integer_text.h"
#include "core/json_pointer.h"
#include "core/range_text.h"

#include <algorithm>
#include <memory>

namespace cxone_sync {

namespace {

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

/* A string or a key, for people: as it is written in JSON if no text can hold it. */
std::string_view shown(std::string_view raw, std::string_view text) noexcept
{
    return text.find('\0') == text.npos ? text : raw.substr(1, raw.size() - 2);
}

bool names_type(const EventWalk::Value &value) noexcept
{
    return value.kind != JsonKind::null && !is_container(value.kind);
}

/* The event's type where this target looks for it; empty if there is none. */
std::string_view type_for(const Mapping::Target &target, const EventWalk &walk) noexcept
{
    const EventWalk::Value *type = walk.at(target.type_place);
    return type && names_type(*type) ? type->text : std::string_view();
}

/* A text would take true as well, and then it would be somebody's id. */
bool can_be_key(JsonKind kind, Shape shape) noexcept
{
    return kind == JsonKind::string || kind == JsonKind::number ||
           (kind == JsonKind::boolean && (shape == Shape::boolean || shape == Shape::json));
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
    const bool is_named = std::any_of(targets.begin(), targets.end(), [&walk](const Mapping::Target &target) {
        return target.names(type_for(target, walk));
    });
    const auto takes = [&walk, is_named](const Mapping::Target &target) {
        return target.names(type_for(target, walk)) || (!is_named && target.types.empty());
    };
    const bool goes_back =
        std::any_of(targets.begin(), targets.end(), [this, &takes](const Mapping::Target &target) {
            return delivery_.only_target == target.name && takes(target);
        });

    for (std::size_t i = 0; i < targets.size(); i++) {
        const Mapping::Target &target = targets[i];
        if ((goes_back && delivery_.only_target != target.name) || !takes(target))
            continue;
        Event &event = add_event(raw, number);
        event.target = static_cast<std::uint16_t>(i);
        event.is_deletion = target.deletes(type_for(target, walk));
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
    for (const Mapping::Target &target : delivery_.mapping->targets()) {
        const EventWalk::Value *type = walk.at(target.type_place);
        if (type && names_type(*type))
            return "no target takes events of type " + quoted(beginning_of(shown(type->raw, type->text)));
    }
    return "no target takes events without a type";
}

void EventMapper::refuse(std::string_view raw, std::uint32_t number, const char *sqlstate,
                         std::string_view message)
{
    refuse(add_event(raw, number), sqlstate, message);
}

Event &EventMapper::add_event(std::string_view raw, std::uint32_t number)
{
    Event &event = delivery_.events.emplace_back();
    event.raw = raw;
    event.number = number;
    event.time = delivery_.arrival_of(event);
    return event;
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
                take_value(static_cast<std::uint16_t>(i), target, walk, event);
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
            take_value(column, target, walk, event);
        }
    }
}

void EventMapper::take_value(std::uint16_t index, const Mapping::Target &target, const EventWalk &walk,
                             Event &event)
{
    const Mapping::Column &column = target.columns[index];
    const EventWalk::Value &value = *values_[index];
    Field field = field_with(index, value.text);

    if (value.kind == JsonKind::null) {
        field = null_field(index);
    } else if (value.has_nul) {
        refuse_nul(index, target, walk, event);
        return;
    } else if (const char *problem = read_value(column, value, field)) {
        const std::string where = inner_name_.empty() ? column.name : column.name + "." + inner_name_;
        refuse(event, "22007", quoted(where) + " " + problem, column.name);
        return;
    }
    fields_.push_back(field);
}

/* Fills in what the column's input function gets of a value that is not null; or tells what is wrong with it.
 */
const char *EventMapper::read_value(const Mapping::Column &column, const EventWalk::Value &value,
                                    Field &field)
{
    std::string_view raw = value.raw;

    inner_name_.clear();
    if (!column.inner.empty()) {
        if (const char *problem = read_inner_values(column, value, raw))
            return problem;
    }
    switch (column.shape) {
    case Shape::scalar:
    case Shape::boolean:
        break;
    case Shape::integer:
        field.text = integer_of(value);
        break;
    case Shape::clock:
        /* now, allballs */
        if (value.text.empty() || !is_digit(value.text[0]))
            return "is not a time of day";
        break;
    case Shape::array:
    case Shape::json_array:
        if (value.kind == JsonKind::array)
            field.text = kept(array_literal(raw, column.shape == Shape::json_array));
        break;
    case Shape::instant:
    case Shape::local:
    case Shape::date:
        field = field_at(field.column, 0);
        return read_time(value.kind, value.raw, value.text, *time_kind(column.shape), limits_.time_zone.get(),
                         field.time);
    case Shape::instant_range:
    case Shape::local_range:
    case Shape::date_range:
        text_.clear();
        if (const char *problem =
                rewrite_range(value.text, *bound_kind(column.shape), limits_.time_zone.get(), text_))
            return problem;
        field.text = kept(text_);
        break;
    case Shape::record:
        field.is_json = is_container(value.kind);
        if (raw.data() != value.raw.data())
            field.text = kept(raw);
        break;
    case Shape::json:
        field.text = value.raw;
        break;
    }
    return nullptr;
}

/* Sets `raw` to the value's JSON text as PostgreSQL reads what is inside, in rewritten_ if it differs. */
const char *EventMapper::read_inner_values(const Mapping::Column &column, const EventWalk::Value &value,
                                           std::string_view &raw)
{
    if (!is_container(value.kind))
        return column.inner.hold_times() ? "holds times and is neither a JSON array nor an object" : nullptr;
    /* most arrays of integers are plain */
    if (column.inner.shape == Shape::integer && value.raw.find_first_of(".eE") == value.raw.npos)
        return nullptr;
    const char *problem =
        rewrite_inner_values(value.raw, column.inner, limits_.time_zone.get(), rewritten_, inner_name_);
    raw = rewritten_;
    return problem;
}

std::string_view EventMapper::integer_of(const EventWalk::Value &value)
{
    IntegerText buffer;

    if (value.kind != JsonKind::number)
        return value.text;
    const std::string_view text = integer_text(value.text, buffer);
    return text.data() == buffer ? kept(text) : text;
}

/* PostgreSQL's text holds neither; names the member that the column would take. */
void EventMapper::refuse_nul(std::uint16_t index, const Mapping::Target &target, const EventWalk &walk,
                             Event &event)
{
    const Mapping::Column &column = target.columns[index];
    const std::vector<std::uint32_t> &places = target.column_places[index];
    const auto place = std::find_if(places.begin(), places.end(),
                                    [&](std::uint32_t p) { return walk.at(p) == values_[index]; });
    const std::vector<std::string> path = *parse_json_pointer(delivery_.mapping->path_to(*place));

    refuse(event, "22P05",
           (path.empty() ? "event" : json_pointer_shown(path)) +
               " holds \\u0000 or half of a surrogate pair, which no text can hold",
           column.name);
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
        if (target.extra_column < 0 || member.has_nul) /* jsonb cannot hold it */
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
    const std::string_view key = shown(member.raw_key, member.key);

    for (UnmappedKey &seen : delivery_.unmapped) {
        if (seen.target == event.target && seen.key == key) {
            seen.events += seen.last_event != event.number;
            seen.last_event = event.number;
            return;
        }
    }
    if (delivery_.unmapped.size() < Delivery::max_unmapped_keys)
        delivery_.unmapped.push_back({event.target, 1, event.number, key, member.raw});
}

void EventMapper::check(const Mapping::Target &target, const EventWalk &walk, Event &event)
{
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
    const Shape shape = target.columns[column].shape;
    const EventWalk::Value *value = values_[column];

    if (!value || value->kind == JsonKind::null) {
        refuse(event, "23502", "event has no " + quoted(name), name);
    } else if (!can_be_key(value->kind, shape)) {
        refuse(event, "22023", quoted(name) + " is neither a string nor a number", name);
    } else if (value->text.empty()) {
        refuse(event, "22023", quoted(name) + " is empty", name);
    } else if (!value->has_nul) { /* else it is refused already */
        const std::string_view text = shape == Shape::integer ? integer_of(*value) : value->text;
        if (target.keys.size() == 1)
            event.key = text;
        else
            text_.append(text_.empty() ? "" : ", ").append(text);
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
