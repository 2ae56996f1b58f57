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
    std::string nobody_takes(const EventWalk &walk) const;
    void map_for(std::uint16_t index, const EventWalk &walk, Event &event);
    void take_time(const Mapping::Target &target, const EventWalk &walk, Event &event);
    void take_fields(std::uint16_t index, const EventWalk &walk, Event &event);
    const EventWalk::Value *value_for(const Mapping::Target &target, std::size_t column,
                                      const EventWalk &walk) const noexcept;
    void take_value(std::uint16_t index, const Mapping::Column &column, const EventWalk::Value &value,
                    Event &event);
    std::string_view extra_members(std::uint16_t index, const EventWalk &walk);
    void note_unmapped(std::uint16_t target, const EventWalk::Member &member);
    void check(const Mapping::Target &target, const EventWalk &walk, Event &event);
    void check_key(const Mapping::Target &target, std::uint16_t column, const EventWalk &walk, Event &event);
    void refuse(Event &event, const char *sqlstate, std::string_view message, std::string_view column = {});
    std::string_view kept(std::string_view text);
    void store_fields(Event &event);

    Delivery &delivery_;
    const ParseLimits &limits_;

    /* of the event and target under way */
    std::vector<Field> fields_;
    std::string time_problem_;
    std::string text_; /* room for what is put together */
};

} // namespace cxone_sync
