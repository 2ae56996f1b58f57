#include "http/endpoint.h"

#include "http/admin.h"
#include "http/webhook.h"

#include "gzip.h"
#include "parsed.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <climits>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace cxone_sync {
namespace {

/* Nothing below waits longer than this for anything. */
constexpr int patience_ms = 10'000;

using Clock = std::chrono::steady_clock;

std::int64_t ms_since(Clock::time_point start)
{
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

bool readable(int fd, int timeout_ms)
{
    pollfd what{fd, POLLIN, 0};
    return poll(&what, 1, timeout_ms) == 1;
}

/* True once `condition` holds. */
template <typename Condition> bool eventually(Condition condition)
{
    for (const auto start = Clock::now(); !condition(); std::this_thread::yield()) {
        if (ms_since(start) > patience_ms)
            return false;
    }
    return true;
}

sockaddr_in loopback(int port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* A port of the system's choice, held as long as this lives. */
class HeldPort {
public:
    HeldPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_in address = loopback(0);
        socklen_t size = sizeof(address);
        EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr *>(&address), size), 0);
        EXPECT_EQ(::listen(socket_, 1), 0);
        EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr *>(&address), &size), 0);
        number_ = ntohs(address.sin_port);
    }
    ~HeldPort() { ::close(socket_); }
    HeldPort(const HeldPort &) = delete;
    HeldPort &operator=(const HeldPort &) = delete;

    int number() const { return number_; }

private:
    int socket_;
    int number_ = 0;
};

struct Received {
    int status = 0; /* 0: no reply */
    std::string head;
    std::string body;

    bool has(const std::string &line) const { return head.find("\r\n" + line + "\r\n") != head.npos; }
};

/* A sender's connection. */
class Sender {
public:
    explicit Sender(int port, int receive_buffer = 0)
        : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        const timeval patience{.tv_sec = patience_ms / 1000, .tv_usec = 0};
        setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (receive_buffer > 0)
            setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
        const sockaddr_in address = loopback(port);
        error_ = connect(socket_, reinterpret_cast<const sockaddr *>(&address), sizeof(address)) ? errno : 0;
    }
    ~Sender() { close(); }
    Sender(const Sender &) = delete;
    Sender &operator=(const Sender &) = delete;

    int error() const { return error_; }

    bool send(std::string_view text)
    {
        while (!text.empty()) {
            const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent <= 0)
                return false;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    /* The next reply and no byte more; `head_only`: it answers HEAD. */
    Received reply(bool head_only = false)
    {
        Received received;
        if (!read_until([&] { return input_.find("\r\n\r\n") != input_.npos; }))
            return received;
        received.head = take(input_.find("\r\n\r\n") + 4);
        constexpr std::string_view length = "\r\nContent-Length: ";
        const std::size_t at = received.head.find(length);
        const std::size_t size =
            at == received.head.npos ? 0 : std::stoul(received.head.substr(at + length.size()));
        if (!head_only) {
            if (!read_until([&] { return input_.size() >= size; }))
                return received;
            received.body = take(size);
        }
        received.status = std::stoi(received.head.substr(std::string_view("HTTP/1.1 ").size()));
        return received;
    }

    Received ask(std::string_view text)
    {
        send(text);
        return reply();
    }

    bool has_reply() const { return !input_.empty() || readable(socket_, 0); }

    /* The server has closed, and sent nothing more. */
    bool at_end()
    {
        char c;
        if (!input_.empty())
            return false;
        const ssize_t got = recv(socket_, &c, 1, 0);
        return got == 0 || (got < 0 && errno == ECONNRESET);
    }

    void half_close() { shutdown(socket_, SHUT_WR); }

    /* Gone at once, with a reset. */
    void reset()
    {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close();
    }
    void close()
    {
        if (socket_ >= 0)
            ::close(socket_);
        socket_ = -1;
    }

private:
    template <typename Enough> bool read_until(Enough enough)
    {
        char bytes[16 * 1024];
        while (!enough()) {
            const ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
            if (got <= 0)
                return false;
            input_.append(bytes, static_cast<std::size_t>(got));
        }
        return true;
    }
    std::string take(std::size_t size)
    {
        std::string text = input_.substr(0, size);
        input_.erase(0, size);
        return text;
    }

    int socket_;
    int error_ = 0;
    std::string input_;
};

std::string request(const std::string &line, const std::string &body = {}, const std::string &headers = {})
{
    return line + " HTTP/1.1\r\nHost: h\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

std::string events(unsigned count)
{
    std::string body = "{\"events\":[";
    for (unsigned i = 0; i < count; i++)
        body += (i ? ",{\"id\":\"" : "{\"id\":\"") + std::to_string(i) + "\"}";
    return body + "]}";
}

std::string delivery(unsigned count)
{
    return request("POST /webhook", events(count));
}

std::string counts_text(unsigned received, unsigned applied, unsigned skipped, unsigned dead)
{
    return "{\"received\":" + std::to_string(received) + ",\"applied\":" + std::to_string(applied) +
           ",\"skipped\":" + std::to_string(skipped) + ",\"dead_lettered\":" + std::to_string(dead) + "}\n";
}

const std::string get_metrics = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n";

/* An endpoint with both services; the test is its main thread, unless it starts a writer. */
class EndpointTest : public testing::TestWithParam<unsigned> {
protected:
    EndpointTest() : endpoint_(GetParam(), gauges_, queue_)
    {
        endpoint_.budget().set_limit(64 << 20);
        configure(1 << 20);
        webhook_port_ = listen(webhook_);
        admin_port_ = listen(admin_);
    }
    ~EndpointTest() override
    {
        stop_writer();
        endpoint_.stop();
        EXPECT_EQ(gauges_.connections, 0u);
        taken_.clear();
        queue_.take(UINT_MAX, taken_); /* their memory is the endpoint's */
        taken_.clear();
        EXPECT_EQ(gauges_.queued_bytes, 0u);
    }

    void configure(std::size_t max_body, std::uint64_t max_connections = 512)
    {
        auto config = std::make_shared<WebhookConfig>();
        config->framing.max_body = max_body;
        config->connections.in_all = max_connections;
        config->is_open = true;
        config->mapping = mapping_of({target_of("contacts", {"id", "name"})});
        webhook_->configure(std::move(config));
    }

    /* On a free port. */
    int listen(std::shared_ptr<Service> service)
    {
        std::error_code problem;
        for (int attempt = 0; attempt < 5; attempt++) {
            const int port = HeldPort().number();
            problem = endpoint_.listen(service, "127.0.0.1", port);
            if (!problem)
                return port;
        }
        ADD_FAILURE() << problem.message();
        return 0;
    }

    /* Waits until that many deliveries are in taken_. */
    bool wait_for(std::size_t count)
    {
        const auto start = Clock::now();
        for (;;) {
            queue_.take(UINT_MAX, taken_);
            if (taken_.size() >= count)
                return true;
            if (ms_since(start) > patience_ms || !readable(queue_.event_fd(), patience_ms))
                return false;
            queue_.clear_event();
        }
    }

    void answer_all(bool committed = true)
    {
        std::vector<Answer> answers;
        for (QueuedDelivery &item : taken_) {
            for (Event &event : item.delivery->events)
                event.outcome = Outcome::applied;
            answers.push_back({item.ticket, committed, item.delivery->counts()});
        }
        taken_.clear();
        endpoint_.answer(answers);
    }

    /* A thread in the main thread's place, which answers all that comes. */
    void start_writer()
    {
        writer_ = std::thread([this] {
            for (;;) {
                pollfd fds[] = {{queue_.event_fd(), POLLIN, 0}, {writer_stop_, POLLIN, 0}};
                poll(fds, 2, -1);
                if (fds[1].revents)
                    return;
                queue_.clear_event();
                queue_.take(UINT_MAX, taken_);
                answer_all();
            }
        });
    }
    void stop_writer()
    {
        if (writer_.joinable()) {
            eventfd_write(writer_stop_, 1);
            writer_.join();
        }
        ::close(writer_stop_);
        writer_stop_ = -1;
    }

    bool eventually_connected(std::uint64_t count)
    {
        return eventually([&] { return gauges_.connections == count; });
    }

    /* How many were refused for good, or sent back. */
    std::uint64_t count_of(std::string_view outcome) const
    {
        Overview overview;
        read_overview(monitoring_, now(), overview);
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < counter_count; i++) {
            const CounterName &name = counter_name(static_cast<Counter>(i));
            if (name.name == std::string_view("deliveries") && name.outcome == outcome)
                sum += overview.statistics.counters[i];
        }
        return sum;
    }

    Monitoring monitoring_;
    std::unique_ptr<RecentDeliveries> recent_ = std::make_unique<RecentDeliveries>();
    StatisticsWriter statistics_ = monitoring_.statistics_of(monitoring_.workers[0]);
    Gauges &gauges_ = statistics_.gauges();
    Queue queue_{gauges_};
    std::shared_ptr<Webhook> webhook_ = std::make_shared<Webhook>(queue_, statistics_, *recent_);
    std::shared_ptr<Admin> admin_ = std::make_shared<Admin>(monitoring_);
    std::vector<QueuedDelivery> taken_;
    Endpoint endpoint_;
    int webhook_port_ = 0;
    int admin_port_ = 0;
    std::thread writer_;
    int writer_stop_ = eventfd(0, EFD_CLOEXEC);
};

INSTANTIATE_TEST_SUITE_P(Threads, EndpointTest, testing::Values(1u, 3u));

/* ---- requests and replies ---- */

TEST_P(EndpointTest, TheReplyComesAfterTheAnswer)
{
    Sender sender(webhook_port_);
    ASSERT_TRUE(sender.send(delivery(3)));
    ASSERT_TRUE(wait_for(1));
    ASSERT_EQ(taken_[0].delivery->events.size(), 3u);
    EXPECT_EQ(taken_[0].delivery->body, events(3));
    /* every thread has made a round or two meanwhile */
    for (unsigned i = 0; i < 2 * GetParam(); i++)
        ASSERT_EQ(Sender(admin_port_).ask(get_metrics).status, 200);
    EXPECT_FALSE(sender.has_reply());

    endpoint_.answer(
        {{taken_[0].ticket, true, {.received = 10, .applied = 4, .skipped = 3, .dead_lettered = 2}}});
    const Received reply = sender.reply();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, counts_text(10, 4, 3, 2));
    EXPECT_FALSE(reply.has("Connection: close"));
}

TEST_P(EndpointTest, KeepAlive)
{
    Sender sender(webhook_port_);
    for (unsigned i = 1; i <= 20; i++) {
        ASSERT_TRUE(sender.send(delivery(i)));
        ASSERT_TRUE(wait_for(1));
        answer_all();
        const Received reply = sender.reply();
        ASSERT_EQ(reply.status, 200);
        ASSERT_EQ(reply.body, counts_text(i, i, 0, 0));
    }
    EXPECT_EQ(gauges_.connections, 1u);
}

TEST_P(EndpointTest, TheConnectionEndsIfTheSenderWantsIt)
{
    for (const std::string &text : {request("POST /webhook", events(1), "Connection: close\r\n"),
                                    "POST /webhook HTTP/1.0\r\nContent-Length: " +
                                        std::to_string(events(1).size()) + "\r\n\r\n" + events(1)}) {
        Sender sender(webhook_port_);
        ASSERT_TRUE(sender.send(text + delivery(1)));
        ASSERT_TRUE(wait_for(1));
        answer_all();
        const Received reply = sender.reply();
        EXPECT_EQ(reply.status, 200);
        EXPECT_TRUE(reply.has("Connection: close"));
        EXPECT_TRUE(sender.at_end());
    }
    EXPECT_TRUE(taken_.empty());
}

TEST_P(EndpointTest, PipelinedOneAtATimeAndInOrder)
{
    Sender sender(webhook_port_);
    ASSERT_TRUE(sender.send(delivery(1) + delivery(2) + request("POST /nowhere", "x") + delivery(3)));
    for (unsigned i = 1; i <= 3; i++) {
        ASSERT_TRUE(wait_for(1));
        for (unsigned round = 0; round < 2 * GetParam(); round++)
            ASSERT_EQ(Sender(admin_port_).ask(get_metrics).status, 200);
        ASSERT_EQ(gauges_.queued_deliveries, 0u) << "the next one waits for the reply";
        ASSERT_EQ(taken_.size(), 1u);
        ASSERT_EQ(taken_[0].delivery->events.size(), i);
        answer_all();
    }
    EXPECT_EQ(sender.reply().body, counts_text(1, 1, 0, 0));
    EXPECT_EQ(sender.reply().body, counts_text(2, 2, 0, 0));
    EXPECT_EQ(sender.reply().status, 404);
    EXPECT_EQ(sender.reply().body, counts_text(3, 3, 0, 0));
}

TEST_P(EndpointTest, ByteByByteAndInChunks)
{
    Sender sender(webhook_port_);
    const std::string text =
        "POST /webhook HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10;x=y\r\n"
        "{\"events\": [{\"id\r\n7\r\n\":\"1\"}]\r\n1\r\n}\r\n0\r\n\r\n";
    for (const char c : text)
        ASSERT_TRUE(sender.send({&c, 1}));
    ASSERT_TRUE(wait_for(1));
    EXPECT_EQ(taken_[0].delivery->body, "{\"events\": [{\"id\":\"1\"}]}");
    answer_all();
    EXPECT_EQ(sender.reply().body, counts_text(1, 1, 0, 0));
}

TEST_P(EndpointTest, Gzip)
{
    const std::string header = "Content-Encoding: gzip\r\n";
    Sender sender(webhook_port_);
    configure(4000);
    const unsigned count = 200;
    ASSERT_TRUE(sender.send(request("POST /webhook", gzip(events(count)), header) + delivery(1)));
    ASSERT_TRUE(wait_for(1));
    EXPECT_EQ(taken_[0].delivery->body, events(count));
    answer_all();
    EXPECT_EQ(sender.reply().body, counts_text(count, count, 0, 0));
    ASSERT_TRUE(wait_for(1));
    answer_all();
    EXPECT_EQ(sender.reply().body, counts_text(1, 1, 0, 0));

    /* refused, and the connection goes on */
    EXPECT_EQ(sender.ask(request("POST /webhook", gzip(std::string(4001, ' ')), header)).status, 413);
    EXPECT_EQ(sender.ask(request("POST /webhook", gzip("{}") + "x", header)).status, 400);
    EXPECT_EQ(sender.ask(request("POST /webhook", events(1), header)).status, 400);
    EXPECT_EQ(sender.ask(request("POST /webhook", "", header)).status, 400);
    EXPECT_EQ(count_of("refused"), 4u);
    endpoint_.budget().set_limit(4000);
    const Received no_memory = sender.ask(request("POST /webhook", gzip(std::string(4000, ' ')), header));
    EXPECT_EQ(no_memory.status, 503);
    EXPECT_TRUE(no_memory.has("Retry-After: 1"));
    EXPECT_FALSE(no_memory.has("Connection: close"));
    EXPECT_EQ(count_of("retry_later"), 1u);
    EXPECT_EQ(gauges_.queued_bytes, 0u);

    const Received unknown = sender.ask(request("POST /webhook", "x", "Content-Encoding: br\r\n"));
    EXPECT_EQ(unknown.status, 415);
    EXPECT_TRUE(unknown.has("Accept-Encoding: gzip"));
    EXPECT_TRUE(sender.at_end());
}

TEST_P(EndpointTest, ExpectContinue)
{
    Sender sender(webhook_port_);
    const std::string text = request("POST /webhook", events(2), "Expect: 100-continue\r\n");
    const std::size_t head = text.size() - events(2).size();
    ASSERT_TRUE(sender.send(text.substr(0, head)));
    EXPECT_EQ(sender.reply().head, "HTTP/1.1 100 Continue\r\n\r\n");
    ASSERT_TRUE(sender.send(text.substr(head)));
    ASSERT_TRUE(wait_for(1));
    answer_all();
    EXPECT_EQ(sender.reply().body, counts_text(2, 2, 0, 0));
}

TEST_P(EndpointTest, NotCommitted)
{
    Sender sender(webhook_port_);
    ASSERT_TRUE(sender.send(delivery(1)));
    ASSERT_TRUE(wait_for(1));
    answer_all(false);
    const Received reply = sender.reply();
    EXPECT_EQ(reply.status, 503);
    EXPECT_TRUE(reply.has("Retry-After: 1"));
    EXPECT_FALSE(reply.has("Connection: close"));

    ASSERT_TRUE(sender.send(delivery(1)));
    ASSERT_TRUE(wait_for(1));
    answer_all();
    EXPECT_EQ(sender.reply().status, 200);
}

TEST_P(EndpointTest, AClosedQueueOrNoMemory)
{
    Sender sender(webhook_port_);
    const std::uint64_t held_by_others = (1 << 20) - 1500;
    endpoint_.budget().set_limit(1 << 20);
    ASSERT_TRUE(endpoint_.budget().take(held_by_others));
    const Received too_large = sender.ask(delivery(100));
    EXPECT_EQ(too_large.status, 503);
    EXPECT_TRUE(too_large.has("Retry-After: 1"));
    endpoint_.budget().give_back(held_by_others);
    queue_.close();
    Sender other(webhook_port_);
    const Received closed = other.ask(delivery(1));
    EXPECT_EQ(closed.status, 503);
    EXPECT_TRUE(closed.has("Retry-After: 1"));
    EXPECT_EQ(count_of("retry_later"), 2u);
    EXPECT_EQ(gauges_.queued_bytes, 0u);
}

/* To be told to come again would be told so for ever. */
TEST_P(EndpointTest, ADeliveryThatNoMemoryWillEverHold)
{
    endpoint_.budget().set_limit(1500);
    Sender sender(webhook_port_);
    const Received reply = sender.ask(delivery(100));
    EXPECT_EQ(reply.status, 413);
    EXPECT_NE(reply.body.find("cxone_sync.queue_size"), std::string::npos);
    EXPECT_EQ(count_of("refused"), 1u);
    EXPECT_EQ(gauges_.queued_bytes, 0u);
}

TEST_P(EndpointTest, WhatTheWebhookRefuses)
{
    Sender sender(webhook_port_);
    const Received path = sender.ask(request("POST /nowhere", events(1)));
    EXPECT_EQ(path.status, 404);
    EXPECT_EQ(sender.ask(request("GET /metrics")).status, 404);
    const Received method = sender.ask(request("GET /webhook"));
    EXPECT_EQ(method.status, 405);
    EXPECT_TRUE(method.has("Allow: POST"));
    EXPECT_EQ(sender.ask(request("POST /webhook")).status, 400);
    EXPECT_EQ(sender.ask(request("POST /webhook", "{")).status, 400);
    EXPECT_EQ(sender.ask(request("POST /webhook", "{}")).status, 400);
    EXPECT_EQ(count_of("refused"), 6u);
    EXPECT_EQ(gauges_.queued_bytes, 0u);

    /* none of which the connection has suffered from */
    ASSERT_TRUE(sender.send(request("POST /web%68ook?a=b", events(1))));
    ASSERT_TRUE(wait_for(1));
    answer_all();
    EXPECT_EQ(sender.reply().status, 200);

    const Received framing = sender.ask("POST /webhook HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(framing.status, 411);
    EXPECT_TRUE(framing.has("Connection: close"));
    EXPECT_TRUE(sender.at_end());
    EXPECT_EQ(count_of("refused"), 7u);
}

TEST_P(EndpointTest, ARequestLineThatTheLibraryRefuses)
{
    Sender sender(webhook_port_);
    const Received reply = sender.ask(request("NONSENSE /webhook", events(1)) + delivery(1));
    EXPECT_EQ(reply.status, 400);
    EXPECT_TRUE(reply.has("Connection: close"));
    EXPECT_TRUE(sender.at_end());
}

TEST_P(EndpointTest, Metrics)
{
    Sender sender(admin_port_);
    const Received metrics = sender.ask(get_metrics);
    EXPECT_EQ(metrics.status, 200);
    EXPECT_TRUE(metrics.has("Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    EXPECT_NE(metrics.body.find("# TYPE cxone_sync_"), std::string::npos);

    ASSERT_TRUE(sender.send("HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n"));
    const Received head = sender.reply(true);
    EXPECT_EQ(head.status, 200);
    EXPECT_NE(head.head.find("\r\nContent-Length: "), std::string::npos);
    EXPECT_FALSE(head.has("Content-Length: 0"));
    /* a body that should not be there would be taken for the next reply */
    EXPECT_EQ(sender.ask(request("GET /webhook")).status, 404);
    const Received method = sender.ask(request("POST /metrics"));
    EXPECT_EQ(method.status, 405);
    EXPECT_TRUE(method.has("Allow: GET, HEAD"));
    EXPECT_EQ(sender.ask(get_metrics).status, 200);
    EXPECT_EQ(sender.ask(request("GET /metrics", "x")).status, 413);
    EXPECT_TRUE(sender.at_end());
    EXPECT_EQ(count_of("refused"), 0u) << "scrapes are no deliveries";
}

/* More replies than the sockets hold: the connection stops reading until they have gone, and loses none. */
TEST_P(EndpointTest, ASenderThatReadsLate)
{
    Sender sender(admin_port_, 4096);
    constexpr int count = 3000;
    std::thread pipeline([&] {
        std::string text;
        for (int i = 0; i < count; i++)
            text += get_metrics;
        EXPECT_TRUE(sender.send(text));
    });
    /* others are served meanwhile */
    for (int i = 0; i < 20; i++)
        EXPECT_EQ(Sender(admin_port_).ask(get_metrics).status, 200);
    for (int i = 0; i < count; i++) {
        if (sender.reply().status != 200) {
            ADD_FAILURE() << "reply " << i;
            break;
        }
    }
    pipeline.join();
    EXPECT_FALSE(sender.has_reply());
}

TEST_P(EndpointTest, ManyConnections)
{
    start_writer();
    std::vector<std::unique_ptr<Sender>> senders;
    for (int i = 0; i < 300; i++) {
        senders.push_back(std::make_unique<Sender>(webhook_port_));
        ASSERT_EQ(senders.back()->error(), 0);
    }
    EXPECT_TRUE(eventually_connected(300));
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 300; i++)
            ASSERT_TRUE(senders[i]->send(delivery(1 + i)));
        for (unsigned i = 0; i < 300; i++)
            ASSERT_EQ(senders[i]->reply().body, counts_text(1 + i, 1 + i, 0, 0));
    }
    senders.clear();
    EXPECT_TRUE(eventually_connected(0));
}

/* ---- senders that go away ---- */

TEST_P(EndpointTest, ALateAnswerDoesNotReachTheNextConnection)
{
    auto gone = std::make_unique<Sender>(webhook_port_);
    ASSERT_TRUE(gone->send(delivery(1)));
    ASSERT_TRUE(wait_for(1));
    const Ticket late = taken_[0].ticket;
    gone->reset();
    ASSERT_TRUE(eventually_connected(0));

    /* one connection for each thread, so that one of them has the slot */
    std::vector<std::unique_ptr<Sender>> senders;
    for (unsigned i = 0; i < GetParam(); i++) {
        senders.push_back(std::make_unique<Sender>(webhook_port_));
        ASSERT_TRUE(senders[i]->send(delivery(1)));
        ASSERT_TRUE(wait_for(i + 2));
    }
    bool reused = false;
    for (std::size_t i = 1; i < taken_.size(); i++) {
        EXPECT_NE(taken_[i].ticket, late);
        reused |= taken_[i].ticket >> 32 == late >> 32;
    }
    ASSERT_TRUE(reused) << "or else this tests nothing";

    endpoint_.answer({{late, true, {.received = 999}}});
    taken_.erase(taken_.begin());
    answer_all();
    for (const auto &sender : senders) {
        EXPECT_EQ(sender->reply().body, counts_text(1, 1, 0, 0));
        EXPECT_FALSE(sender->has_reply());
    }
}

TEST_P(EndpointTest, AnswersToNobody)
{
    endpoint_.answer({});
    endpoint_.answer({{0, true, {}}, {0xFFFFFF, true, {}}, {0xFFFFFFULL << 32, false, {}}});
    Sender sender(webhook_port_);
    ASSERT_TRUE(sender.send(delivery(1)));
    ASSERT_TRUE(wait_for(1));
    const Ticket ticket = taken_[0].ticket;
    answer_all();
    EXPECT_EQ(sender.reply().status, 200);
    /* it waits for nothing now */
    endpoint_.answer({{ticket, true, {.received = 999}}});
    EXPECT_EQ(sender.ask(request("GET /webhook")).status, 405);
}

TEST_P(EndpointTest, ASenderThatOnlyClosesItsSide)
{
    Sender sender(webhook_port_);
    ASSERT_TRUE(sender.send(delivery(1)));
    sender.half_close();
    ASSERT_TRUE(wait_for(1));
    answer_all();
    EXPECT_EQ(sender.reply().status, 200);
    EXPECT_TRUE(sender.at_end());
}

TEST_P(EndpointTest, SendersThatCloseAtAnyPoint)
{
    const std::string text = delivery(1);
    for (std::size_t size = 0; size < text.size(); size += 7) {
        Sender sender(webhook_port_);
        ASSERT_TRUE(sender.send(text.substr(0, size)));
        if (size % 2)
            sender.reset();
    }
    /* accepted after all of them */
    EXPECT_EQ(Sender(webhook_port_).ask(request("GET /webhook")).status, 405);
    EXPECT_TRUE(eventually_connected(0));
    EXPECT_EQ(gauges_.queued_bytes, 0u);
    EXPECT_EQ(gauges_.queued_deliveries, 0u);
}

/* The reply is not lost to the reset that unread bytes would cause. */
TEST_P(EndpointTest, ARefusedSenderThatGoesOnSending)
{
    configure(1000);
    Sender sender(webhook_port_);
    ASSERT_TRUE(sender.send("POST /webhook HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n"));
    const std::string piece(100'000, 'x');
    for (int i = 0; i < 40; i++)
        ASSERT_TRUE(sender.send(piece)) << i;
    const Received reply = sender.reply();
    EXPECT_EQ(reply.status, 413);
    EXPECT_TRUE(reply.has("Connection: close"));
    EXPECT_TRUE(sender.at_end());
    sender.close();
    EXPECT_TRUE(eventually_connected(0));
}

/* ---- limits ---- */

TEST_P(EndpointTest, TooManyConnections)
{
    configure(1 << 20, 2);
    Sender first(webhook_port_);
    Sender second(webhook_port_);
    ASSERT_TRUE(eventually_connected(2));
    {
        Sender third(webhook_port_);
        const Received reply = third.reply();
        EXPECT_EQ(reply.status, 503);
        EXPECT_TRUE(reply.has("Retry-After: 1"));
        EXPECT_TRUE(reply.has("Connection: close"));
        EXPECT_TRUE(third.at_end());
    }
    EXPECT_EQ(count_of("retry_later"), 1u);
    EXPECT_EQ(Sender(admin_port_).ask(get_metrics).status, 200) << "scrapers have connections of their own";
    EXPECT_EQ(first.ask(request("GET /webhook")).status, 405);
    second.close();
    ASSERT_TRUE(eventually_connected(1));
    EXPECT_EQ(Sender(webhook_port_).ask(request("GET /webhook")).status, 405);
}

TEST_P(EndpointTest, IdleTimeout)
{
    endpoint_.limits().idle_timeout_ms = 50;
    const auto start = Clock::now();
    Sender silent(webhook_port_);
    EXPECT_TRUE(silent.at_end());
    EXPECT_GE(ms_since(start), 45);

    Sender after_reply(admin_port_);
    EXPECT_EQ(after_reply.ask(get_metrics).status, 200);
    EXPECT_TRUE(after_reply.at_end());
    EXPECT_LT(ms_since(start), 5'000);
}

TEST_P(EndpointTest, RequestTimeout)
{
    endpoint_.limits().request_timeout_ms = 50;
    const std::string text = delivery(1);
    for (const std::size_t size : {std::size_t{1}, text.size() / 2, text.size() - 1}) {
        const auto start = Clock::now();
        Sender sender(webhook_port_);
        ASSERT_TRUE(sender.send(text.substr(0, size)));
        const Received reply = sender.reply();
        EXPECT_EQ(reply.status, 408);
        EXPECT_TRUE(reply.has("Connection: close"));
        EXPECT_TRUE(sender.at_end());
        EXPECT_GE(ms_since(start), 45);
        EXPECT_LT(ms_since(start), 5'000);
    }
    EXPECT_EQ(count_of("refused"), 3u);
    EXPECT_EQ(gauges_.queued_bytes, 0u);
}

/* However long the commit takes, it is not the sender's fault. */
TEST_P(EndpointTest, NoTimeoutForTheCommit)
{
    endpoint_.limits().idle_timeout_ms = 50;
    endpoint_.limits().request_timeout_ms = 50;
    Sender sender(webhook_port_);
    ASSERT_TRUE(sender.send(delivery(1)));
    ASSERT_TRUE(wait_for(1));
    for (unsigned i = 0; i < 2 * GetParam(); i++)
        EXPECT_TRUE(Sender(webhook_port_).at_end());
    answer_all();
    EXPECT_EQ(sender.reply().status, 200);
}

/* ---- ports ---- */

TEST_P(EndpointTest, ATakenPort)
{
    Sender before(admin_port_);
    const HeldPort taken;
    EXPECT_EQ(endpoint_.listen(admin_, "127.0.0.1", taken.number()), std::errc::address_in_use);
    EXPECT_EQ(endpoint_.listen(admin_, "127.0.0.1", webhook_port_), std::errc::address_in_use)
        << "not even with itself";
    EXPECT_EQ(endpoint_.listen(admin_, "no address", HeldPort().number()), std::errc::address_not_available);
    EXPECT_EQ(before.ask(get_metrics).status, 200);
    EXPECT_EQ(Sender(admin_port_).ask(get_metrics).status, 200);
}

TEST_P(EndpointTest, ANewPortInPlaceOfTheOld)
{
    Sender before(admin_port_);
    EXPECT_EQ(before.ask(get_metrics).status, 200);
    const int port = listen(admin_);
    EXPECT_EQ(Sender(port).ask(get_metrics).status, 200);
    EXPECT_EQ(Sender(admin_port_).error(), ECONNREFUSED);
    EXPECT_EQ(before.ask(get_metrics).status, 200) << "open connections go on";
    EXPECT_EQ(Sender(webhook_port_).ask(request("GET /webhook")).status, 405) << "so does the other service";
}

TEST_P(EndpointTest, StopListening)
{
    Sender before(webhook_port_);
    EXPECT_EQ(before.ask(request("GET /webhook")).status, 405);
    const auto refused = [](int port) {
        return eventually([&] { return Sender(port).error() == ECONNREFUSED; });
    };
    endpoint_.stop_listening(webhook_);
    EXPECT_TRUE(refused(webhook_port_));
    EXPECT_EQ(Sender(admin_port_).ask(get_metrics).status, 200);
    EXPECT_EQ(before.ask(request("GET /webhook")).status, 405);
    endpoint_.stop_listening();
    EXPECT_TRUE(refused(admin_port_));
    EXPECT_EQ(Sender(listen(webhook_)).ask(request("GET /webhook")).status, 405);
}

/* ---- stop ---- */

TEST_P(EndpointTest, StopClosesAll)
{
    Sender idle(webhook_port_), receiving(webhook_port_), waiting(webhook_port_), refused(webhook_port_);
    ASSERT_TRUE(receiving.send(delivery(1).substr(0, 60)));
    ASSERT_EQ(refused.ask("nonsense\r\n\r\n").status, 400); /* and lingers */
    ASSERT_TRUE(waiting.send(delivery(1)));
    ASSERT_TRUE(wait_for(1));
    ASSERT_TRUE(eventually_connected(4));
    const auto start = Clock::now();
    endpoint_.stop();
    EXPECT_LT(ms_since(start), 800);
    EXPECT_EQ(gauges_.connections, 0u);
    for (Sender *sender : {&idle, &receiving, &waiting, &refused})
        EXPECT_TRUE(sender->at_end());
    EXPECT_EQ(Sender(webhook_port_).error(), ECONNREFUSED);
    EXPECT_EQ(Sender(admin_port_).error(), ECONNREFUSED);
    answer_all();
    endpoint_.stop();
}

TEST_P(EndpointTest, StopSendsTheRepliesGiven)
{
    std::vector<std::unique_ptr<Sender>> senders;
    for (unsigned i = 0; i < 20; i++) {
        senders.push_back(std::make_unique<Sender>(webhook_port_));
        ASSERT_TRUE(senders[i]->send(delivery(i + 1)));
    }
    ASSERT_TRUE(wait_for(20));
    answer_all();
    endpoint_.stop();
    for (unsigned i = 0; i < 20; i++) {
        EXPECT_EQ(senders[i]->reply().body, counts_text(i + 1, i + 1, 0, 0));
        EXPECT_TRUE(senders[i]->at_end());
    }
}

/* A sender that does not read its replies holds the stop up for a second, not for ever. */
TEST_P(EndpointTest, StopDoesNotWaitForASenderThatDoesNotRead)
{
    Sender sender(admin_port_, 4096);
    std::thread pipeline([&] {
        std::string text;
        for (int i = 0; i < 20'000; i++)
            text += get_metrics;
        sender.send(text); /* cut short by the stop */
    });
    EXPECT_TRUE(eventually([&] { return sender.has_reply(); }));
    const auto start = Clock::now();
    endpoint_.stop();
    EXPECT_LT(ms_since(start), 3'000);
    EXPECT_EQ(gauges_.connections, 0u);
    pipeline.join();
}

TEST_P(EndpointTest, StopUnderLoad)
{
    std::vector<std::thread> loads;
    std::atomic<int> served{0};
    for (int i = 0; i < 4; i++)
        loads.emplace_back([&] {
            for (;;) {
                Sender sender(webhook_port_);
                if (sender.error() != 0)
                    return;
                while (sender.ask(delivery(2)).status == 200)
                    if (++served % 10 == 0)
                        break; /* and a new connection */
            }
        });
    /* answers and the stop come from one thread, as an endpoint wants it */
    EXPECT_TRUE(eventually([&] {
        queue_.take(UINT_MAX, taken_);
        answer_all();
        return served > 200;
    }));
    endpoint_.stop();
    for (std::thread &load : loads)
        load.join();
    EXPECT_EQ(gauges_.connections, 0u);
}

TEST_P(EndpointTest, StrangersAreNotListenedTo)
{
    AuthenticationConfig bearer;
    bearer.method = AuthenticationMethod::bearer;
    bearer.secrets.emplace_back("open sesame");
    auto config = std::make_shared<WebhookConfig>();
    config->is_open = true;
    config->mapping = mapping_of({target_of("contacts", {"id", "name"})});
    config->authenticator = std::make_shared<const Authenticator>(std::move(bearer));
    webhook_->configure(std::move(config));
    const std::string line = "POST /webhook HTTP/1.1\r\nHost: h\r\n";
    const std::string large = "Content-Length: 1000000\r\n";
    const std::string known = "Authorization: Bearer open sesame\r\n";

    for (const std::string &headers :
         {large, large + "Authorization: Bearer guessed\r\n",
          "Transfer-Encoding: chunked\r\n" + std::string(), large + "Expect: 100-continue\r\n"}) {
        Sender sender(webhook_port_);
        const Received received = sender.ask(line + headers + "\r\n");
        EXPECT_EQ(received.status, 401) << headers;
        EXPECT_TRUE(received.has("Connection: close"));
        EXPECT_TRUE(sender.at_end());
        EXPECT_EQ(gauges_.queued_bytes, 0u);
    }
    EXPECT_EQ(Sender(webhook_port_).ask("POST /other HTTP/1.1\r\nHost: h\r\n" + large + "\r\n").status, 404);
    EXPECT_EQ(Sender(webhook_port_).ask("PUT /webhook HTTP/1.1\r\nHost: h\r\n" + large + "\r\n").status, 405);

    /* who is known is listened to, and asked for more */
    start_writer();
    Sender sender(webhook_port_);
    const std::string body = events(2);
    const std::string head =
        line + known + "Expect: 100-continue\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    for (int round = 0; round < 2; round++) {
        EXPECT_EQ(sender.ask(head).status, 100);
        EXPECT_EQ(sender.ask(body).status, 200);
        /* of a whole request, too, it is asked who sends it */
        EXPECT_EQ(sender.ask(request("POST /webhook", body, known)).status, 200);
    }
    EXPECT_EQ(sender.ask(request("POST /webhook", body)).status, 401);
}

/* ---- what advisories of the HTTP library are about ---- */

TEST_P(EndpointTest, HeadersThatTheLibraryDoesNotSee)
{
    const std::string ranges = "Range: bytes=0-" + std::string(8000, '1') + "\r\n";
    std::string many = "Range: bytes=0-1";
    while (many.size() < 8000)
        many += ",0-1";
    Sender sender(webhook_port_);
    for (const std::string &header :
         {ranges, many + "\r\n", std::string("X-Forwarded-For:\r\n"), std::string("X-Forwarded-For: ,\r\n"),
          std::string("REMOTE_ADDR: 127.0.0.1\r\nREMOTE_PORT: 1\r\nLOCAL_ADDR: ::1\r\nLOCAL_PORT: 2\r\n"),
          std::string("X: a%0D%0AContent-Length: 0%0D%0A%0D%0A\r\n"),
          std::string("Cookie: a%0D%0ASet-Cookie: b\r\n"), std::string("Accept: ;;q=x,*/*;q=9e999\r\n"),
          "Content-Disposition: form-data; name=a; filename*=UTF-8''" + std::string(8000, 'x') + "\r\n",
          std::string("Content-Type: ") + std::string(8000, 'x') + "\r\n",
          std::string("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
          std::string("Trailer: X\r\nTE: trailers\r\n")}) {
        SCOPED_TRACE(header.substr(0, 40));
        ASSERT_TRUE(sender.send(request("POST /webhook", events(1), header)));
        ASSERT_TRUE(wait_for(1));
        answer_all();
        const Received reply = sender.reply();
        EXPECT_EQ(reply.status, 200);
        EXPECT_EQ(reply.head.find("Range"), reply.head.npos);
        EXPECT_EQ(reply.head.find("Cookie"), reply.head.npos);
    }
}

TEST_P(EndpointTest, Targets)
{
    Sender sender(webhook_port_);
    EXPECT_EQ(sender.ask(request("POST /" + std::string(8000, 'a'), events(1))).status, 404);
    for (const std::string target : {"/webhook%0D%0AX:%20y", "/webhook%00", "/webhook/..", "/../webhook",
                                     "/%2e%2e/webhook", "//webhook", "*", "h:1"}) {
        const Received reply = sender.ask(request("POST " + target, events(1)));
        EXPECT_EQ(reply.status, 404) << target;
        EXPECT_EQ(reply.head.find("\r\nX:"), reply.head.npos);
    }
    const Received reply = sender.ask(request("POST /" + std::string(8200, 'a'), events(1)));
    EXPECT_EQ(reply.status, 414);
    EXPECT_TRUE(reply.has("Connection: close"));
    EXPECT_TRUE(sender.at_end());
}

TEST_P(EndpointTest, ARequestInTheBodyOfAnother)
{
    Sender sender(webhook_port_);
    for (const std::string method : {"GET", "HEAD", "DELETE", "OPTIONS", "PUT"}) {
        ASSERT_TRUE(sender.send(request(method + " /webhook", delivery(1))));
        EXPECT_EQ(sender.reply(method == "HEAD").status, 405) << method;
    }
    ASSERT_TRUE(sender.send("GET /webhook HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
    EXPECT_EQ(sender.reply().status, 405);
    EXPECT_TRUE(sender.at_end());
    Sender other(webhook_port_);
    ASSERT_TRUE(other.send(delivery(2)));
    ASSERT_TRUE(wait_for(1));
    EXPECT_EQ(taken_.size(), 1u);
    EXPECT_EQ(taken_[0].delivery->body, events(2));
    answer_all();
    EXPECT_EQ(other.reply().status, 200);
}

TEST_P(EndpointTest, MultipartIsNoJson)
{
    Sender sender(webhook_port_);
    const std::string body = "--b\r\nContent-Disposition: form-data; name=\"a\"; filename*=UTF-8''" +
                             std::string(100'000, 'a') + "\r\n\r\nx\r\n--b--\r\n";
    EXPECT_EQ(sender.ask(request("POST /webhook", body, "Content-Type: multipart/form-data; boundary=b\r\n"))
                  .status,
              400);
    EXPECT_EQ(sender.ask(request("POST /webhook", "{}", "Content-Type: text/plain\r\n")).status, 400);
}

/* Peers of another machine: a socket of the file system stands for one, as it has no loopback address. */
TEST(NetworkThread, ConnectionsOfOnePeer)
{
    WorkerStatistics worker;
    std::atomic<std::uint64_t> epoch{0};
    ConnectionLimits limits;
    MemoryBudget budget(worker.gauges.queued_bytes);
    Queue queue(worker.gauges);
    std::vector<std::unique_ptr<NetworkThread>> threads;
    threads.push_back(
        std::make_unique<NetworkThread>(NetworkThread::Shared{limits, budget, queue, nullptr, threads}, 0));
    const auto recent = std::make_unique<RecentDeliveries>();
    const auto webhook = std::make_shared<Webhook>(queue, StatisticsWriter(worker, epoch), *recent);
    auto config = std::make_shared<WebhookConfig>();
    config->connections = {.in_all = 10, .of_peer = 3};
    webhook->configure(std::move(config));

    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "cxone_sync_test_%d", getpid());
    const auto *name = reinterpret_cast<const sockaddr *>(&address);
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT_EQ(bind(listener, name, sizeof(address)), 0);
    ASSERT_EQ(::listen(listener, 20), 0);
    threads[0]->start();
    threads[0]->listen(listener, webhook);

    const auto connected = [name] {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(connect(fd, name, sizeof(address)), 0);
        return fd;
    };
    const auto refusals = [&worker] {
        return worker.banks[0].of(Counter::retry_connections_of_address).load();
    };
    std::vector<int> open;
    for (int i = 0; i < 3; i++)
        open.push_back(connected());
    EXPECT_TRUE(eventually([&] { return worker.gauges.connections == 3; }));
    const int fourth = connected();
    ASSERT_TRUE(readable(fourth, patience_ms));
    char reply[512] = {};
    EXPECT_GT(recv(fourth, reply, sizeof(reply) - 1, 0), 0);
    EXPECT_EQ(std::string_view(reply).substr(0, 12), "HTTP/1.1 503");
    EXPECT_EQ(refusals(), 1u);
    ::close(fourth);

    /* when one has gone there is room for another one */
    ::close(open.back());
    open.pop_back();
    EXPECT_TRUE(eventually([&] { return worker.gauges.connections == 2; }));
    open.push_back(connected());
    EXPECT_TRUE(eventually([&] { return worker.gauges.connections == 3; }));
    EXPECT_EQ(refusals(), 1u);
    threads[0]->stop();
    EXPECT_EQ(worker.gauges.connections, 0u);
    for (const int fd : open)
        ::close(fd);
}

} // namespace
} // namespace cxone_sync
