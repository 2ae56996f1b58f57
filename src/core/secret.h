#pragma once

#include "core/pure_room.h"

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* Overwrites memory before it gives it back. */
template <typename T> struct WipingAllocator {
    using value_type = T;

    WipingAllocator() = default;
    template <typename U> WipingAllocator(const WipingAllocator<U> &) noexcept {}

    T *allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
    void deallocate(T *memory, std::size_t count) noexcept
    {
        explicit_bzero(memory, count * sizeof(T));
        std::allocator<T>().deallocate(memory, count);
    }
    template <typename U> bool operator==(const WipingAllocator<U> &) const noexcept { return true; }
};

/*
 * Text that leaves no trace in memory. Not a std::string, which keeps short texts in itself, where no
 * allocator gets to wipe them.
 */
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string_view text) : bytes_(text.begin(), text.end()) {}

    Secret &operator+=(std::string_view text)
    {
        bytes_.insert(bytes_.end(), text.begin(), text.end());
        return *this;
    }
    std::string_view view() const noexcept { return {bytes_.data(), bytes_.size()}; }
    bool empty() const noexcept { return bytes_.empty(); }

private:
    std::vector<char, WipingAllocator<char>> bytes_;
};

} // namespace cxone_sync
