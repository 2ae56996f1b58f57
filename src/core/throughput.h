#pragma once

#include "core/timestamp.h"

#include <array>
#include <atomic>
#include <cstdint>

namespace cxone_sync {

/* How many events were committed in each ten seconds of the last quarter of an hour. One process counts. */
class Throughput {
public:
    static constexpr int slot_count = 90;
    static constexpr std::int64_t slot_us = 10 * us_per_second;
    using Sums = std::array<std::uint64_t, slot_count>; /* oldest first */

    void count(std::uint64_t events, Timestamp at) noexcept
    {
        const std::int64_t number = at / slot_us;
        Slot &slot = slot_of(number);

        if (slot.number.load(std::memory_order_relaxed) != number) {
            slot.number.store(0, std::memory_order_relaxed);
            slot.events.store(0, std::memory_order_release);
            slot.number.store(number, std::memory_order_release);
        }
        slot.events.fetch_add(events, std::memory_order_release);
    }

    /* Adds to each of the sums what was counted then; the last one is the slot that `at` is in. */
    void add_to(Sums &sums, Timestamp at) const noexcept
    {
        const std::int64_t last = at / slot_us;

        for (int i = 0; i < slot_count; i++) {
            const std::int64_t number = last - slot_count + 1 + i;
            const Slot &slot = const_cast<Throughput *>(this)->slot_of(number);
            if (slot.number.load(std::memory_order_acquire) != number)
                continue;
            const std::uint64_t events = slot.events.load(std::memory_order_acquire);
            /* unless it was begun anew meanwhile */
            if (slot.number.load(std::memory_order_relaxed) == number)
                sums[static_cast<std::size_t>(i)] += events;
        }
    }

private:
    struct Slot {
        std::atomic<std::int64_t> number{0}; /* of ten seconds since the epoch */
        std::atomic<std::uint64_t> events{0};
    };

    Slot &slot_of(std::int64_t number) noexcept
    {
        return slots_[static_cast<std::size_t>(static_cast<std::uint64_t>(number) % slot_count)];
    }

    std::array<Slot, slot_count> slots_{};
};

} // namespace cxone_sync
