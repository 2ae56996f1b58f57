#pragma once

#include "core/delivery.h"
#include "core/event_fd.h"
#include "core/statistics.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* Names the connection that waits for an answer; only http/ looks inside. */
using Ticket = std::uint64_t;

struct QueuedDelivery {
    std::unique_ptr<Delivery> delivery;
    Ticket ticket = 0;
    std::uint64_t number = 0; /* by the order of arrival */
    Timestamp give_up_at = 0; /* until then it is tried again, as others hold a lock; 0: it has met none */
};

/* How much a batch may take: whole deliveries, that have `max_events` together, but at least one. */
class BatchRoom {
public:
    explicit BatchRoom(unsigned max_events) noexcept : left_(max_events) {}
    /* Whether this one is the next of the batch. */
    bool take(const Delivery &delivery) noexcept;
    unsigned left() const noexcept { return static_cast<unsigned>(left_); }

private:
    std::size_t left_;
    bool is_empty_ = true;
};

/* What became of a delivery: committed and counted, or to be sent again. */
struct Answer {
    Ticket ticket = 0;
    bool committed = false;
    DeliveryCounts counts;
};

enum class LogLevel : std::uint8_t { log, debug };

struct LogLine {
    LogLevel level;
    std::string text;
};

/*
 * The one way from the network threads to the main thread: deliveries to write and lines to log. The bytes in
 * it are bounded by the MemoryBudget that each delivery has taken its share of.
 */
class Queue {
public:
    /* Makes the eventfd that wakes the main thread; throws std::system_error. */
    explicit Queue(Gauges &gauges);
    ~Queue();
    Queue(const Queue &) = delete;
    Queue &operator=(const Queue &) = delete;

    /* For the network threads. */

    /*
     * Unless it is done `delivery` is untouched. One that has more events than may wait fits into an empty
     * queue.
     */
    enum class Push : std::uint8_t { done, full, closed };
    Push push(std::unique_ptr<Delivery> &delivery, Ticket ticket);
    /*
     * One line, of both texts. Dropped if the main thread is a hundred lines behind, or for want of memory.
     */
    void log(std::string_view what, std::string_view detail = {}, LogLevel level = LogLevel::log) noexcept;
    /* Makes the main thread look at what is there. */
    void wake() noexcept { event_.wake(); }

    /* For the main thread. */

    int event_fd() const noexcept { return event_.fd(); }
    /*
     * Most events that may wait, those that wait for locks (waiting.h) included, and how long the oldest may
     * have waited when another one comes.
     */
    void set_bounds(std::size_t max_events, std::int64_t max_wait_us);
    /* Also wake the main thread when this many events wait; it is always woken for the first one. */
    void wake_at(std::size_t events);
    void clear_event() noexcept { event_.clear(); }
    /*
     * Waits until so many deliveries are inside, or as many events as for wake_at(), but no longer than that;
     * true if they are.
     */
    bool gather(std::size_t deliveries, std::int64_t wait_us);
    /* Moves the oldest deliveries to the end of `batch`: whole ones, up to `max_events`, but at least one. */
    void take(unsigned max_events, std::vector<QueuedDelivery> &batch);
    std::vector<LogLine> take_log();
    /* No delivery is accepted any more; those inside can still be taken. */
    void close();
    /* The arrival of the oldest delivery inside, and how many events wait; false if none. */
    bool waiting(Timestamp &oldest, std::size_t &events);

private:
    void show() noexcept;
    bool has_gathered() const noexcept { return items_.size() - first_ >= gather_ || events_ >= wake_at_; }

    Gauges &gauges_;
    EventFd event_;
    std::mutex mutex_;
    std::condition_variable gathered_;
    std::size_t gather_ = SIZE_MAX;     /* while gather() waits: for so many deliveries */
    std::vector<QueuedDelivery> items_; /* oldest first, from first_ */
    std::size_t first_ = 0;
    std::size_t events_ = 0;
    std::uint64_t last_number_ = 0;
    std::size_t max_events_ = SIZE_MAX;
    std::int64_t max_wait_us_ = INT64_MAX;
    std::size_t wake_at_ = SIZE_MAX;
    std::vector<LogLine> log_;
    bool closed_ = false;
};

} // namespace cxone_sync
