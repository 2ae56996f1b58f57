#pragma once

#include "core/delivery.h"
#include "core/timestamp.h"

#include <cstdint>
#include <pthread.h>

namespace cxone_sync {

/*
 * What became of deliveries that name themselves, so that one that is replayed gets the first one's answer
 * and writes nothing. Bounded in time and number; one that is not remembered is written once more, which
 * changes nothing, as an event's own time decides. Thread-safe, and for shared memory: all workers have one.
 */
class RecentDeliveries {
public:
    using Key = Digest;
    static constexpr std::uint32_t max_count = 100'000;

    RecentDeliveries() noexcept;

    enum class Seen : std::uint8_t {
        no, /* and now it is under way */
        under_way,
        committed /* with these counts */
    };

    /* `keep_us`: for how long a delivery is remembered; `worker`: the number of the worker that has it. */
    Seen begin(const Key &key, int worker, Timestamp now, std::int64_t keep_us,
               DeliveryCounts &counts) noexcept;
    /*
     * The end of one under way; each has to have one. If it was not committed the next try counts as the
     * first.
     */
    void end(const Key &key, bool committed, const DeliveryCounts &counts) noexcept;
    /* The worker has ended: none that is under way has another end. Goes through all of them. */
    void end_all_of(int worker) noexcept;
    /* They are written again when they are sent again. Goes through all of them. */
    void forget_committed() noexcept;
    /* Goes through all of them. */
    std::uint32_t size() noexcept;

private:
    enum class State : std::uint8_t { forgotten, under_way, committed };
    struct Entry {
        Key key;
        Timestamp began;
        DeliveryCounts counts;
        std::uint32_t next; /* of its bucket: place + 1, 0 = none; so are the buckets */
        State state;
        std::uint8_t worker;
    };
    static constexpr std::uint32_t bucket_count = 1 << 17;

    class Lock;

    std::uint32_t &bucket_of(const Key &key) noexcept;
    Entry *find(const Key &key) noexcept;
    void forget(Entry &entry) noexcept;
    void forget_old(Timestamp now, std::int64_t keep_us) noexcept;
    void forget_all() noexcept;

    pthread_mutex_t mutex_;
    std::uint32_t first_ = 0; /* in entries_, a ring: the oldest */
    std::uint32_t count_ = 0; /* with forgotten ones */
    std::uint32_t buckets_[bucket_count] = {};
    Entry entries_[max_count];
};

} // namespace cxone_sync
