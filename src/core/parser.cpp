#include "core/parser.h"

#include "core/json_text.h"
#include "core/utf8.h"
#include "cxone/contract.h"

#include <algorithm>
#include <cstring>

namespace cxone_sync {

namespace {

std::string quoted(std::string_view name)
{
    std::string text = "\"";
    text += name;
    return text += '"';
}

/*
 * Reads the body once: the envelope's levels are 1 (object) and 2 (events), an event's own members are at 3.
 */
class DeliveryHandler : public JsonHandler {
public:
    DeliveryHandler(Delivery &delivery, const TargetMap *map, const ParseLimits &limits)
        : delivery_(delivery), map_(map), limits_(limits), field_at_(map ? map->columns().size() : 0)
    {
    }

    void restart() override;
    bool value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul) override;
    bool key(std::string_view text, bool has_nul) override;
    bool open(JsonKind kind) override;
    bool close(JsonKind kind, std::string_view raw) override;

    BodyRefusal refusal() const { return refusal_; }
    bool found_events() const noexcept { return found_events_; }

private:
    static constexpr unsigned envelope_level = 1;
    static constexpr unsigned events_level = 2;
    static constexpr unsigned event_level = 3;

    bool refuse(int status, std::string reason);
    bool begin_event();
    void finish_event(std::string_view raw);
    void take_value(JsonKind kind, std::string_view raw, std::string_view text);
    void take_time(JsonKind kind, std::string_view text);
    void take_field(const TargetMap::Source &source, JsonKind kind, std::string_view raw,
                    std::string_view text);
    std::string_view column_text(const TargetMap::Column &column, JsonKind kind, std::string_view raw,
                                 std::string_view text);
    void check_event(Event &event);
    void refuse_event(Event &event, const char *sqlstate, std::string_view message,
                      std::string_view column = {});
    void store_fields(Event &event);

    Delivery &delivery_;
    const TargetMap *map_;
    const ParseLimits &limits_;
    BodyRefusal refusal_;

    /* where the reading stands */
    unsigned level_ = 0;
    bool events_next_ = false; /* the envelope's last key was that of the events */
    bool found_events_ = false;
    bool in_events_ = false;

    /* the event under way */
    const TargetMap::Source *source_ = nullptr; /* what its last key feeds */
    std::vector<Field> fields_;
    std::vector<std::uint32_t> field_at_; /* column -> 1 + its place in fields_, 0: none */
    JsonKind key_kind_ = JsonKind::null;
    bool has_nul_ = false;
    bool has_time_ = false;
    Timestamp time_ = 0;
    std::string time_problem_;
};

void DeliveryHandler::restart()
{
    delivery_.events.clear();
    delivery_.arena.release();
    level_ = 0;
    events_next_ = found_events_ = in_events_ = false;
    fields_.clear();
    std::fill(field_at_.begin(), field_at_.end(), 0);
}

bool DeliveryHandler::refuse(int status, std::string reason)
{
    refusal_ = {status, std::move(reason)};
    return false;
}

bool DeliveryHandler::key(std::string_view text, bool has_nul)
{
    if (level_ == envelope_level) {
        events_next_ = text == contract::events_key;
        if (events_next_ && found_events_)
            return refuse(400, quoted(contract::events_key) + " appears more than once");
    } else if (in_events_) {
        has_nul_ |= has_nul;
        if (level_ == event_level)
            source_ = map_ ? map_->find(text) : nullptr;
    }
    return true;
}

bool DeliveryHandler::value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul)
{
    if (level_ == 0)
        return refuse(400, "the body is not a JSON object");
    if (level_ == envelope_level && events_next_)
        return refuse(400, quoted(contract::events_key) + " is not an array");
    if (!in_events_)
        return true;
    if (level_ == events_level) {
        if (!begin_event())
            return false;
        finish_event(raw);
        refuse_event(delivery_.events.back(), "22023", "event is not a JSON object");
        return true;
    }
    has_nul_ |= has_nul;
    if (level_ == event_level)
        take_value(kind, raw, text);
    return true;
}

bool DeliveryHandler::open(JsonKind kind)
{
    if (level_ == 0 && kind != JsonKind::object)
        return refuse(400, "the body is not a JSON object");
    if (level_ == envelope_level && events_next_) {
        if (kind != JsonKind::array)
            return refuse(400, quoted(contract::events_key) + " is not an array");
        found_events_ = in_events_ = true;
    } else if (level_ == events_level && in_events_) {
        if (!begin_event())
            return false;
    }
    if (++level_ > limits_.max_depth)
        return refuse(400, "JSON is nested deeper than " + std::to_string(limits_.max_depth) + " levels");
    return true;
}

bool DeliveryHandler::close(JsonKind kind, std::string_view raw)
{
    level_--;
    if (!in_events_)
        return true;
    if (level_ == envelope_level) {
        in_events_ = events_next_ = false;
    } else if (level_ == events_level) {
        finish_event(raw);
        if (kind != JsonKind::object)
            refuse_event(delivery_.events.back(), "22023", "event is not a JSON object");
    } else if (level_ == event_level) {
        take_value(kind, raw, raw);
    }
    return true;
}

bool DeliveryHandler::begin_event()
{
    if (delivery_.events.size() >= limits_.max_events)
        return refuse(413, "more than " + std::to_string(limits_.max_events) + " events in one delivery");
    source_ = nullptr;
    key_kind_ = JsonKind::null;
    has_nul_ = has_time_ = false;
    time_problem_.clear();
    return true;
}

void DeliveryHandler::take_value(JsonKind kind, std::string_view raw, std::string_view text)
{
    if (!source_)
        return;
    if (source_->role == TargetMap::Role::time)
        take_time(kind, text);
    else
        take_field(*source_, kind, raw, text);
    source_ = nullptr;
}

void DeliveryHandler::take_time(JsonKind kind, std::string_view text)
{
    has_time_ = false;
    time_problem_.clear();
    if (kind == JsonKind::null)
        return;
    const char *problem = kind == JsonKind::string ? parse_timestamp(text, time_)
                                                   : "is not a string with an RFC 3339 date and time";
    has_time_ = !problem;
    if (problem)
        time_problem_ = quoted(contract::time_key) + " " + problem;
}

void DeliveryHandler::take_field(const TargetMap::Source &source, JsonKind kind, std::string_view raw,
                                 std::string_view text)
{
    std::uint32_t &at = field_at_[source.column];
    if (at != 0 && fields_[at - 1].exact && !source.exact)
        return;
    if (at == 0) {
        fields_.emplace_back();
        at = static_cast<std::uint32_t>(fields_.size());
    }
    /* A later duplicate replaces an earlier one, as in jsonb. */
    fields_[at - 1] = {.column = source.column,
                       .exact = source.exact,
                       .is_null = kind == JsonKind::null,
                       .text = column_text(map_->columns()[source.column], kind, raw, text)};
    if (source.role == TargetMap::Role::key)
        key_kind_ = kind;
}

std::string_view DeliveryHandler::column_text(const TargetMap::Column &column, JsonKind kind,
                                              std::string_view raw, std::string_view text)
{
    switch (column.shape) {
    case TargetMap::Shape::json:
        return raw;
    case TargetMap::Shape::array:
    case TargetMap::Shape::json_array:
        if (kind != JsonKind::array)
            return text;
        return arena_copy(delivery_.arena, array_literal(raw, column.shape == TargetMap::Shape::json_array));
    case TargetMap::Shape::scalar:
        break;
    }
    return text;
}

void DeliveryHandler::finish_event(std::string_view raw)
{
    Event &event = delivery_.events.emplace_back();
    event.raw = raw;
    event.has_time = has_time_;
    event.time = has_time_ ? time_ : delivery_.received;
    if (map_)
        check_event(event);
    store_fields(event);
}

void DeliveryHandler::check_event(Event &event)
{
    const std::string &key_name = map_->key_column().name;
    const std::uint32_t key_at = field_at_[map_->key_index()];
    const Field *key_field = key_at ? &fields_[key_at - 1] : nullptr;

    const bool can_be_key = key_kind_ == JsonKind::string || key_kind_ == JsonKind::number;
    if (key_field && can_be_key && !has_nul_)
        event.key = key_field->text;

    if (has_nul_)
        refuse_event(event, "22P05",
                     "event holds \\u0000 or half of a surrogate pair, which no text can hold");
    else if (!key_field || key_field->is_null)
        refuse_event(event, "23502", "event has no " + quoted(key_name), key_name);
    else if (!can_be_key)
        refuse_event(event, "22023", quoted(key_name) + " is neither a string nor a number", key_name);
    else if (event.key.empty())
        refuse_event(event, "22023", quoted(key_name) + " is empty", key_name);
    else if (!time_problem_.empty())
        refuse_event(event, "22007", time_problem_, contract::order_column);
    else if (has_time_ && event.time > delivery_.received + limits_.max_future_skew_us)
        refuse_event(event, "22008",
                     quoted(contract::time_key) +
                         " is further in the future than cxone_sync.max_future_skew allows",
                     contract::order_column);
}

void DeliveryHandler::refuse_event(Event &event, const char *sqlstate, std::string_view message,
                                   std::string_view column)
{
    event.refusal = {sqlstate, arena_copy(delivery_.arena, message), arena_copy(delivery_.arena, column)};
}

void DeliveryHandler::store_fields(Event &event)
{
    std::sort(fields_.begin(), fields_.end(),
              [](const Field &a, const Field &b) { return a.column < b.column; });
    std::uint32_t hash = 2166136261u; /* FNV-1a */
    for (const Field &field : fields_) {
        hash = (hash ^ field.column) * 16777619u;
        field_at_[field.column] = 0;
    }
    event.columns_hash = hash;
    event.field_count = static_cast<std::uint16_t>(fields_.size());
    if (!fields_.empty()) {
        auto *stored =
            static_cast<Field *>(delivery_.arena.allocate(fields_.size() * sizeof(Field), alignof(Field)));
        std::uninitialized_copy(fields_.begin(), fields_.end(), stored);
        event.fields = stored;
    }
    fields_.clear();
}

} // namespace

BodyRefusal parse_delivery(Delivery &delivery, std::shared_ptr<const TargetMap> map,
                           const ParseLimits &limits)
{
    delivery.events.clear();
    delivery.arena.release();
    delivery.map = std::move(map);

    if (!is_valid_utf8(delivery.body))
        return {400, "the body is not valid UTF-8"};

    DeliveryHandler handler(delivery, delivery.map.get(), limits);
    const std::string problem = read_json(delivery.body, delivery.arena, handler);
    BodyRefusal refusal = handler.refusal();
    if (refusal.status == 0 && !problem.empty())
        refusal = {400, problem};
    if (refusal.status == 0 && !handler.found_events())
        refusal = {400, "no " + quoted(contract::events_key)};
    if (refusal.status != 0 || !delivery.map)
        delivery.events.clear();
    return refusal;
}

} // namespace cxone_sync
