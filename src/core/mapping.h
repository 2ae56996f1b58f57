#pragma once

#include "core/inner_values.h"
#include "core/pure_room.h"

#include <cstdint>
#include <memory>
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
    struct Column {
        std::string name;
        Shape shape = Shape::scalar;
        std::vector<std::string> paths{}; /* JSON pointers into the event; none: its name, then camelCase */
        bool from_events = true;          /* false: `extra` and the mark, which no member feeds by name */
        InnerValues inner{};              /* of an array's elements, or a record's fields */
    };

    struct TargetSpec {
        std::string name;
        std::uint32_t table = 0;              /* which one it is: targets may share it */
        std::string root{};                   /* JSON pointer to the object whose members are the columns' */
        std::string type_path = "/eventType"; /* JSON pointer to the event's type */
        std::vector<std::string> types{};     /* none: events of types that no other target names */
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

        bool names(std::string_view type) const noexcept;
        bool deletes(std::string_view type) const noexcept;
    };

    /* Throws std::invalid_argument for keys outside the columns or paths that are no JSON pointers. */
    explicit Mapping(std::vector<TargetSpec> targets);
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;

    const std::vector<Target> &targets() const noexcept { return targets_; }
    const Node &event() const noexcept { return event_; }
    std::size_t place_count() const noexcept { return paths_.size(); }
    const std::string &path_to(std::uint32_t place) const noexcept { return paths_[place]; }
    std::size_t node_count() const noexcept { return node_count_; }

private:
    Node &node_at(std::string_view pointer);
    std::uint32_t place_at(std::string_view pointer);
    void add_choice(std::uint16_t target, std::string_view pointer, std::vector<std::uint32_t> &places);
    void place_columns(std::uint16_t index, Target &target);

    std::vector<Target> targets_;
    Node event_;
    std::vector<std::string> paths_; /* by place */
    std::uint32_t node_count_ = 1;
};

/* first_name -> firstName, trail_ -> trail; a leading underscore stays. */
std::string camel_case(std::string_view column_name);

} // namespace cxone_sync
