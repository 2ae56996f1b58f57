#include "core/mapping.h"

#include "core/json_pointer.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace cxone_sync {

namespace {

bool contains(const std::vector<std::string> &list, std::string_view text) noexcept
{
    return std::find(list.begin(), list.end(), text) != list.end();
}

} // namespace

std::string camel_case(std::string_view column_name)
{
    std::string camel;
    bool raise = false;
    for (char c : column_name) {
        if (c == '_' && !camel.empty()) {
            raise = true;
            continue;
        }
        camel += raise && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        raise = false;
    }
    return camel;
}

bool Mapping::Node::is_wanted_by(std::uint16_t target) const noexcept
{
    return std::find(wanted_by.begin(), wanted_by.end(), target) != wanted_by.end();
}

bool Mapping::Node::is_taken_by(std::uint16_t target) const noexcept
{
    return std::find(taken_by.begin(), taken_by.end(), target) != taken_by.end();
}

bool Mapping::Target::names(std::string_view type) const noexcept
{
    return contains(types, type) || contains(delete_types, type);
}

bool Mapping::Target::deletes(std::string_view type) const noexcept
{
    return contains(delete_types, type);
}

Mapping::Mapping(std::vector<TargetSpec> specs)
{
    targets_.reserve(specs.size());
    for (TargetSpec &spec : specs)
        targets_.push_back({std::move(spec)});
    for (std::size_t i = 0; i < targets_.size(); i++) {
        Target &target = targets_[i];
        const auto index = static_cast<std::uint16_t>(i);
        for (const std::uint16_t key : target.keys) {
            if (key >= target.columns.size())
                throw std::invalid_argument("a key column is not among the target's columns");
        }
        if (!target.types.empty() || !target.delete_types.empty())
            target.type_place = place_at(target.type_path);
        if (!target.is_usable)
            continue;
        Node &root = node_at(target.root);
        root.rooted.push_back(index);
        target.root_node = &root;
        place_columns(index, target);
        for (const std::string &path : target.time_paths)
            add_choice(index, path, target.time_places);
    }
}

Mapping::Node &Mapping::node_at(std::string_view pointer)
{
    const auto tokens = parse_json_pointer(pointer);
    if (!tokens)
        throw std::invalid_argument("\"" + std::string(pointer) + "\" is no JSON pointer");
    Node *node = &event_;
    for (const std::string &token : *tokens) {
        std::unique_ptr<Node> &child = node->children[token];
        if (!child) {
            child = std::make_unique<Node>();
            child->number = node_count_++;
        }
        node = child.get();
    }
    return *node;
}

std::uint32_t Mapping::place_at(std::string_view pointer)
{
    Node &node = node_at(pointer);
    if (node.place == no_place) {
        node.place = static_cast<std::uint32_t>(paths_.size());
        paths_.emplace_back(pointer);
    }
    return node.place;
}

/* Only the first choice is sure to be taken. */
void Mapping::add_choice(std::uint16_t target, std::string_view pointer, std::vector<std::uint32_t> &places)
{
    places.push_back(place_at(pointer));
    Node &node = node_at(pointer);
    if (!node.is_wanted_by(target))
        node.wanted_by.push_back(target);
    if (places.size() == 1 && !node.is_taken_by(target))
        node.taken_by.push_back(target);
}

/*
 * Without paths of its own a column takes the key that is its name, else that of its camelCase form, unless
 * the key feeds another column already: other columns' own names come first, then camelCase forms of columns
 * that come earlier. The event's time may be read from what feeds a column.
 */
void Mapping::place_columns(std::uint16_t index, Target &target)
{
    const auto key_of = [&target](std::string_view name) { return json_pointer_to(target.root, name); };
    std::set<std::string> given;

    target.column_places.resize(target.columns.size());
    const auto give = [&](std::size_t column, std::string key) {
        if (given.insert(key).second)
            add_choice(index, key, target.column_places[column]);
    };
    for (const bool exact : {true, false}) {
        for (std::size_t i = 0; i < target.columns.size(); i++) {
            const Column &column = target.columns[i];
            if (column.from_events && column.paths.empty())
                give(i, key_of(exact ? column.name : camel_case(column.name)));
        }
    }
    for (std::size_t i = 0; i < target.columns.size(); i++) {
        for (const std::string &path : target.columns[i].paths)
            add_choice(index, path, target.column_places[i]);
    }
}

} // namespace cxone_sync
