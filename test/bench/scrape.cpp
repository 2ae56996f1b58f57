/*
 * A scraper in a hurry: asks for a path of the metrics' listener every 20 ms, on one connection, and prints
 * how long that took.
 *
 *   scrape port path seconds
 */
#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

int connect_to(int port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address)) != 0)
        return -1;
    return fd;
}

/* Reads one reply; its size, or 0 if it is no 200. */
std::size_t read_reply(int fd)
{
    std::string reply;
    std::size_t wanted = 0;
    char buffer[65536];

    while (wanted == 0 || reply.size() < wanted) {
        const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
        if (got <= 0)
            return 0;
        reply.append(buffer, static_cast<std::size_t>(got));
        const std::size_t head = reply.find("\r\n\r\n");
        const std::size_t length = reply.find("Content-Length: ");
        if (wanted == 0 && head != reply.npos && length < head)
            wanted = head + 4 + std::strtoul(reply.c_str() + length + 16, nullptr, 10);
    }
    return reply.compare(0, 12, "HTTP/1.1 200") == 0 ? reply.size() : 0;
}

long at_share(const std::vector<long> &sorted, double share)
{
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const int fd = connect_to(std::atoi(argv[1]));
    const std::string request = std::string("GET ") + argv[2] + " HTTP/1.1\r\nHost: bench\r\n\r\n";
    const auto end = Clock::now() + std::chrono::duration<double>(std::atof(argv[3]));
    std::vector<long> took_us;
    std::size_t size = 0;

    for (auto next = Clock::now(); next < end; next += std::chrono::milliseconds(20)) {
        std::this_thread::sleep_until(next);
        const auto start = Clock::now();
        if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0 || (size = read_reply(fd)) == 0) {
            std::puts("the scrape failed");
            return 1;
        }
        took_us.push_back(
            std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
    }
    if (took_us.empty())
        return 1;
    std::sort(took_us.begin(), took_us.end());
    std::printf("scrapes=%zu scrape_bytes=%zu scrape_p50_us=%ld scrape_p99_us=%ld scrape_max_us=%ld\n",
                took_us.size(), size, at_share(took_us, 0.5), at_share(took_us, 0.99), took_us.back());
    close(fd);
}
