#include "http/peer.h"

#include "core/loopback.h"

#include <cstring>
#include <new>

namespace cxone_sync {

Peer peer_of(const sockaddr_storage &address) noexcept
{
    Peer peer{.is_local = is_loopback_address(address)};

    if (address.ss_family == AF_INET) {
        peer.v4 = reinterpret_cast<const sockaddr_in &>(address).sin_addr.s_addr;
    } else if (address.ss_family == AF_INET6) {
        const in6_addr &v6 = reinterpret_cast<const sockaddr_in6 &>(address).sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&v6))
            memcpy(&peer.v4, v6.s6_addr + 12, sizeof(peer.v4));
        else
            memcpy(&peer.network, v6.s6_addr, sizeof(peer.network));
    }
    return peer;
}

bool PeerCounts::enter(const Peer &peer, std::uint64_t most) noexcept
try {
    if (peer.is_local)
        return true;
    const std::lock_guard lock(mutex_);
    std::uint64_t &count = counts_[peer];
    if (count >= most)
        return false;
    count++;
    return true;
} catch (const std::bad_alloc &) {
    return false;
}

void PeerCounts::leave(const Peer &peer) noexcept
{
    if (peer.is_local)
        return;
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(peer);
    if (--found->second == 0)
        counts_.erase(found);
}

} // namespace cxone_sync
