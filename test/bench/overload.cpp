/*
 * Senders who do not wait for each other: sends deliveries of so many events at a fixed rate, whatever
 * becomes of them, over a new connection where no old one is free, and measures what is accepted and what is
 * sent back.
 *
 *   overload [-r deliveries per second] [-e events per delivery] [-s seconds] [-m most under way] [-f number
 * of the first event]
 *            [-i idle connections] [-d dripping connections] port
 *
 * Idle connections send nothing; dripping ones send a head or a body that never ends, a byte each 100 ms.
 * Both are opened anew when the server closes them. Prints one line of name=value; latencies are from when a
 * delivery was due.
 */
#include "client.h"
#include "events.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::int64_t drip_ns = second / 10;
constexpr std::int64_t last_replies_ns = 30 * second;

std::int64_t now_ns()
{
    return clock_ns(CLOCK_MONOTONIC);
}

struct Options {
    double rate = 0, seconds = 5;
    int events = 1, port = 0;
    std::size_t most = 4000, idle = 0, drips = 0;
    std::uint64_t first = 0;
};

struct Connection {
    int socket = -1;
    std::int64_t due = 0; /* of the delivery under way; 0: none */
    std::string reply;
    std::string unsent;
};

class Overload {
public:
    explicit Overload(const Options &options)
        : options_(options), next_event_(options.first), epoll_(epoll_create1(0)),
          connections_(options.most + options.idle + options.drips)
    {
    }

    void run()
    {
        const std::int64_t start = now_ns();
        const auto end = start + static_cast<std::int64_t>(options_.seconds * second);
        for (std::size_t i = options_.most; i < connections_.size(); i++)
            open(i);
        for (std::size_t i = options_.most; i > 0; i--)
            free_.push_back(i - 1);
        for (std::int64_t now = start; now < end; now = now_ns()) {
            const auto due =
                static_cast<std::uint64_t>(static_cast<double>(now - start) / second * options_.rate);
            for (; offered_ < due; offered_++)
                deliver(start +
                        static_cast<std::int64_t>(static_cast<double>(offered_) / options_.rate * second));
            if (now >= next_drip_)
                drip(now);
            turn(1);
        }
        /* what is under way is waited for, so that nothing is called lost that is only late */
        over_ = true;
        const std::int64_t over_at = now_ns();
        while (under_way_ > 0 && now_ns() < over_at + last_replies_ns)
            turn(20);
        tail_ns_ = now_ns() - over_at;
        failed_ += under_way_;
    }

    void report()
    {
        std::printf("offered=%llu not_sent=%llu accepted=%zu refused=%zu odd=%llu failed=%llu reopened=%llu "
                    "offered_rate=%.0f accepted_rate=%.0f accepted_p50_us=%u accepted_p99_us=%u "
                    "refused_p50_us=%u refused_p99_us=%u tail_ms=%lld next=%llu\n",
                    static_cast<unsigned long long>(offered_), static_cast<unsigned long long>(not_sent_),
                    accepted_us_.size(), refused_us_.size(), static_cast<unsigned long long>(odd_),
                    static_cast<unsigned long long>(failed_), static_cast<unsigned long long>(reopened_),
                    static_cast<double>(offered_) / options_.seconds,
                    static_cast<double>(accepted_us_.size()) / options_.seconds, percentile(accepted_us_, 50),
                    percentile(accepted_us_, 99), percentile(refused_us_, 50), percentile(refused_us_, 99),
                    static_cast<long long>(tail_ns_ / 1'000'000),
                    static_cast<unsigned long long>(next_event_));
    }

private:
    std::string request()
    {
        std::string body = "{\"events\":[";
        for (int i = 0; i < options_.events; i++) {
            char id[id_digits + 1] = "";
            bench_write_digits(id, bench_nth_id(next_event_++, id_bits));
            body += std::string(i > 0 ? "," : "") + "{\"id\":\"" BENCH_ID_PREFIX + id +
                    "\",\"externalId\":\"" BENCH_EXTERNAL_ID_PREFIX + id + "\",\"firstName\":\"" +
                    bench_first_names[i % name_count] + "\",\"lastName\":\"" +
                    bench_last_names[i % name_count] + "\",\"email\":\"" BENCH_EMAIL_PREFIX + id +
                    BENCH_EMAIL_SUFFIX "\"}";
        }
        body += "]}";
        return "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n\r\n" + body;
    }

    bool open(std::size_t i)
    {
        Connection &connection = connections_[i];
        /* on this machine a connection is there at once, or not at all */
        connection.socket = connect_to(options_.port);
        if (connection.socket < 0)
            return false;
        epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
        epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.socket, &event);
        return true;
    }

    void close(Connection &connection)
    {
        if (connection.socket >= 0)
            ::close(connection.socket);
        connection = Connection();
    }

    void deliver(std::int64_t due)
    {
        if (free_.empty()) {
            not_sent_++;
            return;
        }
        const std::size_t i = free_.back();
        Connection &connection = connections_[i];
        if (connection.socket < 0 && !open(i)) {
            failed_++;
            return;
        }
        free_.pop_back();
        connection.due = due;
        under_way_++;
        send_text(i, request());
    }

    void send_text(std::size_t i, const std::string &text)
    {
        Connection &connection = connections_[i];
        const ssize_t sent = send(connection.socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        const auto taken = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
        connection.unsent = taken < text.size() && (sent >= 0 || errno == EAGAIN) ? text.substr(taken) : "";
        epoll_event event{.events = EPOLLIN | (connection.unsent.empty() ? 0U : EPOLLOUT),
                          .data = {.u64 = i}};
        epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.socket, &event);
    }

    void turn(int timeout_ms)
    {
        epoll_event events[256];
        const int count = epoll_wait(epoll_, events, 256, timeout_ms);
        for (int n = 0; n < count; n++) {
            const std::size_t i = events[n].data.u64;
            if (events[n].events & EPOLLOUT)
                send_text(i, connections_[i].unsent);
            if (events[n].events & ~static_cast<std::uint32_t>(EPOLLOUT))
                read_from(i);
        }
    }

    void read_from(std::size_t i)
    {
        Connection &connection = connections_[i];
        char buffer[4096];
        const ssize_t got = recv(connection.socket, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (i >= options_.most) { /* idle or dripping */
            if (got <= 0) {
                close(connection);
                reopened_++;
                if (!over_)
                    open(i);
            }
            return;
        }
        if (got > 0)
            connection.reply.append(buffer, static_cast<std::size_t>(got));
        const std::string &reply = connection.reply;
        const bool is_answered = is_whole(reply);
        if (!is_answered && got > 0)
            return;
        const bool was_under_way = connection.due != 0;
        const auto latency_us = static_cast<std::uint32_t>((now_ns() - connection.due) / 1000);
        if (was_under_way) {
            under_way_--;
            if (is_answered && reply.starts_with("HTTP/1.1 200 "))
                accepted_us_.push_back(latency_us);
            else if (is_answered && reply.starts_with("HTTP/1.1 503 "))
                refused_us_.push_back(latency_us);
            else
                is_answered ? odd_++ : failed_++;
            free_.push_back(i);
        }
        const bool is_closed = got <= 0 || reply.find("\r\nConnection: close\r\n") != reply.npos;
        connection.due = 0;
        connection.reply.clear();
        if (is_closed)
            close(connection);
    }

    /* Every second one a head, every other one a body. */
    void drip(std::int64_t now)
    {
        next_drip_ = now + drip_ns;
        for (std::size_t i = options_.most + options_.idle; i < connections_.size(); i++) {
            Connection &connection = connections_[i];
            if (connection.socket < 0 && !open(i))
                continue;
            const bool is_new = connection.reply.empty();
            connection.reply = "x";
            const std::string begin =
                i % 2 ? "POST /webhook HTTP/1.1\r\nX: "
                      : "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
            const std::string text = is_new ? begin : "x";
            [[maybe_unused]] const ssize_t sent =
                send(connection.socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }

    const Options options_;
    std::uint64_t next_event_;
    int epoll_;
    std::vector<Connection> connections_; /* those for deliveries, idle ones, dripping ones */
    std::vector<std::size_t> free_;       /* that have no delivery under way */
    std::int64_t next_drip_ = 0;
    std::uint64_t offered_ = 0, not_sent_ = 0, failed_ = 0, odd_ = 0, reopened_ = 0, under_way_ = 0;
    std::int64_t tail_ns_ = 0; /* from the last delivery until the last reply */
    bool over_ = false;
    std::vector<std::uint32_t> accepted_us_, refused_us_; /* latencies */
};

} // namespace

int main(int argc, char **argv)
{
    Options options;
    for (int option; (option = getopt(argc, argv, "r:e:s:m:f:i:d:")) != -1;) {
        switch (option) {
        case 'r':
            options.rate = std::atof(optarg);
            break;
        case 'e':
            options.events = std::atoi(optarg);
            break;
        case 's':
            options.seconds = std::atof(optarg);
            break;
        case 'm':
            options.most = std::strtoul(optarg, nullptr, 10);
            break;
        case 'f':
            options.first = std::strtoull(optarg, nullptr, 10);
            break;
        case 'i':
            options.idle = std::strtoul(optarg, nullptr, 10);
            break;
        case 'd':
            options.drips = std::strtoul(optarg, nullptr, 10);
            break;
        default:
            return 2;
        }
    }
    if (optind + 1 != argc || options.rate < 0) {
        std::fprintf(stderr, "usage: overload [-r rate] [-e events] [-s seconds] [-m most] [-f first] [-i "
                             "idle] [-d drips] port\n");
        return 2;
    }
    rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    options.port = std::atoi(argv[optind]);
    Overload overload(options);
    overload.run();
    overload.report();
}
