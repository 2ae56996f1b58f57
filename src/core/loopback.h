#pragma once

#include "core/pure_room.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace cxone_sync {

/* Whether a numeric address is of this machine alone: 127.0.0.0/8 or ::1 (RFC 6890). */
inline bool is_loopback_address(const char *address) noexcept
{
    in_addr v4;
    in6_addr v6;

    if (inet_pton(AF_INET, address, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* The same for a socket's address; 127.0.0.0/8 may be mapped to IPv6. */
inline bool is_loopback_address(const sockaddr_storage &address) noexcept
{
    constexpr unsigned char loopback_net = 127;

    if (address.ss_family == AF_INET)
        return (ntohl(reinterpret_cast<const sockaddr_in &>(address).sin_addr.s_addr) >> 24) == loopback_net;
    if (address.ss_family != AF_INET6)
        return false;
    const in6_addr &v6 = reinterpret_cast<const sockaddr_in6 &>(address).sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == loopback_net);
}

inline bool is_numeric_address(const char *address) noexcept
{
    in_addr v4;
    in6_addr v6;

    return inet_pton(AF_INET, address, &v4) == 1 || inet_pton(AF_INET6, address, &v6) == 1;
}

} // namespace cxone_sync
