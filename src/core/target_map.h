#pragma once

#include "core/pure_room.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cxone_sync {

/*
 * How the members of an event feed the columns of the target: an immutable snapshot of the target's catalog,
 * made by the main thread and shared with the network threads. A delivery is mapped by one snapshot; the
 * writer maps it again if the table has changed since.
 */
class TargetMap {
public:
    /* What becomes of a JSON array or object on its way to the column's input function. */
    enum class Shape : std::uint8_t {
        scalar,     /* the JSON text as it stands, as jsonb_populate_record() does it */
        array,      /* a JSON array is rewritten as an array literal: {"a","b"} */
        json_array, /* the same, with elements that are JSON themselves */
        json        /* json and jsonb: every value, strings too, goes in as JSON text */
    };

    struct Column {
        std::string name;
        Shape shape = Shape::scalar;
    };

    enum class Role : std::uint8_t { value, key, time };

    /* What one JSON key means. Of two keys for one column the one that is the column's own name wins. */
    struct Source {
        Role role = Role::value;
        bool exact = true; /* the column's name; false: its camelCase form */
        std::uint16_t column = 0;
    };

    /*
     * `columns` are the target's columns that events may feed: those that the user writes by name, without
     * the order column (fed by the event's time) and without columns that PostgreSQL computes. `key` is the
     * index of the key column among them.
     */
    TargetMap(std::vector<Column> columns, std::uint16_t key, std::string_view time_key);
    TargetMap(const TargetMap &) = delete;
    TargetMap &operator=(const TargetMap &) = delete;

    const Source *find(std::string_view json_key) const noexcept;
    const std::vector<Column> &columns() const noexcept { return columns_; }
    std::uint16_t key_index() const noexcept { return key_; }
    const Column &key_column() const noexcept { return columns_[key_]; }

private:
    void add(std::string json_key, Source source);

    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>{}(s); }
    };

    std::vector<Column> columns_;
    std::uint16_t key_;
    std::unordered_map<std::string, Source, Hash, std::equal_to<>> sources_;
};

/* first_name -> firstName, trail_ -> trail; a leading underscore stays. */
std::string camel_case(std::string_view column_name);

} // namespace cxone_sync
