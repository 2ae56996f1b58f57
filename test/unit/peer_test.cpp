#include "http/peer.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <thread>
#include <vector>

namespace cxone_sync {
namespace {

Peer peer(const char *text)
{
    sockaddr_storage address{};
    auto &v4 = reinterpret_cast<sockaddr_in &>(address);
    auto &v6 = reinterpret_cast<sockaddr_in6 &>(address);

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        address.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        address.ss_family = AF_INET6;
    return peer_of(address);
}

TEST(Peer, AnAddressOrANetworkOfSixtyFourBits)
{
    EXPECT_EQ(peer("192.0.2.1"), peer("192.0.2.1"));
    EXPECT_NE(peer("192.0.2.1"), peer("192.0.2.2"));
    EXPECT_EQ(peer("192.0.2.1"), peer("::ffff:192.0.2.1"));
    EXPECT_EQ(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    EXPECT_NE(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
    EXPECT_NE(peer("::2"), peer("0.0.0.2"));
}

TEST(Peer, OfThisMachine)
{
    for (const char *local : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"})
        EXPECT_TRUE(peer(local).is_local) << local;
    for (const char *other : {"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "::2"})
        EXPECT_FALSE(peer(other).is_local) << other;
}

TEST(PeerCounts, EachHasItsOwn)
{
    PeerCounts counts;

    EXPECT_TRUE(counts.enter(peer("192.0.2.1"), 2));
    EXPECT_TRUE(counts.enter(peer("192.0.2.1"), 2));
    EXPECT_FALSE(counts.enter(peer("192.0.2.1"), 2));
    EXPECT_TRUE(counts.enter(peer("192.0.2.2"), 2));
    counts.leave(peer("192.0.2.1"));
    EXPECT_TRUE(counts.enter(peer("192.0.2.1"), 2));
    EXPECT_FALSE(counts.enter(peer("192.0.2.1"), 1)) << "a lower limit concerns new ones";
    for (int i = 0; i < 10; i++)
        EXPECT_TRUE(counts.enter(peer("127.0.0.1"), 1)) << "a proxy on this machine stands for many";
    counts.leave(peer("127.0.0.1"));
}

TEST(PeerCounts, FromManyThreads)
{
    PeerCounts counts;
    std::vector<std::thread> threads;

    for (int i = 0; i < 4; i++)
        threads.emplace_back([&counts, i] {
            const Peer own = peer(i % 2 ? "192.0.2.1" : "2001:db8::1");
            for (int round = 0; round < 10'000; round++) {
                ASSERT_TRUE(counts.enter(own, 2));
                counts.leave(own);
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    EXPECT_TRUE(counts.enter(peer("192.0.2.1"), 1));
}

} // namespace
} // namespace cxone_sync
