#pragma once

#include "core/inner_times.h"
#include "core/pure_room.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cxone_sync {

/*
 * How the members of an event feed the columns of the targets: an immutable snapshot of the configuration and
 * of the tables' catalog, made by the main thread and shared with the network threads. A delivery is mapped
 * by one snapshot; the writer maps it again if anything has changed since.
 *
 * All paths of all targets make one tree, so that each event is walked once whatever the number of targets:
 * a node with a place has its value kept, and each target then picks from the places.
 */
class Mapping {
public:
    /* What becomes of a JSON value on its way to the column's input function. */
    enum class Shape : std::uint8_t {
        scalar,     /* the JSON text as it stands, as jsonb_populate_record() does it */
        array,      /* a JSON array is rewritten as an array literal: {"a","b"} */
        json_array, /* the same, with elements that are JSON themselves */
        instant,    /* timestamptz, timestamp and date: times are read here (time_value.h) */
        local,
        date,
        clock,  /* time and timetz: no words */
        record, /* a JSON object or array goes through json_populate_type() */
        json    /* json and jsonb: every value, strings too, goes in as JSON text */
    };

    struct Column {
        std::string name;
        Shape shape = Shape::scalar;
        std::vector<std::string> paths{}; /* JSON pointers into the event; none: its name, then camelCase */
        bool from_events = true;          /* false: `extra` and the mark, which no member feeds by name */
        InnerTimes times{};               /* of an array's elements, or a record's fields */
    };

    struct TargetSpec {
        std::string name;
        std::string root{};                   /* JSON pointer to the object whose members are the columns' */
        std::string type_path = "/eventType"; /* JSON pointer to the event's type */
        std::vector<std::string> types{};     /* none: every event */
        std::vector<std::string> delete_types{};
        std::vector<Column> columns{};     /* without the order column */
        std::vector<std::uint16_t> keys{}; /* indexes of the key columns */
        std::string order_column = "updated_ts";
        std::vector<std::string> time_paths{}; /* where the event's time stands: the first that is there */
        int extra_column = -1;                 /* index of the column for members that no other takes */
        int mark_column = -1;                  /* index of the column with the time of a deletion */
        bool is_usable = true;                 /* false: its events are only told apart, not mapped */
    };

    static constexpr std::uint32_t no_place = UINT32_MAX;

    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>{}(s); }
    };

    struct Node {
        std::unordered_map<std::string, std::unique_ptr<Node>, Hash, std::equal_to<>> children{};
        std::uint32_t place = no_place;
        std::uint32_t number = 0;               /* among all nodes */
        std::vector<std::uint16_t> rooted{};    /* targets whose root this is */
        std::vector<std::uint16_t> wanted_by{}; /* targets with a column, or the time, at this very path */
        std::vector<std::uint16_t> taken_by{};  /* those of them that take it whenever it is there */

        const Node *find(std::string_view token) const noexcept
        {
            const auto found = children.find(token);
            return found == children.end() ? nullptr : found->second.get();
        }
        bool is_wanted_by(std::uint16_t target) const noexcept;
        bool is_taken_by(std::uint16_t target) const noexcept;
    };

    struct Target : TargetSpec {
        std::uint32_t type_place = no_place;
        std::vector<std::uint32_t> time_places{};
        std::vector<std::vector<std::uint32_t>> column_places{}; /* parallel to columns, best first */
        const Node *root_node = nullptr;

        bool concerns(std::string_view type) const noexcept;
        bool deletes(std::string_view type) const noexcept;
    };

    /* Throws std::invalid_argument for keys outside the columns or paths that are no JSON pointers. */
    explicit Mapping(std::vector<TargetSpec> targets);
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;

    const std::vector<Target> &targets() const noexcept { return targets_; }
    const Node &event() const noexcept { return event_; }
    std::size_t place_count() const noexcept { return place_count_; }
    std::size_t node_count() const noexcept { return node_count_; }

private:
    Node &node_at(std::string_view pointer);
    std::uint32_t place_at(std::string_view pointer);
    void add_choice(std::uint16_t target, std::string_view pointer, std::vector<std::uint32_t> &places);
    void place_columns(std::uint16_t index, Target &target);

    std::vector<Target> targets_;
    Node event_;
    std::uint32_t place_count_ = 0;
    std::uint32_t node_count_ = 1;
};

/* What times of this shape are for; nothing if the shape is not one of times. */
std::optional<TimeKind> time_kind(Mapping::Shape shape) noexcept;

/* first_name -> firstName, trail_ -> trail; a leading underscore stays. */
std::string camel_case(std::string_view column_name);

} // namespace cxone_sync
