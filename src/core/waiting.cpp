#include "core/waiting.h"

#include <algorithm>

namespace cxone_sync {

namespace {

/* An event that is refused already has none. */
bool has_row(const Event &event) noexcept
{
    return event.refusal.sqlstate == nullptr && event.target != Event::no_target;
}

} // namespace

void DeliveryKeys::add(const Delivery &delivery)
{
    for (const Event &event : delivery.events) {
        if (has_row(event))
            keys_.insert(key_of(delivery, event));
    }
}

bool DeliveryKeys::concern(const Delivery &delivery) const
{
    return std::any_of(delivery.events.begin(), delivery.events.end(), [this, &delivery](const Event &event) {
        return has_row(event) && concern(key_of(delivery, event));
    });
}

/* A key that is not known, as where the table could not be looked at, may be any. */
bool DeliveryKeys::concern(const Key &key) const
{
    const auto first = keys_.lower_bound({key.first, std::string_view()});

    if (first == keys_.end() || first->first != key.first)
        return false;
    return key.second.empty() || first->second.empty() || keys_.contains(key);
}

DeliveryKeys::Key DeliveryKeys::key_of(const Delivery &delivery, const Event &event)
{
    return {delivery.mapping->targets()[event.target].table, event.key};
}

void Waiting::set_bounds(std::uint64_t max_events, std::uint64_t max_bytes) noexcept
{
    max_events_ = max_events;
    max_bytes_ = max_bytes;
}

bool Waiting::has_room_for(const Delivery &delivery) const noexcept
{
    return empty() ||
           (events_ + delivery.events.size() <= max_events_ && bytes_ + delivery.memory.size() <= max_bytes_);
}

Timestamp Waiting::oldest() const noexcept
{
    Timestamp oldest = 0;

    for (const auto &[number, queued] : deliveries_) {
        if (oldest == 0 || queued.delivery->received < oldest)
            oldest = queued.delivery->received;
    }
    return oldest;
}

void Waiting::push(QueuedDelivery &&queued)
{
    events_ += queued.delivery->events.size();
    bytes_ += queued.delivery->memory.size();
    untried_ += queued.give_up_at == 0;
    deliveries_.emplace(queued.number, std::move(queued));
    show();
}

void Waiting::take_untried(BatchRoom &room, std::vector<QueuedDelivery> &batch)
{
    for (auto next = deliveries_.begin(); untried_ > 0 && next != deliveries_.end();) {
        if (next->second.give_up_at != 0)
            ++next;
        else if (room.take(*next->second.delivery))
            next = move(next, batch);
        else
            break;
    }
    show();
}

void Waiting::take(unsigned max_events, std::vector<QueuedDelivery> &batch)
{
    BatchRoom room(max_events);
    auto next = deliveries_.lower_bound(round_is_over() ? 0 : next_);

    while (next != deliveries_.end()) {
        if (next->second.give_up_at == 0)
            ++next;
        else if (room.take(*next->second.delivery))
            next = move(next, batch);
        else
            break;
    }
    next_ = next != deliveries_.end() ? next->first : UINT64_MAX;
    show();
}

void Waiting::take_all(std::vector<QueuedDelivery> &batch)
{
    for (auto next = deliveries_.begin(); next != deliveries_.end();)
        next = move(next, batch);
    show();
}

void Waiting::add_keys(DeliveryKeys &keys, std::uint64_t from, std::uint64_t before) const
{
    const auto end = deliveries_.lower_bound(before);

    for (auto next = deliveries_.lower_bound(from); next != end; ++next)
        keys.add(*next->second.delivery);
}

std::set<std::uint32_t> Waiting::tables_with_hidden_locks() const
{
    std::set<std::uint32_t> tables;

    for (const auto &[number, queued] : deliveries_) {
        if (queued.delivery->needs_hidden_lock)
            tables.merge(queued.delivery->tables());
    }
    return tables;
}

Waiting::Deliveries::iterator Waiting::move(Deliveries::iterator next, std::vector<QueuedDelivery> &batch)
{
    events_ -= next->second.delivery->events.size();
    bytes_ -= next->second.delivery->memory.size();
    untried_ -= next->second.give_up_at == 0;
    batch.push_back(std::move(next->second));
    return deliveries_.erase(next);
}

void Waiting::show() noexcept
{
    gauges_.waiting_deliveries.store(deliveries_.size(), std::memory_order_relaxed);
    gauges_.waiting_events.store(events_, std::memory_order_relaxed);
}

} // namespace cxone_sync
