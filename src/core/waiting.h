#pragma once

#include "core/queue.h"

#include <algorithm>
#include <cstdint>
#include <map>
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
 * The deliveries that were taken from the queue and have to be tried again, in the order of arrival: they
 * wait for locks that others hold, or there was no time to try them. They count as queued still, but have
 * bounds of their own, so that others have room beside them. For the main thread.
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

    /* With give_up_at it waits for a lock, else it is untried. */
    void push(QueuedDelivery &&queued);
    bool has_untried() const noexcept { return untried_ > 0; }
    /* Moves those that are untried to the end of `batch`, as many as it has room for. */
    void take_untried(BatchRoom &room, std::vector<QueuedDelivery> &batch);
    /*
     * In a round all that wait for locks have their turn once. take() moves those whose turn it is to the end
     * of `batch`, as many as have `max_events`, and begins a new round if the last one is over. What goes on
     * waiting is pushed again; has_turn() if it was not tried, so that its turn is the next.
     */
    void take(unsigned max_events, std::vector<QueuedDelivery> &batch);
    void has_turn(std::uint64_t number) noexcept { next_ = std::min(next_, number); }
    bool round_is_over() const noexcept { return next_ == UINT64_MAX; }
    void take_all(std::vector<QueuedDelivery> &batch);
    /* Adds the keys of those that arrived from this number on, and before the other one. */
    void add_keys(DeliveryKeys &keys, std::uint64_t from, std::uint64_t before) const;
    /* Of those that wait for a lock that is not to be seen before it is met. */
    std::set<std::uint32_t> tables_with_hidden_locks() const;

private:
    using Deliveries = std::map<std::uint64_t, QueuedDelivery>; /* by the order of arrival */

    Deliveries::iterator move(Deliveries::iterator next, std::vector<QueuedDelivery> &batch);
    void show() noexcept;

    Gauges &gauges_;
    Deliveries deliveries_;
    std::size_t untried_ = 0;
    std::uint64_t next_ = UINT64_MAX; /* the lowest number whose turn has not come in this round */
    std::uint64_t events_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t max_events_ = UINT64_MAX;
    std::uint64_t max_bytes_ = UINT64_MAX;
};

} // namespace cxone_sync
