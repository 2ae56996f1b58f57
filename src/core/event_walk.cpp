#include "core/event_walk.h"

#include <algorithm>
#include <string>

namespace cxone_sync {

void EventWalk::begin()
{
    event_++;
    first_entry_ = ++entry_;
    frames_.clear();
    members_.clear();
    has_more_members_ = false;
    nuls_ = 0;
}

void EventWalk::key(std::string_view raw, std::string_view text, bool has_nul)
{
    Frame &frame = frames_.back();
    nuls_ += has_nul;
    frame.has_key_nul = has_nul;
    frame.next = frame.node ? frame.node->find(text) : nullptr;
    frame.raw_key = raw;
    frame.key = text;
}

void EventWalk::value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul)
{
    const Mapping::Node *node = next_node();
    nuls_ += has_nul;
    if (node && !node->children.empty())
        enter(*node);
    keep(node, {kind, has_nul, raw, text, event_});
}

void EventWalk::open(JsonKind kind)
{
    const Mapping::Node *node = next_node();
    if (node && (!node->children.empty() || !node->rooted.empty()))
        enter(*node);
    frames_.push_back({.node = node, .is_array = kind == JsonKind::array, .nuls = nuls_});
}

void EventWalk::close(JsonKind kind, std::string_view raw)
{
    const Mapping::Node *node = frames_.back().node;
    const bool has_nul = frames_.back().nuls != nuls_;
    frames_.pop_back();
    keep(node, {kind, has_nul, raw, raw, event_});
}

const Mapping::Node *EventWalk::next_node()
{
    if (frames_.empty())
        return mapping_ ? &mapping_->event() : nullptr;
    Frame &frame = frames_.back();
    if (!frame.is_array)
        return frame.next;
    const std::uint32_t index = frame.index++;
    return frame.node && !frame.node->children.empty() ? frame.node->find(std::to_string(index)) : nullptr;
}

void EventWalk::keep(const Mapping::Node *node, const Value &value)
{
    if (node && node->place != Mapping::no_place)
        values_[node->place] = value;
    if (frames_.empty() || frames_.back().is_array || !frames_.back().node)
        return;
    const Frame &object = frames_.back();
    /* others than the targets rooted here may take it as well, so their numbers say nothing */
    const auto takes = [node](std::uint16_t target) { return node && node->is_taken_by(target); };
    if (std::all_of(object.node->rooted.begin(), object.node->rooted.end(), takes))
        return;
    has_more_members_ |= members_.size() == max_members;
    if (!has_more_members_)
        members_.push_back({object.node, node, object.raw_key, object.key, value.raw,
                            entries_[object.node->number], value.has_nul || object.has_key_nul});
}

/* A key that comes once more replaces all that stood there, as in jsonb. */
void EventWalk::enter(const Mapping::Node &node)
{
    const bool is_first = entries_[node.number] < first_entry_;
    entries_[node.number] = ++entry_;
    if (!is_first)
        forget(node);
}

void EventWalk::forget(const Mapping::Node &node)
{
    for (const auto &[token, child] : node.children) {
        if (child->place != Mapping::no_place)
            values_[child->place].event = 0;
        if (entries_[child->number] >= first_entry_)
            entries_[child->number] = ++entry_;
        forget(*child);
    }
}

} // namespace cxone_sync
