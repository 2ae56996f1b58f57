#pragma once

#include "core/event_walk.h"
#include "core/parser.h"

#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* Turns each event that has been walked into what its targets take of it, at the end of delivery.events. */
class EventMapper {
public:
    EventMapper(Delivery &delivery, const ParseLimits &limits) : delivery_(delivery), limits_(limits) {}

    /* `raw` is the event's JSON text, `number` its place in the delivery. */
    void map(const EventWalk &walk, std::string_view raw, std::uint32_t number);
    /* An event of which nothing can be read. */
    void refuse(std::string_view raw, std::uint32_t number, const char *sqlstate, std::string_view message);

private:
    Event &add_event(std::string_view raw, std::uint32_t number);
    std::string nobody_takes(const EventWalk &walk) const;
    void map_for(std::uint16_t index, const EventWalk &walk, Event &event);
    void take_time(const Mapping::Target &target, const EventWalk &walk, Event &event);
    void take_fields(std::uint16_t index, const EventWalk &walk, Event &event);
    void choose_values(const Mapping::Target &target, const EventWalk &walk);
    void choose(std::uint32_t place) noexcept { chosen_places_[place] = turn_; }
    bool is_taken(std::uint16_t index, const EventWalk::Member &member, const EventWalk &walk) const noexcept;
    void take_value(std::uint16_t index, const Mapping::Target &target, const EventWalk &walk, Event &event);
    const char *read_value(const Mapping::Column &column, const EventWalk::Value &value, Field &field);
    const char *read_inner_values(const Mapping::Column &column, const EventWalk::Value &value,
                                  std::string_view &raw);
    std::string_view integer_of(const EventWalk::Value &value);
    void refuse_nul(std::uint16_t index, const Mapping::Target &target, const EventWalk &walk, Event &event);
    std::string_view extra_members(const Event &event, const EventWalk &walk);
    void note_unmapped(const Event &event, const EventWalk::Member &member);
    void check(const Mapping::Target &target, const EventWalk &walk, Event &event);
    void check_key(const Mapping::Target &target, std::uint16_t column, Event &event);
    void refuse(Event &event, const char *sqlstate, std::string_view message, std::string_view column = {});
    std::string_view kept(std::string_view text);
    void store_fields(Event &event);

    Delivery &delivery_;
    const ParseLimits &limits_;

    /* of the event and target under way */
    std::vector<const EventWalk::Value *> values_; /* by column: what feeds it, or null */
    std::vector<std::uint64_t> chosen_places_;     /* by place: the turn in which it was taken from last */
    std::uint64_t turn_ = 0;
    std::vector<Field> fields_;
    std::string time_problem_;
    std::string text_;       /* room for what is put together */
    std::string rewritten_;  /* the value with its inner values rewritten */
    std::string inner_name_; /* the field of the last value that is wrong */
};

} // namespace cxone_sync
