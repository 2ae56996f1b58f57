#include "core/recent_deliveries.h"

#include <cstring>

namespace cxone_sync {

/* A key is a digest, so any part of it is as good as a hash. */
std::size_t RecentDeliveries::Hash::operator()(const Key &key) const noexcept
{
    std::size_t hash;
    std::memcpy(&hash, key.data(), sizeof(hash));
    return hash;
}

RecentDeliveries::Seen RecentDeliveries::begin(const Key &key, Timestamp now, std::int64_t keep_us,
                                               DeliveryCounts &counts)
{
    const std::lock_guard lock(mutex_);

    forget_old(now, keep_us);
    const auto [place, is_new] =
        entries_.try_emplace(key, Entry{.began = now, .is_committed = false, .counts = {}});
    if (!is_new) {
        counts = place->second.counts;
        return place->second.is_committed ? Seen::committed : Seen::under_way;
    }
    try {
        order_.emplace_back(now, key);
    } catch (...) {
        entries_.erase(place);
        throw;
    }
    return Seen::no;
}

void RecentDeliveries::end(const Key &key, bool committed, const DeliveryCounts &counts) noexcept
{
    const std::lock_guard lock(mutex_);
    const auto place = entries_.find(key);

    if (place == entries_.end())
        return;
    if (!committed) {
        entries_.erase(place);
        return;
    }
    place->second.is_committed = true;
    place->second.counts = counts;
}

void RecentDeliveries::forget_old(Timestamp now, std::int64_t keep_us)
{
    while (!order_.empty() && (order_.front().first < now - keep_us || order_.size() >= max_count)) {
        /* it may have been sent back, and have begun once more since */
        const auto place = entries_.find(order_.front().second);
        if (place != entries_.end() && place->second.began == order_.front().first)
            entries_.erase(place);
        order_.pop_front();
    }
}

std::size_t RecentDeliveries::size() const
{
    const std::lock_guard lock(mutex_);
    return entries_.size();
}

} // namespace cxone_sync
