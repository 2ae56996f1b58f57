#pragma once

#include "core/delivery.h"
#include "core/timestamp.h"

#include <cstdint>
#include <deque>
#include <mutex>
#include <unordered_map>

namespace cxone_sync {

/*
 * What became of deliveries that name themselves, so that one that is replayed gets the first one's answer
 * and writes nothing. Bounded in time and number; one that is not remembered is written once more, which
 * changes nothing, as an event's own time decides. Thread-safe.
 */
class RecentDeliveries {
public:
    using Key = Digest;
    static constexpr std::size_t max_count = 100'000;

    enum class Seen : std::uint8_t {
        no, /* and now it is under way */
        under_way,
        committed /* with these counts */
    };

    /* `keep_us`: for how long a delivery is remembered. Throws std::bad_alloc. */
    Seen begin(const Key &key, Timestamp now, std::int64_t keep_us, DeliveryCounts &counts);
    /* The end of one under way. If it was not committed the next try counts as the first. */
    void end(const Key &key, bool committed, const DeliveryCounts &counts) noexcept;
    std::size_t size() const;

private:
    struct Entry {
        Timestamp began = 0;
        bool is_committed = false;
        DeliveryCounts counts;
    };
    struct Hash {
        std::size_t operator()(const Key &key) const noexcept;
    };

    void forget_old(Timestamp now, std::int64_t keep_us);

    mutable std::mutex mutex_;
    std::unordered_map<Key, Entry, Hash> entries_;
    std::deque<std::pair<Timestamp, Key>> order_; /* oldest first; some have been forgotten already */
};

} // namespace cxone_sync
