#include "core/queue.h"

#include <algorithm>

namespace cxone_sync {

Queue::Queue(Counters &counters) : counters_(counters) {}

Queue::~Queue()
{
    close();
    counters_.queued_deliveries.store(0);
    counters_.queued_events.store(0);
}

bool Queue::push(std::unique_ptr<Delivery> &delivery, Ticket ticket)
{
    bool wanted;
    {
        const std::lock_guard lock(mutex_);
        if (closed_)
            return false;
        const std::size_t events = delivery->events.size();
        wanted = first_ == items_.size() || (events_ < wake_at_ && events_ + events >= wake_at_);
        items_.push_back({std::move(delivery), ticket});
        events_ += events;
        counters_.queued_deliveries.store(items_.size() - first_, std::memory_order_relaxed);
        counters_.queued_events.store(events_, std::memory_order_relaxed);
    }
    /* Otherwise the main thread has been woken for an earlier one that it has not taken yet. */
    if (wanted)
        event_.wake();
    return true;
}

void Queue::log(std::string_view what, std::string_view detail) noexcept
{
    try {
        std::string line(what);
        line += detail;
        const std::lock_guard lock(mutex_);
        if (log_.size() < 100)
            log_.push_back(std::move(line));
    } catch (...) {
        return;
    }
    event_.wake();
}

void Queue::wake_at(std::size_t events)
{
    const std::lock_guard lock(mutex_);
    wake_at_ = events;
}

void Queue::take(unsigned max_events, std::vector<QueuedDelivery> &batch)
{
    const std::lock_guard lock(mutex_);
    std::size_t taken = 0;
    while (first_ < items_.size()) {
        const std::size_t events = items_[first_].delivery->events.size();
        /* an unmapped delivery has no events yet, yet is not free */
        const std::size_t weight = std::max<std::size_t>(events, 1);
        if (taken > 0 && taken + weight > max_events)
            break;
        batch.push_back(std::move(items_[first_]));
        first_++;
        taken += weight;
        events_ -= events;
    }
    if (first_ == items_.size()) {
        items_.clear();
        first_ = 0;
    } else if (first_ > items_.size() / 2) {
        items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
    }
    counters_.queued_deliveries.store(items_.size() - first_, std::memory_order_relaxed);
    counters_.queued_events.store(events_, std::memory_order_relaxed);
}

std::vector<std::string> Queue::take_log()
{
    const std::lock_guard lock(mutex_);
    return std::exchange(log_, {});
}

void Queue::close()
{
    const std::lock_guard lock(mutex_);
    closed_ = true;
}

bool Queue::waiting(Timestamp &oldest, std::size_t &events)
{
    const std::lock_guard lock(mutex_);
    if (first_ == items_.size())
        return false;
    oldest = items_[first_].delivery->received;
    events = events_;
    return true;
}

} // namespace cxone_sync
