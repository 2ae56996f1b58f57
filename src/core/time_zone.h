#pragma once

#include "core/pure_room.h"
#include "core/timestamp.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cxone_sync {

/* The offsets of a time zone as plain data: PostgreSQL's own zones belong to its main thread. */
class TimeZone {
public:
    struct Transition {
        Timestamp at;
        std::int32_t offset_s; /* east of UTC, from `at` on */
    };

    /* `transitions` are in the order of time; before the first of them `first_offset_s` is in force. */
    TimeZone(std::string name, std::int32_t first_offset_s, std::vector<Transition> transitions);

    const std::string &name() const noexcept { return name_; }

    /*
     * The instant at which the clocks of the zone show `local`. By PostgreSQL's rule one that they skip is
     * read with the offset before the gap, and of two that they show alike it is the one after the
     * transition.
     */
    Timestamp to_utc(Timestamp local) const noexcept;

private:
    std::string name_;
    std::int32_t first_offset_s_;
    std::vector<Transition> transitions_;
};

} // namespace cxone_sync
