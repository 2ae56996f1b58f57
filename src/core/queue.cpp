#include "core/queue.h"

#include <algorithm>
#include <chrono>

namespace cxone_sync {

Queue::Queue(Gauges &gauges) : gauges_(gauges) {}

Queue::~Queue()
{
    close();
    items_.clear();
    first_ = events_ = 0;
    show();
}

/* Under the lock. */
void Queue::show() noexcept
{
    const bool is_empty = first_ == items_.size();

    gauges_.queued_deliveries.store(items_.size() - first_, std::memory_order_relaxed);
    gauges_.queued_events.store(events_, std::memory_order_relaxed);
    gauges_.oldest_queued.store(is_empty ? 0 : items_[first_].delivery->received, std::memory_order_relaxed);
}

Queue::Push Queue::push(std::unique_ptr<Delivery> &delivery, Ticket ticket)
{
    bool wanted;
    bool gathered;
    {
        const std::lock_guard lock(mutex_);
        if (closed_)
            return Push::closed;
        const bool is_empty = first_ == items_.size();
        const std::size_t events = delivery->events.size();
        const std::size_t waiting = gauges_.waiting_events.load(std::memory_order_relaxed);
        if (!is_empty && (events_ + waiting + events > max_events_ ||
                          delivery->received - items_[first_].delivery->received > max_wait_us_))
            return Push::full;
        wanted = is_empty || (events_ < wake_at_ && events_ + events >= wake_at_);
        items_.push_back({std::move(delivery), ticket, ++last_number_});
        events_ += events;
        gathered = has_gathered();
        show();
    }
    if (gathered)
        gathered_.notify_one();
    /* Otherwise the main thread has been woken for an earlier one that it has not taken yet. */
    if (wanted)
        event_.wake();
    return Push::done;
}

void Queue::log(std::string_view what, std::string_view detail, LogLevel level) noexcept
{
    try {
        std::string line(what);
        line += detail;
        const std::lock_guard lock(mutex_);
        if (log_.size() < 100)
            log_.push_back({level, std::move(line)});
    } catch (...) {
        return;
    }
    event_.wake();
}

void Queue::set_bounds(std::size_t max_events, std::int64_t max_wait_us)
{
    const std::lock_guard lock(mutex_);
    max_events_ = max_events;
    max_wait_us_ = max_wait_us;
}

void Queue::wake_at(std::size_t events)
{
    const std::lock_guard lock(mutex_);
    wake_at_ = events;
}

bool Queue::gather(std::size_t deliveries, std::int64_t wait_us)
{
    std::unique_lock lock(mutex_);
    gather_ = deliveries;
    const bool done =
        gathered_.wait_for(lock, std::chrono::microseconds(wait_us), [this] { return has_gathered(); });
    gather_ = SIZE_MAX;
    return done;
}

bool BatchRoom::take(const Delivery &delivery) noexcept
{
    /* an unmapped delivery has no events yet, yet is not free */
    const std::size_t events = std::max<std::size_t>(delivery.events.size(), 1);
    if (!is_empty_ && events > left_)
        return false;
    is_empty_ = false;
    left_ -= std::min(events, left_);
    return true;
}

void Queue::take(unsigned max_events, std::vector<QueuedDelivery> &batch)
{
    const std::lock_guard lock(mutex_);
    BatchRoom room(max_events);
    for (; first_ < items_.size() && room.take(*items_[first_].delivery); first_++) {
        events_ -= items_[first_].delivery->events.size();
        batch.push_back(std::move(items_[first_]));
    }
    if (first_ == items_.size()) {
        items_.clear();
        first_ = 0;
    } else if (first_ > items_.size() / 2) {
        items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
    }
    show();
}

std::vector<LogLine> Queue::take_log()
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
