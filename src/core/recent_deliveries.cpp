#include "core/recent_deliveries.h"

#include <cerrno>
#include <cstring>

namespace cxone_sync {

/* A process that has died within may have left anything. */
class RecentDeliveries::Lock {
public:
    explicit Lock(RecentDeliveries &recent) noexcept : mutex_(recent.mutex_)
    {
        if (pthread_mutex_lock(&mutex_) != EOWNERDEAD)
            return;
        recent.forget_all();
        pthread_mutex_consistent(&mutex_);
    }
    ~Lock() { pthread_mutex_unlock(&mutex_); }
    Lock(const Lock &) = delete;
    Lock &operator=(const Lock &) = delete;

private:
    pthread_mutex_t &mutex_;
};

RecentDeliveries::RecentDeliveries() noexcept
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

RecentDeliveries::Seen RecentDeliveries::begin(const Key &key, int worker, Timestamp now,
                                               std::int64_t keep_us, DeliveryCounts &counts) noexcept
{
    const Lock lock(*this);

    forget_old(now, keep_us);
    if (const Entry *entry = find(key)) {
        counts = entry->counts;
        return entry->state == State::committed ? Seen::committed : Seen::under_way;
    }
    const std::uint32_t place = (first_ + count_++) % max_count;
    std::uint32_t &bucket = bucket_of(key);
    entries_[place] = {.key = key,
                       .began = now,
                       .counts = {},
                       .next = bucket,
                       .state = State::under_way,
                       .worker = static_cast<std::uint8_t>(worker)};
    bucket = place + 1;
    return Seen::no;
}

void RecentDeliveries::end(const Key &key, bool committed, const DeliveryCounts &counts) noexcept
{
    const Lock lock(*this);
    Entry *entry = find(key);

    if (!entry)
        return;
    if (!committed) {
        forget(*entry);
        return;
    }
    entry->state = State::committed;
    entry->counts = counts;
}

void RecentDeliveries::end_all_of(int worker) noexcept
{
    const Lock lock(*this);

    for (std::uint32_t i = 0; i < count_; i++) {
        Entry &entry = entries_[(first_ + i) % max_count];
        if (entry.state == State::under_way && entry.worker == worker)
            forget(entry);
    }
}

void RecentDeliveries::forget_committed() noexcept
{
    const Lock lock(*this);

    for (std::uint32_t i = 0; i < count_; i++) {
        Entry &entry = entries_[(first_ + i) % max_count];
        if (entry.state == State::committed)
            forget(entry);
    }
}

std::uint32_t RecentDeliveries::size() noexcept
{
    const Lock lock(*this);
    std::uint32_t size = 0;

    for (std::uint32_t i = 0; i < count_; i++)
        size += entries_[(first_ + i) % max_count].state != State::forgotten;
    return size;
}

/* A key is a digest, so any part of it is as good as a hash. */
std::uint32_t &RecentDeliveries::bucket_of(const Key &key) noexcept
{
    std::uint32_t hash;

    std::memcpy(&hash, key.data(), sizeof(hash));
    return buckets_[hash % bucket_count];
}

RecentDeliveries::Entry *RecentDeliveries::find(const Key &key) noexcept
{
    for (std::uint32_t next = bucket_of(key); next != 0; next = entries_[next - 1].next) {
        if (entries_[next - 1].key == key)
            return &entries_[next - 1];
    }
    return nullptr;
}

/* Its place in the ring is free when it is the oldest. */
void RecentDeliveries::forget(Entry &entry) noexcept
{
    std::uint32_t *link = &bucket_of(entry.key);

    while (&entries_[*link - 1] != &entry)
        link = &entries_[*link - 1].next;
    *link = entry.next;
    entry.state = State::forgotten;
}

void RecentDeliveries::forget_old(Timestamp now, std::int64_t keep_us) noexcept
{
    while (count_ > 0 && (entries_[first_].began < now - keep_us || count_ == max_count)) {
        if (entries_[first_].state != State::forgotten)
            forget(entries_[first_]);
        first_ = (first_ + 1) % max_count;
        count_--;
    }
}

void RecentDeliveries::forget_all() noexcept
{
    std::memset(buckets_, 0, sizeof(buckets_));
    first_ = count_ = 0;
}

} // namespace cxone_sync
