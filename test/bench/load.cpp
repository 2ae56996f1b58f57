/*
 * The load generator: keeps one request under way on each of its connections, from one thread, and measures.
 *
 *   load [-c connections] [-e events per request] [-s seconds | -n events] [-w warm-up seconds]
 *        [-f number of the first event] [-k bits of an id] [-p server's pid] [-l] port
 *
 * With -l the events have some 10 kB and go to three targets. A request is written once; before each sending
 * only the digits of its ids and times are replaced, so that no event comes twice and the server is left the
 * processor. It prints one line of name=value. CPU times are those of the measured time alone; with -p also
 * of the server's main thread and of its other threads, and how long the main thread was ready to run and had
 * no processor: what that hides is the machine's, not the server's.
 */
#include "client.h"
#include "events.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::int64_t last_replies_ns = 10 * second;

[[noreturn]] void die(const char *what)
{
    std::fprintf(stderr, "load: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

/* ---- the request ---- */

/*
 * Large events have some 10 kB and the shapes of real ones: a type, an envelope of their own around an
 * object, custom fields as an array, a conversation, JSON inside a string, much that nobody maps.
 */
constexpr const char *kinds[] = {"case", "contact", "agent"};

std::string large_event_begin(int i)
{
    const std::string kind = kinds[i % 3];
    return "{\"eventId\":\"8f14e45f-ceea-467f-9575-0d3a4c1b2e77\",\"eventType\":\"" + kind +
           "\",\"createdAt\":\"2026-01-02T03:04:05.678+01:00\",\"data\":{\"" + kind + "\":{";
}

std::string large_event_end(int i)
{
    std::string text =
        ",\"status\":\"open\",\"channel\":{\"id\":\"chat_3c1f\",\"isPrivate\":\"True\"},\"customFields\":[";
    for (int field = 0; field < 12; field++)
        text += std::string(field > 0 ? "," : "") + "{\"ident\":\"field_" + std::to_string(field) +
                "\",\"value\":\"value " + std::to_string(i * 31 + field) +
                "\",\"updatedAt\":\"2026-01-02T03:04:05+01:00\"}";
    text += "],\"messages\":[";
    for (int message = 0; message < 24; message++)
        text += std::string(message > 0 ? "," : "") + "{\"idOnExternalPlatform\":\"9a7b3c1d-" +
                std::to_string(message) +
                "\",\"direction\":\"inbound\",\"createdAt\":\"2026-01-02T03:04:05.1234567+00:00\","
                "\"attachments\":[],"
                "\"messageContent\":{\"type\":\"TEXT\",\"text\":\"Hello, I would like to know when my order "
                "\\\"" +
                std::to_string(1000 + message) +
                "\\\" arrives \\u2013 thank you\",\"payload\":\"{\\\"elements\\\":[{\\\"id\\\":1}]}\"},"
                "\"authorUser\":null,\"sentiment\":\"neutral\",\"reactionStatistics\":{\"likes\":0,"
                "\"shares\":0}}";
    return text + "]}}}";
}

class Request {
public:
    Request(int events, bool large, int bits) : bits_(bits)
    {
        std::string body = "{\"events\":[";
        for (int i = 0; i < events; i++) {
            Places places;
            const auto digits = [&](const char *prefix) {
                body += prefix;
                const std::size_t at = body.size();
                body.append(id_digits, '0');
                return at;
            };
            body += i > 0 ? "," : "";
            body += large ? large_event_begin(i) : "{";
            places.ids[0] = digits("\"id\":\"" BENCH_ID_PREFIX);
            places.ids[1] = digits("\",\"externalId\":\"" BENCH_EXTERNAL_ID_PREFIX);
            body += "\",\"firstName\":\"" + std::string(bench_first_names[i % name_count]);
            body += "\",\"lastName\":\"" + std::string(bench_last_names[i % name_count]);
            places.ids[2] = digits("\",\"email\":\"" BENCH_EMAIL_PREFIX);
            body += BENCH_EMAIL_SUFFIX "\",\"timestamp\":\"";
            places.time = body.size();
            body += "2000-01-01T00:00:00.000Z\"";
            body += large ? large_event_end(i) : "}";
            places_.push_back(places);
        }
        body += "]}";
        body_size_ = body.size();
        text_ = "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                "application/json\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n";
        for (Places &places : places_) {
            places.time += text_.size();
            for (std::size_t &id : places.ids)
                id += text_.size();
        }
        text_ += body;
    }

    std::string_view next(std::uint64_t first_event)
    {
        const std::int64_t ms = clock_ns(CLOCK_REALTIME_COARSE) / 1'000'000;
        if (ms != time_ms_)
            write_time(ms);
        for (const Places &places : places_) {
            char digits[id_digits];
            bench_write_digits(digits, bench_nth_id(first_event++, bits_));
            for (const std::size_t id : places.ids)
                std::memcpy(&text_[id], digits, id_digits);
            std::memcpy(&text_[places.time], time_, 23);
        }
        return text_;
    }

    std::size_t body_size() const { return body_size_; }

private:
    struct Places {
        std::size_t ids[3];
        std::size_t time;
    };

    void write_time(std::int64_t ms)
    {
        const time_t seconds = ms / 1000;
        tm t;
        time_ms_ = ms;
        gmtime_r(&seconds, &t);
        std::strftime(time_, sizeof(time_), "%Y-%m-%dT%H:%M:%S", &t);
        std::snprintf(time_ + 19, sizeof(time_) - 19, ".%03d", static_cast<int>(ms % 1000));
    }

    int bits_; /* of the ids, see events.h */
    std::string text_;
    std::size_t body_size_;
    std::vector<Places> places_;
    std::int64_t time_ms_ = 0;
    char time_[32];
};

/* ---- CPU time ---- */

struct Cpu {
    std::int64_t main_ns = 0, main_queued_ns = 0, others_ns = 0, own_ns = 0;
};

/* schedstat counts nanoseconds, where the kernel has it; stat counts ticks of 10 ms. */
std::int64_t thread_cpu_ns(const std::string &task, std::int64_t &queued_ns)
{
    char text[1024] = "";
    if (FILE *file = std::fopen((task + "/schedstat").c_str(), "r")) {
        unsigned long long ns = 0, queued = 0;
        const bool read = std::fscanf(file, "%llu %llu", &ns, &queued) == 2;
        std::fclose(file);
        if (read && ns > 0) {
            queued_ns += static_cast<std::int64_t>(queued);
            return static_cast<std::int64_t>(ns);
        }
    }
    if (FILE *file = std::fopen((task + "/stat").c_str(), "r")) {
        text[std::fread(text, 1, sizeof(text) - 1, file)] = '\0';
        std::fclose(file);
    }
    unsigned long user = 0, system = 0;
    const char *after_name = std::strrchr(text, ')');
    if (after_name)
        std::sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return static_cast<std::int64_t>(user + system) * (second / sysconf(_SC_CLK_TCK));
}

Cpu cpu_now(int pid)
{
    Cpu cpu;
    cpu.own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (pid == 0)
        return cpu;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    DIR *dir = opendir(tasks.c_str());
    if (!dir)
        die(tasks.c_str());
    while (const dirent *entry = readdir(dir)) {
        const int tid = std::atoi(entry->d_name);
        const std::string task = tasks + "/" + entry->d_name;
        std::int64_t ignored = 0;
        if (tid == pid)
            cpu.main_ns = thread_cpu_ns(task, cpu.main_queued_ns);
        else if (tid > 0)
            cpu.others_ns += thread_cpu_ns(task, ignored);
    }
    closedir(dir);
    return cpu;
}

/* ---- connections ---- */

struct Connection {
    int socket = -1;
    std::int64_t sent_at = 0;
    std::string unsent; /* what had no room in the socket */
    std::string reply;
    std::uint64_t served = 0; /* in the measured time */
    bool waits = false;       /* for a reply */
};

struct Options {
    int connections = 16, events = 1, port = 0, pid = 0, bits = id_bits;
    double seconds = 5, warm_up = 0;
    std::uint64_t first = 0, events_wanted = 0;
    bool large = false;
};

class Load {
public:
    explicit Load(const Options &options)
        : options_(options), request_(options.events, options.large, options.bits),
          connections_(options.connections), next_event_(options.first), epoll_(epoll_create1(0))
    {
        const std::string n = std::to_string(options.events);
        expected_ = "{\"received\":" + n + ",\"applied\":" + n + ",\"skipped\":0,\"dead_lettered\":0}";
        latencies_us_.reserve(4'000'000);
        for (std::size_t i = 0; i < connections_.size(); i++)
            open(i);
    }

    void run()
    {
        const std::int64_t start = clock_ns(CLOCK_MONOTONIC);
        begin_ = start + static_cast<std::int64_t>(options_.warm_up * second);
        end_ = options_.events_wanted > 0 ? INT64_MAX
                                          : begin_ + static_cast<std::int64_t>(options_.seconds * second);
        for (Connection &connection : connections_)
            send_next(connection);
        while (outstanding_ > 0) {
            const std::int64_t now = clock_ns(CLOCK_MONOTONIC);
            if (!measuring_ && !over_ && now >= begin_)
                begin(now);
            if (measuring_ && (now >= end_ || enough()))
                end(now);
            if (over_ && now > ended_at_ + last_replies_ns) {
                lost_ += outstanding_;
                break;
            }
            turn();
        }
        if (!over_)
            end(clock_ns(CLOCK_MONOTONIC));
    }

    void report()
    {
        std::uint64_t least = UINT64_MAX, most = 0;
        for (const Connection &connection : connections_) {
            least = std::min(least, connection.served);
            most = std::max(most, connection.served);
        }
        const double seconds = static_cast<double>(ended_at_ - began_at_) / second;
        const double events = static_cast<double>(acknowledged_) * options_.events;
        std::printf("seconds=%.3f requests=%llu events=%.0f rate=%.0f p50_us=%u p99_us=%u max_us=%u", seconds,
                    static_cast<unsigned long long>(acknowledged_), events, events / seconds,
                    percentile(latencies_us_, 50), percentile(latencies_us_, 99),
                    percentile(latencies_us_, 100));
        std::printf(" refused=%llu odd=%llu lost=%llu next=%llu", static_cast<unsigned long long>(refused_),
                    static_cast<unsigned long long>(odd_), static_cast<unsigned long long>(lost_),
                    static_cast<unsigned long long>(next_event_));
        std::printf(" conn_min=%llu conn_max=%llu conn_mean=%.2f", static_cast<unsigned long long>(least),
                    static_cast<unsigned long long>(most),
                    static_cast<double>(acknowledged_) / static_cast<double>(connections_.size()));
        std::printf(" busy=%.1f queued=%.1f", static_cast<double>(cpu_.main_ns) / second / seconds * 100,
                    static_cast<double>(cpu_.main_queued_ns) / second / seconds * 100);
        std::printf(" cpu_main=%.4f cpu_threads=%.4f cpu_load=%.4f event_bytes=%zu\n",
                    static_cast<double>(cpu_.main_ns) / second, static_cast<double>(cpu_.others_ns) / second,
                    static_cast<double>(cpu_.own_ns) / second,
                    request_.body_size() / static_cast<std::size_t>(options_.events));
    }

private:
    void open(std::size_t i)
    {
        Connection &connection = connections_[i];
        connection.socket = connect_to(options_.port);
        if (connection.socket < 0)
            die("connect");
        fcntl(connection.socket, F_SETFL, O_NONBLOCK);
        epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.socket, &event) != 0)
            die("epoll_ctl");
    }

    bool enough() const
    {
        return options_.events_wanted > 0 && next_event_ - options_.first >= options_.events_wanted;
    }

    void begin(std::int64_t now)
    {
        measuring_ = true;
        began_at_ = now;
        before_ = cpu_now(options_.pid);
    }

    void end(std::int64_t now)
    {
        const Cpu after = cpu_now(options_.pid);
        measuring_ = false;
        over_ = true;
        ended_at_ = now;
        cpu_ = {after.main_ns - before_.main_ns, after.main_queued_ns - before_.main_queued_ns,
                after.others_ns - before_.others_ns, after.own_ns - before_.own_ns};
    }

    void turn()
    {
        epoll_event events[256];
        const int count = epoll_wait(epoll_, events, 256, 20);
        for (int i = 0; i < count; i++) {
            Connection &connection = connections_[events[i].data.u64];
            if (events[i].events & EPOLLOUT)
                send_rest(connection);
            if (events[i].events & ~static_cast<std::uint32_t>(EPOLLOUT))
                read_reply(connection);
        }
    }

    void send_next(Connection &connection)
    {
        const std::string_view text = request_.next(next_event_);
        next_event_ += static_cast<std::uint64_t>(options_.events);
        connection.sent_at = clock_ns(CLOCK_MONOTONIC);
        connection.waits = true;
        outstanding_++;
        const ssize_t sent = send(connection.socket, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* the read that follows tells */
        if (static_cast<std::size_t>(std::max<ssize_t>(sent, 0)) < text.size()) {
            connection.unsent = text.substr(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
            watch(connection, EPOLLIN | EPOLLOUT);
        }
    }

    void send_rest(Connection &connection)
    {
        const ssize_t sent =
            send(connection.socket, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
        if (sent > 0)
            connection.unsent.erase(0, static_cast<std::size_t>(sent));
        if (connection.unsent.empty() || (sent < 0 && errno != EAGAIN))
            watch(connection, EPOLLIN);
    }

    void watch(Connection &connection, std::uint32_t what)
    {
        epoll_event event{.events = what,
                          .data = {.u64 = static_cast<std::uint64_t>(&connection - connections_.data())}};
        if (epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.socket, &event) != 0)
            die("epoll_ctl");
    }

    void read_reply(Connection &connection)
    {
        char buffer[4096];
        const ssize_t got = recv(connection.socket, buffer, sizeof(buffer), 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            reopen(connection);
            return;
        }
        std::string_view reply(buffer, static_cast<std::size_t>(got));
        if (!connection.reply.empty())
            reply = connection.reply.append(reply);
        if (!is_whole(reply)) {
            if (connection.reply.empty())
                connection.reply = reply;
            return;
        }
        judge(connection, reply);
        connection.reply.clear();
        connection.waits = false;
        outstanding_--;
        if (!over_ && !enough())
            send_next(connection);
    }

    void judge(Connection &connection, std::string_view reply)
    {
        if (!measuring_)
            return;
        if (reply.substr(0, 13) != "HTTP/1.1 200 ") {
            refused_++;
            return;
        }
        if (reply.find(expected_) == std::string_view::npos)
            odd_++;
        acknowledged_++;
        connection.served++;
        latencies_us_.push_back(
            static_cast<std::uint32_t>((clock_ns(CLOCK_MONOTONIC) - connection.sent_at) / 1000));
    }

    /* The server closed it: its request is lost, and the connection comes again. */
    void reopen(Connection &connection)
    {
        lost_ += connection.waits;
        outstanding_ -= connection.waits;
        close(connection.socket);
        connection.reply.clear();
        connection.unsent.clear();
        connection.waits = false;
        if (over_)
            return;
        open(static_cast<std::size_t>(&connection - connections_.data()));
        send_next(connection);
    }

    Options options_;
    Request request_;
    std::vector<Connection> connections_;
    std::uint64_t next_event_;
    int epoll_;
    std::string expected_;
    std::vector<std::uint32_t> latencies_us_;
    std::uint64_t acknowledged_ = 0; /* requests answered with 200 in the measured time */
    std::uint64_t refused_ = 0;      /* answered with anything else */
    std::uint64_t odd_ = 0;          /* answered with 200, but not every event was applied */
    std::uint64_t lost_ = 0;         /* not answered */
    std::uint64_t outstanding_ = 0;
    bool measuring_ = false, over_ = false;
    std::int64_t begin_ = 0, end_ = 0, began_at_ = 0, ended_at_ = 0;
    Cpu before_, cpu_;
};

} // namespace

int main(int argc, char **argv)
{
    Options options;
    for (int option; (option = getopt(argc, argv, "c:e:s:n:w:f:k:p:l")) != -1;) {
        switch (option) {
        case 'c':
            options.connections = std::atoi(optarg);
            break;
        case 'e':
            options.events = std::atoi(optarg);
            break;
        case 's':
            options.seconds = std::atof(optarg);
            break;
        case 'n':
            options.events_wanted = std::strtoull(optarg, nullptr, 10);
            break;
        case 'w':
            options.warm_up = std::atof(optarg);
            break;
        case 'f':
            options.first = std::strtoull(optarg, nullptr, 10);
            break;
        case 'k':
            options.bits = std::atoi(optarg);
            break;
        case 'p':
            options.pid = std::atoi(optarg);
            break;
        case 'l':
            options.large = true;
            break;
        default:
            return 2;
        }
    }
    if (optind + 1 != argc || options.connections < 1 || options.events < 1 || options.bits < 11 ||
        options.bits > 23) {
        std::fprintf(stderr, "usage: load [-c connections] [-e events] [-s seconds | -n events] [-w seconds] "
                             "[-f first] [-k bits] [-p pid] [-l] port\n");
        return 2;
    }
    options.port = std::atoi(argv[optind]);
    Load load(options);
    load.run();
    load.report();
}
