#pragma once

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace cxone_sync {

/*
 * A server on a loopback port that answers one connection after the other with the bytes it is told, since no
 * library sends what is not HTTP.
 */
class LocalServer {
public:
    struct Request {
        std::string line; /* "GET /path HTTP/1.1" */
        std::string head; /* all of it, with that line */
        std::string body;

        bool has(const std::string &header) const { return head.find("\r\n" + header + "\r\n") != head.npos; }
    };
    struct Answer {
        std::string bytes;
        std::string flood;  /* sent after them again and again, until the client has enough */
        bool hangs = false; /* the connection then stays open until the client is gone */
    };
    using Handler = std::function<Answer(const Request &)>;

    explicit LocalServer(Handler handler)
        : handler_(std::move(handler)), socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
          stop_(eventfd(0, EFD_CLOEXEC))
    {
        sockaddr_in address{};
        socklen_t size = sizeof(address);
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr *>(&address), size), 0);
        EXPECT_EQ(listen(socket_, 16), 0);
        EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr *>(&address), &size), 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { run(); });
    }
    ~LocalServer()
    {
        eventfd_write(stop_, 1);
        thread_.join();
        close(socket_);
        close(stop_);
    }
    LocalServer(const LocalServer &) = delete;
    LocalServer &operator=(const LocalServer &) = delete;

    std::string url(const std::string &path = {}) const
    {
        return "http://127.0.0.1:" + std::to_string(port_) + path;
    }
    int port() const { return port_; }

    std::vector<Request> requests() const
    {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    /* "GET /a, POST /b" */
    std::string calls() const
    {
        std::string calls;
        for (const Request &request : requests())
            calls += (calls.empty() ? "" : ", ") + request.line.substr(0, request.line.rfind(' '));
        return calls;
    }
    std::size_t flooded_bytes() const
    {
        const std::lock_guard lock(mutex_);
        return flooded_;
    }
    /* True once that many requests have come. */
    bool wait_for(std::size_t count) const
    {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return requests_.size() >= count; });
    }

    /* A whole reply. */
    static Answer reply(int status, const std::string &body, const std::string &headers = {})
    {
        return {"HTTP/1.1 " + std::to_string(status) +
                    " Reason\r\nContent-Type: application/json\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\nConnection: close\r\n" + headers + "\r\n" + body,
                {},
                false};
    }

private:
    struct Connection {
        int fd;
        ~Connection() { close(fd); }
    };

    /* Whether there is something to read before it is time to stop. */
    bool readable(int fd) const
    {
        pollfd fds[] = {{fd, POLLIN, 0}, {stop_, POLLIN, 0}};
        poll(fds, 2, -1);
        return fds[1].revents == 0;
    }

    void run()
    {
        while (readable(socket_)) {
            const Connection connection{accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC)};
            Request request;
            if (connection.fd >= 0 && read(connection.fd, request))
                answer(connection.fd, request);
        }
    }

    bool read(int fd, Request &request) const
    {
        std::string input;
        char bytes[16 * 1024];
        for (;;) {
            const std::size_t end = input.find("\r\n\r\n");
            if (end != input.npos && input.size() >= end + 4 + length_in(input.substr(0, end + 2))) {
                request.line = input.substr(0, input.find("\r\n"));
                request.head = input.substr(0, end + 2);
                request.body = input.substr(end + 4);
                return true;
            }
            if (!readable(fd))
                return false;
            const ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
            if (got <= 0)
                return false;
            input.append(bytes, static_cast<std::size_t>(got));
        }
    }
    static std::size_t length_in(const std::string &head)
    {
        constexpr std::string_view name = "\r\nContent-Length: ";
        const std::size_t at = head.find(name);
        return at == head.npos ? 0 : std::stoul(head.substr(at + name.size()));
    }

    void answer(int fd, const Request &request)
    {
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back(request);
        }
        changed_.notify_all();
        const Answer answer = handler_(request);
        send(fd, answer.bytes);
        while (!answer.flood.empty() && send(fd, answer.flood)) {
            const std::lock_guard lock(mutex_);
            flooded_ += answer.flood.size();
            if (flooded_ > 256 * 1024 * 1024)
                break;
        }
        char byte;
        while (answer.hangs && readable(fd) && recv(fd, &byte, 1, 0) > 0)
            ;
    }
    static bool send(int fd, std::string_view text)
    {
        while (!text.empty()) {
            const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent <= 0)
                return false;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

    Handler handler_;
    int socket_;
    int stop_;
    int port_ = 0;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::vector<Request> requests_;
    std::size_t flooded_ = 0;
    std::thread thread_;
};

} // namespace cxone_sync
