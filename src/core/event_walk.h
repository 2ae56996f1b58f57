#pragma once

#include "core/json_text.h"
#include "core/mapping.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace cxone_sync {

/*
 * Follows the tokens of one event along the tree of paths and keeps what stands at its places. Views point
 * into the delivery: its body or its arena.
 */
class EventWalk {
public:
    struct Value {
        JsonKind kind = JsonKind::null;
        bool has_nul = false;  /* some text in it is none of PostgreSQL's (json_text.h) */
        std::string_view raw;  /* JSON text */
        std::string_view text; /* the decoded string, or raw */
        std::uint64_t event = 0;
    };

    static constexpr std::size_t max_members = 10'000;

    /* A member of a target's root object that not every target there is sure to take. */
    struct Member {
        const Mapping::Node *object;
        const Mapping::Node *node; /* null: no path leads to it or on from it */
        std::string_view raw_key;
        std::string_view key;
        std::string_view raw;
        std::uint64_t entry; /* of the object */
        bool has_nul;        /* in its key or its value */
    };

    explicit EventWalk(const Mapping *mapping) : mapping_(mapping)
    {
        values_.resize(mapping ? mapping->place_count() : 0);
        entries_.resize(mapping ? mapping->node_count() : 0);
    }

    void begin();
    void key(std::string_view raw, std::string_view text, bool has_nul);
    void value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul);
    void open(JsonKind kind);
    void close(JsonKind kind, std::string_view raw);

    /* What stands there in this event; null if nothing does. */
    const Value *at(std::uint32_t place) const noexcept
    {
        return place != Mapping::no_place && values_[place].event == event_ ? &values_[place] : nullptr;
    }
    /* At most max_members. */
    const std::vector<Member> &members() const noexcept { return members_; }
    bool has_more_members() const noexcept { return has_more_members_; }
    /* Its object has come once more in the event, which replaces all of it. */
    bool is_replaced(const Member &member) const noexcept
    {
        return member.entry != entries_[member.object->number];
    }

private:
    struct Frame {
        const Mapping::Node *node;
        bool is_array;
        std::uint32_t nuls;                  /* seen in the event before it */
        std::uint32_t index = 0;             /* of the array's next element */
        bool has_key_nul = false;            /* the object's last key */
        const Mapping::Node *next = nullptr; /* where the object's last key leads */
        std::string_view raw_key{};
        std::string_view key{};
    };

    const Mapping::Node *next_node();
    void enter(const Mapping::Node &node);
    void keep(const Mapping::Node *node, const Value &value);
    void forget(const Mapping::Node &node);

    const Mapping *mapping_;
    std::vector<Value> values_; /* by place; of this event if their number is event_ */
    std::uint64_t event_ = 0;
    std::uint64_t entry_ = 0;            /* counts those of all events */
    std::uint64_t first_entry_ = 0;      /* of this event */
    std::vector<std::uint64_t> entries_; /* by node: the last one */
    std::vector<Frame> frames_;
    std::vector<Member> members_;
    bool has_more_members_ = false;
    std::uint32_t nuls_ = 0; /* texts of the event with has_nul, keys and values */
};

} // namespace cxone_sync
