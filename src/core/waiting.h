#pragma once

#include "core/queue.h"

#include <cstdint>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace cxone_sync {

/* Whose rows deliveries are about. The deliveries have to stay while it is used. */
class DeliveryKeys {
public:
    void add(const Delivery &delivery);
    /* True if the delivery has an event for one of these rows, or one that may be for one of them. */
    bool concern(const Delivery &delivery) const;

private:
    using Key = std::pair<std::uint32_t, std::string_view>; /* the table; empty: not known */

    static Key key_of(const Delivery &delivery, const Event &event);
    bool concern(const Key &key) const;

    std::set<Key> keys_;
};

/*
 * The deliveries that were taken from the queue and wait for locks that others hold, in the order of arrival.
 * They count as queued still, but have bounds of their own, so that others have room beside them. For the
 * main thread.
 */
class Waiting {
public:
    explicit Waiting(Gauges &gauges) noexcept : gauges_(gauges) {}

    /* Most events, and most memory of the deliveries, that may wait. */
    void set_bounds(std::uint64_t max_events, std::uint64_t max_bytes) noexcept;
    /* A single one always has room. */
    bool has_room_for(const Delivery &delivery) const noexcept;

    bool empty() const noexcept { return deliveries_.empty(); }
    std::size_t size() const noexcept { return deliveries_.size(); }
    /* The first arrival; 0: none. */
    Timestamp oldest() const noexcept;

    void push(QueuedDelivery &&queued);
    /*
     * In a round each delivery is tried once. take() moves a batch of those that are not tried yet to the end
     * of `batch`, by batch_length(); the ones that go on waiting are pushed again, behind all others, so that
     * they keep their order. The first untried() are left.
     */
    void begin_round() noexcept { untried_ = deliveries_.size(); }
    std::size_t untried() const noexcept { return untried_; }
    void take(unsigned max_events, std::vector<QueuedDelivery> &batch);
    void take_all(std::vector<QueuedDelivery> &batch);
    /* Of the deliveries from this one on. */
    DeliveryKeys keys_from(std::size_t first) const;

private:
    void move(std::size_t count, std::vector<QueuedDelivery> &batch);

    Gauges &gauges_;
    std::vector<QueuedDelivery> deliveries_;
    std::size_t untried_ = 0;
    std::uint64_t events_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t max_events_ = UINT64_MAX;
    std::uint64_t max_bytes_ = UINT64_MAX;
};

} // namespace cxone_sync
