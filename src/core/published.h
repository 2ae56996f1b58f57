#pragma once

#include "core/pure_room.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <type_traits>

namespace cxone_sync {

/*
 * A value in shared memory that one process at a time writes and anybody reads, without a lock: a reader that
 * meets a write reads once more. So network threads may read it, which must not take PostgreSQL's locks.
 * Memory of zeros is a value of zeros.
 */
template <typename Value> class Published {
    static_assert(std::is_trivially_copyable_v<Value>);

public:
    void set(const Value &value) noexcept
    {
        std::array<std::uint64_t, word_count> words{};
        std::memcpy(words.data(), &value, sizeof(value));

        const std::uint64_t version = version_.load(std::memory_order_relaxed);
        version_.store(version + 1, std::memory_order_relaxed); /* odd: being written */
        /* whoever sees a new word sees that, too */
        for (std::size_t i = 0; i < word_count; i++)
            words_[i].store(words[i], std::memory_order_release);
        version_.store(version + 2, std::memory_order_release);
    }

    Value get() const noexcept
    {
        std::array<std::uint64_t, word_count> words;

        for (;;) {
            const std::uint64_t before = version_.load(std::memory_order_acquire);
            for (std::size_t i = 0; i < word_count; i++)
                words[i] = words_[i].load(std::memory_order_acquire);
            if (before % 2 == 0 && version_.load(std::memory_order_relaxed) == before)
                break;
            std::this_thread::yield();
        }
        Value value;
        std::memcpy(&value, words.data(), sizeof(value));
        return value;
    }

    /* For the writer: `edit` changes a copy. */
    template <typename Edit> void change(Edit edit) noexcept
    {
        Value value = get();
        edit(value);
        set(value);
    }

private:
    static constexpr std::size_t word_count = (sizeof(Value) + 7) / 8;

    std::atomic<std::uint64_t> version_{0};
    std::array<std::atomic<std::uint64_t>, word_count> words_{};
};

} // namespace cxone_sync
