#include "core/waiting.h"

#include <algorithm>
#include <iterator>

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

    for (const QueuedDelivery &queued : deliveries_) {
        if (oldest == 0 || queued.delivery->received < oldest)
            oldest = queued.delivery->received;
    }
    return oldest;
}

void Waiting::push(QueuedDelivery &&queued)
{
    deliveries_.push_back(std::move(queued));
    const Delivery &delivery = *deliveries_.back().delivery;
    events_ += delivery.events.size();
    bytes_ += delivery.memory.size();
    gauges_.waiting_deliveries.store(deliveries_.size(), std::memory_order_relaxed);
    gauges_.waiting_events.store(events_, std::memory_order_relaxed);
}

void Waiting::take(unsigned max_events, std::vector<QueuedDelivery> &batch)
{
    const std::size_t length = batch_length(std::span(deliveries_).first(untried_), max_events);

    move(length, batch);
    untried_ -= length;
}

void Waiting::take_all(std::vector<QueuedDelivery> &batch)
{
    move(deliveries_.size(), batch);
    untried_ = 0;
}

DeliveryKeys Waiting::keys_from(std::size_t first) const
{
    DeliveryKeys keys;

    for (std::size_t i = first; i < deliveries_.size(); i++)
        keys.add(*deliveries_[i].delivery);
    return keys;
}

void Waiting::move(std::size_t count, std::vector<QueuedDelivery> &batch)
{
    const auto end = deliveries_.begin() + static_cast<std::ptrdiff_t>(count);

    batch.reserve(batch.size() + count);
    for (auto queued = deliveries_.begin(); queued != end; ++queued) {
        events_ -= queued->delivery->events.size();
        bytes_ -= queued->delivery->memory.size();
        batch.push_back(std::move(*queued));
    }
    deliveries_.erase(deliveries_.begin(), end);
    gauges_.waiting_deliveries.store(deliveries_.size(), std::memory_order_relaxed);
    gauges_.waiting_events.store(events_, std::memory_order_relaxed);
}

} // namespace cxone_sync
