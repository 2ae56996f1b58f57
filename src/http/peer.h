#pragma once

#include "core/pure_room.h"

#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <netinet/in.h>

namespace cxone_sync {

/*
 * Where a connection comes from, as far as connections are counted by it: an IPv4 address, or an IPv6 network
 * of 64 bits, since whoever has one address there has them all (RFC 6177).
 */
struct Peer {
    std::uint64_t network = 0;
    std::uint32_t v4 = 0;
    bool is_local = false; /* a loopback address: a proxy, say */

    auto operator<=>(const Peer &) const = default;
};
Peer peer_of(const sockaddr_storage &address) noexcept;

/* Open connections by where they come from. Thread-safe. */
class PeerCounts {
public:
    /*
     * Counts one more, unless `most` are open or there is no memory; those of this machine are not counted.
     */
    bool enter(const Peer &peer, std::uint64_t most) noexcept;
    void leave(const Peer &peer) noexcept;

private:
    std::mutex mutex_;
    std::map<Peer, std::uint64_t> counts_;
};

} // namespace cxone_sync
