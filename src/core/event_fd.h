#pragma once

#include "core/pure_room.h"

#include <cerrno>
#include <cstdint>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

namespace cxone_sync {

/* What one thread wakes another with that waits for file descriptors. */
class EventFd {
public:
    /* Throws std::system_error. */
    EventFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
    {
        if (fd_ < 0)
            throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    ~EventFd() { close(fd_); }
    EventFd(const EventFd &) = delete;
    EventFd &operator=(const EventFd &) = delete;

    int fd() const noexcept { return fd_; }

    void wake() noexcept
    {
        const std::uint64_t one = 1;
        /* can only fail when the counter is full, and then the other thread is awake already */
        [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof(one));
    }

    void clear() noexcept
    {
        std::uint64_t count;
        [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof(count));
    }

private:
    int fd_;
};

} // namespace cxone_sync
