#pragma once

#include "core/pure_room.h"

#include <atomic>
#include <cstdint>
#include <utility>

namespace cxone_sync {

/* How many bytes all requests together may hold, from their first body byte to their reply. Thread-safe. */
class MemoryBudget {
public:
    explicit MemoryBudget(std::atomic<std::uint64_t> &used) noexcept : used_(used) {}

    void set_limit(std::uint64_t bytes) noexcept { limit_.store(bytes, std::memory_order_relaxed); }

    bool take(std::uint64_t bytes) noexcept
    {
        if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <=
            limit_.load(std::memory_order_relaxed))
            return true;
        give_back(bytes);
        return false;
    }

    void give_back(std::uint64_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }

    std::uint64_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> &used_; /* the gauge that sync_status shows */
    std::atomic<std::uint64_t> limit_{0};
};

/* What one request has taken; given back when it goes. */
class MemoryShare {
public:
    MemoryShare() noexcept = default;
    explicit MemoryShare(MemoryBudget &budget) noexcept : budget_(&budget) {}
    MemoryShare(MemoryShare &&other) noexcept { *this = std::move(other); }
    MemoryShare &operator=(MemoryShare &&other) noexcept
    {
        std::swap(budget_, other.budget_);
        std::swap(taken_, other.taken_);
        return *this;
    }
    ~MemoryShare() { reset(); }

    /* Makes the share `bytes` large; false, and unchanged, if the budget has no room. Never shrinks. */
    bool grow_to(std::uint64_t bytes) noexcept
    {
        if (!budget_ || bytes <= taken_)
            return true;
        if (!budget_->take(bytes - taken_))
            return false;
        taken_ = bytes;
        return true;
    }

    std::uint64_t size() const noexcept { return taken_; }

    /* False if not even an empty budget had room for a share that large. */
    bool could_hold(std::uint64_t bytes) const noexcept { return !budget_ || bytes <= budget_->limit(); }

    void reset() noexcept
    {
        if (budget_)
            budget_->give_back(taken_);
        taken_ = 0;
    }

private:
    MemoryBudget *budget_ = nullptr;
    std::uint64_t taken_ = 0;
};

} // namespace cxone_sync
