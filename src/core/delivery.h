#pragma once

#include "core/memory_budget.h"
#include "core/target_map.h"
#include "core/timestamp.h"

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* The value that an event carries for one column. Views point into the delivery: its body or its arena. */
struct Field {
    std::uint16_t column;  /* index into TargetMap::columns() */
    bool exact;            /* came from the column's own name, not from its camelCase form */
    bool is_null;          /* JSON null: clears the column */
    std::string_view text; /* what the column's input function gets */
};

/* Why an event cannot be applied. Texts are static or live in the delivery's arena. */
struct Refusal {
    const char *sqlstate = nullptr; /* five characters; nullptr: the event is fine so far */
    std::string_view message;
    std::string_view column;
};

enum class Outcome : std::uint8_t { pending, applied, skipped, dead_lettered };

struct Event {
    std::string_view raw; /* the event as it came, for dead_letters */
    std::string_view key; /* what identifies the row; empty only if refused */
    Timestamp time = 0;   /* the event's time, or its arrival if it carries none */
    bool has_time = false;
    Outcome outcome = Outcome::pending;
    std::uint32_t columns_hash = 0; /* of the columns that the fields feed: events alike share a statement */
    const Field *fields = nullptr;  /* in column order, the key's included */
    std::uint16_t field_count = 0;
    Refusal refusal;
};

struct DeliveryCounts {
    std::uint32_t received = 0;
    std::uint32_t applied = 0;
    std::uint32_t skipped = 0;
    std::uint32_t dead_lettered = 0;
};

/* One request's events: all of them commit in one transaction, and one reply counts them. */
struct Delivery {
    MemoryShare memory;
    std::string body;
    Timestamp received = 0;
    std::shared_ptr<const TargetMap> map; /* what the events were mapped by; null: not mapped yet */
    std::pmr::monotonic_buffer_resource arena{1024};
    std::vector<Event> events;

    DeliveryCounts counts() const noexcept;
    /* Bytes held, at most: the body, twice that for decoded strings and array literals, events, fields. */
    std::uint64_t size() const noexcept;
};

} // namespace cxone_sync
