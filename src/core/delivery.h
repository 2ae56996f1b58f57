#pragma once

#include "core/digest.h"
#include "core/mapping.h"
#include "core/memory_budget.h"
#include "core/timestamp.h"

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

struct PgError;

/* The value that an event carries for one column. Views point into the delivery: its body or its arena. */
struct Field {
    std::uint16_t column;  /* index into the columns of the event's target */
    bool is_null;          /* JSON null: clears the column */
    bool is_json;          /* text is a JSON object or array, for a column that takes records */
    bool is_time;          /* `time` is the value, and there is no text */
    std::string_view text; /* what the column's input function gets */
    std::int64_t time;     /* as read_time() gives it for the column's shape */
};

/* Why an event cannot be applied. Texts are static or live in the delivery's arena. */
struct Refusal {
    const char *sqlstate = nullptr; /* five characters; nullptr: the event is fine so far */
    std::string_view message;
    std::string_view column;
};

enum class Outcome : std::uint8_t { pending, applied, skipped, dead_lettered };

/* An event as one target takes it: an event that concerns several targets is there once for each. */
struct Event {
    static constexpr std::uint16_t no_target = UINT16_MAX;

    std::string_view raw;             /* the event as it came, for dead_letters */
    std::uint32_t number = 0;         /* its place in the delivery */
    std::uint16_t target = no_target; /* index into Mapping::targets(); no_target: none takes it */
    bool is_deletion = false;
    bool is_envelope = false; /* raw is a line in which no events were found */
    std::string_view key;     /* what identifies the row, for people; empty only if refused */
    Timestamp time = 0; /* the event's time, or its arrival if it carries none, or none that can be read */
    bool has_time = false;
    Outcome outcome = Outcome::pending;
    std::uint32_t columns_hash = 0; /* of the columns that the fields feed: events alike share a statement */
    const Field *fields = nullptr;  /* in column order, the key's included */
    std::uint16_t field_count = 0;
    Refusal refusal;
    const Refusal *fault = nullptr; /* why it is a dead letter, once it is one */
};

struct DeliveryCounts {
    std::uint32_t received = 0;
    std::uint32_t applied = 0;
    std::uint32_t skipped = 0;
    std::uint32_t dead_lettered = 0;
};

/* A member that no column of a target takes. */
struct UnmappedKey {
    std::uint16_t target;
    std::uint32_t events;     /* how many of the delivery have it */
    std::uint32_t last_event; /* number of the last of them */
    std::string_view key;
    std::string_view example; /* JSON text */
};

/* Where the events stand in a body. */
struct Envelope {
    /* The JSON pointer to the array of events. Empty: the body itself is that array, or is one event. */
    std::string path = "/events";
    bool is_lines = false; /* each line of the body is an envelope of its own (NDJSON) */
    bool is_event = false; /* the body is one event, whatever it is */
};

/* One request's events: all of them commit in one transaction, and one reply counts them. */
struct Delivery {
    static constexpr std::size_t max_unmapped_keys = 64; /* further ones are not noted */

    MemoryShare memory;
    std::string body;
    std::optional<Digest> digest; /* of its sender's id and its body, if it has an id: see RecentDeliveries */
    Timestamp received = 0;
    Envelope envelope; /* by which it was read: it is read once more by the same, whatever is set since */
    std::shared_ptr<const Mapping> mapping; /* what the events were mapped by; null: not mapped yet */
    std::string only_target;      /* a dead letter's own: it goes to others only if that takes it no more */
    std::int64_t dead_letter = 0; /* its number, if it is one that is replayed: it is read as a line alone */
    bool is_letter_kept = false;  /* that one has failed once more */
    bool is_postponed = false;    /* not written now, since others hold a lock that it needs */
    bool needs_locked_table = false;    /* and that is one on a whole table */
    bool needs_hidden_lock = false;     /* or one that cannot be seen before it is met */
    bool is_untried = false;            /* or there was no time to find out whether it could be */
    bool needs_repair = false;          /* or because of a table of ours, which somebody has to mend first */
    bool needs_own_transaction = false; /* or because a trigger may have met what others have left */
    std::shared_ptr<const PgError> postponed_by; /* the last lock that it was found to need */
    std::pmr::monotonic_buffer_resource arena{1024};
    std::vector<Event> events; /* those of one event stand side by side */
    std::vector<UnmappedKey> unmapped;

    /*
     * The one arrival time of an event: that which it is stamped with if it carries none, and which a dead
     * letter keeps as its own. Events of one delivery keep their order by it.
     */
    Timestamp arrival_of(const Event &event) const noexcept { return received + event.number; }
    /*
     * What became of the event whose entries begin at `begin`, `end` is set behind them: dead-lettered if one
     * of its targets could not take it, else applied if one has.
     */
    Outcome outcome_of_event(std::size_t begin, std::size_t &end) const noexcept;
    DeliveryCounts counts() const noexcept;
    /* Of the targets that it has events for. */
    std::set<std::uint32_t> tables() const;
    /*
     * Bytes held, at most: the body, twice that for decoded strings, events, fields, and what was put
     * together for each target (array literals, extra columns, keys, refusals).
     */
    std::uint64_t size() const noexcept;
    std::uint64_t collected_bytes = 0;

    /* Notes why the event is a dead letter; the texts are copied. */
    void set_fault(Event &event, std::string_view sqlstate, std::string_view message,
                   std::string_view column);
};

} // namespace cxone_sync
