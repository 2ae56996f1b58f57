/* What the two load generators share. */
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <netinet/tcp.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

constexpr std::int64_t second = 1'000'000'000;

inline std::int64_t clock_ns(clockid_t clock)
{
    timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * second + t.tv_nsec;
}

/* A connection to that port of this machine, or -1. */
inline int connect_to(int port)
{
    const sockaddr_in address{.sin_family = AF_INET,
                              .sin_port = htons(static_cast<std::uint16_t>(port)),
                              .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                              .sin_zero = {}};
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

inline bool is_whole(std::string_view reply)
{
    const std::size_t head = reply.find("\r\n\r\n");
    const std::size_t length = reply.find("Content-Length: ");
    if (head == reply.npos)
        return false;
    const std::size_t body = length < head ? static_cast<std::size_t>(std::atol(&reply[length + 16])) : 0;
    return reply.size() >= head + 4 + body;
}

/* 0 if there are none; changes their order. */
inline std::uint32_t percentile(std::vector<std::uint32_t> &values, int percent)
{
    if (values.empty())
        return 0;
    const std::size_t rank = (values.size() - 1) * static_cast<std::size_t>(percent) / 100;
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank), values.end());
    return values[rank];
}
