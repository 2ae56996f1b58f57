#pragma once

#include "core/event_fd.h"
#include "http/accepted_socket.h"
#include "http/handover.h"

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace cxone_sync {

/* Bounds of time for connections; they may change while connections are open. */
struct ConnectionLimits {
    /* first byte to last byte of a request; also to send a reply */
    std::atomic<int> request_timeout_ms{10'000};
    std::atomic<int> idle_timeout_ms{60'000}; /* without a request */
};

/*
 * One thread that serves many connections by epoll: it holds no thread per connection, so idle and slow ones
 * cost a file descriptor and no more. A connection has one request under way at a time; while its delivery
 * waits for the commit nothing is read from it.
 *
 * Everything but the constructor and the public functions happens on the thread itself.
 */
class NetworkThread {
public:
    /* What all threads of an endpoint share. */
    struct Shared {
        ConnectionLimits &limits;
        MemoryBudget &budget;
        Queue &queue;       /* for log lines */
        Handover *handover; /* null: there is one worker */
        std::vector<std::unique_ptr<NetworkThread>> &threads;
    };

    /* `index` is the thread's place in Shared::threads. Throws std::system_error. */
    NetworkThread(const Shared &shared, unsigned index);
    ~NetworkThread();
    NetworkThread(const NetworkThread &) = delete;
    NetworkThread &operator=(const NetworkThread &) = delete;

    /* Starts the thread with every signal blocked: signals are the main thread's. */
    void start();
    /* Accepts connections for `service` on a non-blocking listening socket, in place of the one before. */
    void listen(int socket, std::shared_ptr<Service> service);
    void stop_listening(std::shared_ptr<Service> service = nullptr);
    /* Serves what other workers hand over; not after the thread has been started. */
    void take_from_others(std::shared_ptr<Service> service);
    /* Takes over a connection that another thread has accepted. */
    void adopt(AcceptedSocket socket);
    void answer(std::vector<Answer> answers);
    /* Sends what waits to be sent (for a second at most), closes all and ends the thread. */
    void begin_stop() noexcept;
    /* The same, and waits for the thread's end. */
    void stop() noexcept;

    static unsigned thread_of(Ticket ticket) noexcept;

private:
    struct Connection;
    struct Listener {
        int socket;
        std::shared_ptr<Service> service;
    };
    struct Message {
        enum class Kind { listen, stop_listening, adopt, answer } kind;
        int socket = -1; /* to listen on */
        std::shared_ptr<Service> service;
        AcceptedSocket accepted{};
        std::vector<Answer> answers{};
        /* to be told when it has been handled, or never will be */
        std::shared_ptr<std::promise<void>> done{};
    };

    void post(Message message);
    void run() noexcept;
    void turn();
    void take_messages();
    void handle(Message &message);
    void close_for_stop() noexcept;
    void take_answer(const Answer &answer);

    void start_listening(int socket, std::shared_ptr<Service> service);
    void close_listener(Listener &listener) noexcept;
    void accept_from(const Listener &listener);
    void take_handed_over();
    void enter(int socket, const Peer &peer, const std::shared_ptr<Service> &service);
    bool may_enter(int socket, const Peer &peer, Service &service);
    void pause_accepting(int error);
    void watch_listener(const Listener &listener, bool on) noexcept;

    std::uint32_t free_slot();
    void open_connection(AcceptedSocket socket);
    void close_connection(Connection &connection) noexcept;
    void on_event(Connection &connection, std::uint32_t events);
    void shake_hands(Connection &connection);
    void give_up_handshake(Connection &connection);
    void read_from(Connection &connection);
    void serve_requests(Connection &connection);
    bool refuse_by_head(Connection &connection);
    void serve_one(Connection &connection);
    void refuse_request(Connection &connection, const Reply &reply);
    void finish_request(Connection &connection, const Reply &reply);
    void become_idle(Connection &connection);
    void send_waiting(Connection &connection);
    void linger(Connection &connection);
    void watch(Connection &connection, std::uint32_t events);
    void set_deadline(Connection &connection, int timeout_ms);
    void after_deadline(Connection &connection);
    void check_deadlines();
    int milliseconds_to_wait() const;
    Ticket ticket_of(const Connection &connection) const noexcept;
    Connection *find(Ticket ticket) noexcept;

    Shared shared_;
    unsigned index_;
    int epoll_fd_ = -1;
    EventFd event_;
    std::thread thread_;
    std::mutex mutex_; /* guards inbox_ only */
    std::vector<Message> inbox_;
    std::atomic<bool> stop_wanted_{false};

    HttpLibrary library_;
    std::unique_ptr<char[]> read_buffer_;
    std::vector<Listener> listeners_;
    std::shared_ptr<Service> handed_over_; /* for what others hand over */
    std::int64_t accept_again_ms_ = 0;     /* 0: accepting */
    unsigned next_thread_ = 0;
    std::vector<std::unique_ptr<Connection>> connections_; /* by slot; empty slots are used again */
    std::vector<std::uint32_t> free_slots_;
    std::vector<std::uint32_t> generations_; /* of each slot: a late answer must not reach a new connection */
    std::int64_t next_deadline_ = INT64_MAX; /* at or before the earliest deadline of all */
    std::int64_t now_ms_ = 0;
    std::int64_t stop_at_ms_ = 0; /* 0: not stopping */
};

} // namespace cxone_sync
