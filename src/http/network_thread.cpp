#include "http/network_thread.h"

#include "core/loopback.h"
#include "core/signal_free_thread.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace cxone_sync {

namespace {

constexpr std::size_t read_size = 64 * 1024;
constexpr int linger_ms = 2'000;       /* how long a refused sender may go on sending */
constexpr int accept_pause_ms = 1'000; /* after running out of file descriptors or memory */
constexpr int stop_ms = 1'000;
/* a bound, so that a storm of connections cannot keep a thread from those it has */
constexpr int most_at_once = 64;

/* What an epoll event is about, above 32 bits of slot or listener number. */
constexpr std::uint64_t tag_message = 1ULL << 32;
constexpr std::uint64_t tag_listener = 2ULL << 32;
constexpr std::uint64_t tag_handover = 4ULL << 32;

constexpr unsigned slot_bits = 24;
constexpr std::uint32_t max_slots = 1U << slot_bits;

std::int64_t monotonic_ms() noexcept
{
    using namespace std::chrono;
    return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

/* Whether the other end has to be on this machine, as our end is a loopback address. */
bool has_loopback_address(int socket) noexcept
{
    sockaddr_storage address{};
    socklen_t size = sizeof(address);

    return getsockname(socket, reinterpret_cast<sockaddr *>(&address), &size) == 0 &&
           is_loopback_address(address);
}

std::string error_text(int error)
{
    return std::generic_category().message(error);
}

} // namespace

struct NetworkThread::Connection {
    enum class Phase : std::uint8_t {
        handshake, /* of TLS */
        idle,      /* between requests */
        receiving, /* a request has begun */
        waiting,   /* its delivery waits for the commit */
        sending,   /* its reply waits for room in the socket */
        lingering  /* refused: what still comes is thrown away, so that the reply is not lost to a reset */
    };

    Connection(AcceptedSocket its_socket, std::uint32_t its_slot, MemoryBudget &budget)
        : socket(std::move(its_socket)), slot(its_slot), service(socket.service()),
          is_local(has_loopback_address(socket.fd())), framing(service.limits()), memory(budget)
    {
        if (const std::shared_ptr<const TlsContext> context = service.tls()) {
            tls = std::make_unique<TlsSession>(*context, socket.fd());
            phase = Phase::handshake;
        }
    }
    ~Connection() { end_tls(); }

    /* From here on what comes in is not read any more, only thrown away. */
    void end_tls() noexcept
    {
        if (tls)
            tls->end();
        tls.reset();
    }

    IoResult receive(char *target, std::size_t size) noexcept;
    IoResult send(std::string_view bytes) noexcept;

    AcceptedSocket socket;
    std::uint32_t slot;
    Service &service;
    std::unique_ptr<TlsSession> tls; /* null: in the clear */
    Phase phase = Phase::idle;
    bool close_after_reply = false;
    bool head_only = false; /* HEAD: the reply has no body */
    bool is_local;          /* its address on this side is a loopback address */
    bool is_head_checked = false;
    std::uint32_t watched = EPOLLIN;
    std::int64_t deadline_ms = INT64_MAX;
    Framing framing;
    MemoryShare memory;
    std::string input;
    std::string output;
    std::size_t sent = 0;
};

IoResult NetworkThread::Connection::receive(char *target, std::size_t size) noexcept
{
    if (tls)
        return tls->receive(target, size);
    const ssize_t got = recv(socket.fd(), target, size, 0);
    if (got > 0)
        return {IoState::done, static_cast<std::size_t>(got)};
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return {IoState::wants_read};
    return {IoState::closed};
}

IoResult NetworkThread::Connection::send(std::string_view bytes) noexcept
{
    if (tls)
        return tls->send(bytes);
    const ssize_t taken = ::send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (taken >= 0)
        return {IoState::done, static_cast<std::size_t>(taken)};
    return {errno == EAGAIN ? IoState::wants_write : IoState::failed};
}

NetworkThread::NetworkThread(const Shared &shared, unsigned index)
    : shared_(shared), index_(index), epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      read_buffer_(new char[read_size])
{
    epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_message}};
    if (epoll_fd_ < 0 || epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, event_.fd(), &event) != 0)
        throw std::system_error(errno, std::generic_category(), "epoll");
}

NetworkThread::~NetworkThread()
{
    stop();
    ::close(epoll_fd_);
}

void NetworkThread::start()
{
    thread_ = signal_free_thread("cxone_sync net", [this] { run(); });
}

/* ---- messages from other threads ---- */

void NetworkThread::post(Message message)
{
    bool was_empty;
    {
        const std::lock_guard lock(mutex_);
        was_empty = inbox_.empty();
        inbox_.push_back(std::move(message));
    }
    if (was_empty)
        event_.wake();
}

void NetworkThread::listen(int socket, std::shared_ptr<Service> service)
{
    post({.kind = Message::Kind::listen, .socket = socket, .service = std::move(service)});
}

void NetworkThread::stop_listening(std::shared_ptr<Service> service)
{
    const auto done = std::make_shared<std::promise<void>>();
    std::future<void> is_done = done->get_future();

    post({.kind = Message::Kind::stop_listening, .service = std::move(service), .done = done});
    is_done.wait_for(std::chrono::milliseconds(stop_ms));
}

void NetworkThread::adopt(AcceptedSocket socket)
{
    post({.kind = Message::Kind::adopt, .service = nullptr, .accepted = std::move(socket)});
}

void NetworkThread::answer(std::vector<Answer> answers)
{
    post({.kind = Message::Kind::answer, .service = nullptr, .answers = std::move(answers)});
}

void NetworkThread::begin_stop() noexcept
{
    stop_wanted_ = true;
    event_.wake();
}

void NetworkThread::stop() noexcept
{
    if (!thread_.joinable())
        return;
    begin_stop();
    thread_.join();
    inbox_.clear(); /* what another thread has handed over too late */
}

void NetworkThread::take_messages()
{
    event_.clear();
    /* looked at first: whatever was posted before it is among the messages below */
    const bool stop_wanted = stop_wanted_;
    std::vector<Message> messages;
    {
        const std::lock_guard lock(mutex_);
        messages.swap(inbox_);
    }
    for (Message &message : messages) {
        try {
            handle(message);
        } catch (const std::exception &e) {
            shared_.queue.log("network thread: ", e.what());
        }
    }
    if (stop_wanted && stop_at_ms_ == 0)
        close_for_stop();
}

void NetworkThread::handle(Message &message)
{
    switch (message.kind) {
    case Message::Kind::listen:
        start_listening(message.socket, std::move(message.service));
        break;
    case Message::Kind::stop_listening:
        for (Listener &listener : listeners_) {
            if (!message.service || listener.service == message.service)
                close_listener(listener);
        }
        message.done->set_value();
        break;
    case Message::Kind::adopt:
        open_connection(std::move(message.accepted));
        break;
    case Message::Kind::answer:
        for (const Answer &answer : message.answers)
            take_answer(answer);
        break;
    }
}

/* Only replies that are on their way keep their connections. */
void NetworkThread::close_for_stop() noexcept
{
    for (Listener &listener : listeners_)
        close_listener(listener);
    stop_at_ms_ = now_ms_ + stop_ms;
    for (auto &connection : connections_) {
        if (connection && connection->phase != Connection::Phase::sending)
            close_connection(*connection);
    }
}

void NetworkThread::take_answer(const Answer &answer)
{
    Connection *connection = find(answer.ticket);
    /* the sender may have gone away meanwhile */
    if (!connection || connection->phase != Connection::Phase::waiting)
        return;
    try {
        finish_request(*connection, connection->service.reply_to(answer));
        if (find(answer.ticket) && connection->phase == Connection::Phase::idle)
            serve_requests(*connection);
    } catch (...) {
        /* no memory for this one's reply; the other answers go out */
        close_connection(*connection);
    }
}

/* ---- the loop ---- */

void NetworkThread::run() noexcept
{
    for (;;) {
        try {
            turn();
            if (stop_at_ms_ != 0 && (now_ms_ >= stop_at_ms_ || free_slots_.size() == connections_.size()))
                break;
        } catch (const std::exception &e) {
            /* Out of memory, in all likelihood, and what held it is gone by now. */
            shared_.queue.log("network thread: ", e.what());
        } catch (...) {
            shared_.queue.log("network thread: unknown exception");
        }
    }
    for (auto &connection : connections_) {
        if (connection)
            close_connection(*connection);
    }
}

void NetworkThread::turn()
{
    constexpr int max_events = 64;
    epoll_event events[max_events];
    const int count = epoll_wait(epoll_fd_, events, max_events, milliseconds_to_wait());
    now_ms_ = monotonic_ms();

    for (int i = 0; i < count; i++) {
        const std::uint64_t what = events[i].data.u64;
        const auto number = static_cast<std::uint32_t>(what);
        if (what == tag_message) {
            take_messages();
        } else if (what & tag_listener) {
            if (number < listeners_.size())
                accept_from(listeners_[number]);
        } else if (what == tag_handover) {
            take_handed_over();
        } else if (number < connections_.size() && connections_[number]) {
            Connection &connection = *connections_[number];
            try {
                on_event(connection, events[i].events);
            } catch (...) {
                /* this connection wanted memory that is not there; the others go on */
                close_connection(connection);
            }
        }
    }
    check_deadlines();
}

int NetworkThread::milliseconds_to_wait() const
{
    std::int64_t until = next_deadline_;
    if (accept_again_ms_ != 0)
        until = std::min(until, accept_again_ms_);
    if (stop_at_ms_ != 0)
        until = std::min(until, stop_at_ms_);
    if (until == INT64_MAX)
        return -1;
    return static_cast<int>(std::clamp<std::int64_t>(until - now_ms_, 0, 3'600'000));
}

void NetworkThread::check_deadlines()
{
    if (accept_again_ms_ != 0 && now_ms_ >= accept_again_ms_) {
        accept_again_ms_ = 0;
        for (const Listener &listener : listeners_)
            watch_listener(listener, true);
    }
    if (now_ms_ < next_deadline_)
        return;
    next_deadline_ = INT64_MAX;
    for (std::size_t slot = 0; slot < connections_.size(); slot++) {
        if (connections_[slot] && connections_[slot]->deadline_ms <= now_ms_) {
            try {
                after_deadline(*connections_[slot]);
            } catch (...) {
                /* no memory for a reply */
                close_connection(*connections_[slot]);
            }
        }
        if (connections_[slot])
            next_deadline_ = std::min(next_deadline_, connections_[slot]->deadline_ms);
    }
}

void NetworkThread::set_deadline(Connection &connection, int timeout_ms)
{
    connection.deadline_ms = timeout_ms < 0 ? INT64_MAX : now_ms_ + timeout_ms;
    next_deadline_ = std::min(next_deadline_, connection.deadline_ms);
}

void NetworkThread::after_deadline(Connection &connection)
{
    if (connection.phase == Connection::Phase::handshake)
        connection.service.handshake_failed("it took longer than cxone_sync.request_timeout");
    if (connection.phase != Connection::Phase::receiving) {
        close_connection(connection);
        return;
    }
    connection.close_after_reply = true;
    refuse_request(connection, error_reply(408, "the request took longer than cxone_sync.request_timeout"));
}

/* ---- accepting ---- */

void NetworkThread::start_listening(int socket, std::shared_ptr<Service> service)
{
    for (Listener &listener : listeners_) {
        if (listener.service != service)
            continue;
        close_listener(listener);
        listener.socket = socket;
        watch_listener(listener, true);
        return;
    }
    listeners_.push_back({socket, std::move(service)});
    watch_listener(listeners_.back(), true);
}

void NetworkThread::watch_listener(const Listener &listener, bool on) noexcept
{
    if (listener.socket < 0)
        return;
    const auto number = static_cast<std::uint64_t>(&listener - listeners_.data());
    epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_listener | number}};
    epoll_ctl(epoll_fd_, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener.socket, &event);
}

void NetworkThread::close_listener(Listener &listener) noexcept
{
    if (listener.socket >= 0)
        ::close(listener.socket);
    listener.socket = -1;
}

void NetworkThread::accept_from(const Listener &listener)
{
    if (listener.socket < 0 || accept_again_ms_ != 0)
        return;
    Handover *handover = listener.service->is_shared() ? shared_.handover : nullptr;
    for (int i = 0; i < most_at_once; i++) {
        sockaddr_storage address{};
        socklen_t size = sizeof(address);
        const int socket = accept4(listener.socket, reinterpret_cast<sockaddr *>(&address), &size,
                                   SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(errno);
            return;
        }
        if (handover && handover->give(socket))
            ::close(socket);
        else
            enter(socket, peer_of(address), listener.service);
    }
}

void NetworkThread::take_from_others(std::shared_ptr<Service> service)
{
    epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_handover}};

    handed_over_ = std::move(service);
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, shared_.handover->fd(), &event) != 0)
        throw std::system_error(errno, std::generic_category(), "epoll");
}

void NetworkThread::take_handed_over()
{
    for (int i = 0; i < most_at_once; i++) {
        const int socket = shared_.handover->take();
        if (socket < 0)
            return;
        sockaddr_storage address{};
        socklen_t size = sizeof(address);
        if (getpeername(socket, reinterpret_cast<sockaddr *>(&address), &size) == 0)
            enter(socket, peer_of(address), handed_over_);
        else
            ::close(socket); /* its sender has gone */
    }
}

/* Has one of the threads serve a connection, each in turn, if there is room for it. */
void NetworkThread::enter(int socket, const Peer &peer, const std::shared_ptr<Service> &service)
{
    if (!may_enter(socket, peer, *service))
        return;
    AcceptedSocket accepted(socket, peer, service);
    const unsigned thread = next_thread_++ % static_cast<unsigned>(shared_.threads.size());
    if (thread == index_)
        open_connection(std::move(accepted));
    else
        shared_.threads[thread]->adopt(std::move(accepted));
}

void NetworkThread::pause_accepting(int error)
{
    shared_.queue.log("could not accept a connection: ", error_text(error));
    for (const Listener &listener : listeners_)
        watch_listener(listener, false);
    accept_again_ms_ = now_ms_ + accept_pause_ms;
}

/* Else the socket is closed. Whoever speaks TLS could not read why. */
bool NetworkThread::may_enter(int socket, const Peer &peer, Service &service)
{
    static const Reply too_many =
        error_reply(Counter::retry_connections, 503, "too many connections", "Retry-After: 1");
    static const Reply too_many_of_peer =
        error_reply(Counter::retry_connections_of_address, 503, "too many connections", "Retry-After: 1");
    static const std::string wire = to_wire(too_many, true, false);
    const Service::ConnectionBounds bounds = service.connection_bounds();

    const bool is_full = service.connections.load(std::memory_order_relaxed) >= bounds.in_all;
    if (!is_full && service.peers.enter(peer, bounds.of_peer))
        return true;
    service.refused(is_full ? too_many : too_many_of_peer);
    if (!service.tls()) {
        [[maybe_unused]] const ssize_t sent = send(socket, wire.data(), wire.size(), MSG_NOSIGNAL);
        shutdown(socket, SHUT_WR);
    }
    ::close(socket);
    return false;
}

/* ---- connections ---- */

/* A free slot, the last of free_slots_. */
std::uint32_t NetworkThread::free_slot()
{
    if (free_slots_.empty()) {
        free_slots_.reserve(connections_.size() + 1); /* so that closing a connection never allocates */
        generations_.resize(connections_.size() + 1);
        connections_.emplace_back();
        free_slots_.push_back(static_cast<std::uint32_t>(connections_.size() - 1));
    }
    return free_slots_.back();
}

void NetworkThread::open_connection(AcceptedSocket socket)
{
    const std::uint32_t slot = free_slot();
    connections_[slot] = std::make_unique<Connection>(std::move(socket), slot, shared_.budget);
    free_slots_.pop_back();
    Connection &connection = *connections_[slot];
    const int fd = connection.socket.fd();

    /*
     * a reply leaves at once: Nagle's algorithm would hold it back for the sender's delayed acknowledgement
     */
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event{.events = connection.watched, .data = {.u64 = slot}};
    if (stop_at_ms_ != 0 || slot >= max_slots || epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
        close_connection(connection);
        return;
    }
    set_deadline(connection, connection.phase == Connection::Phase::handshake
                                 ? shared_.limits.request_timeout_ms
                                 : shared_.limits.idle_timeout_ms);
}

void NetworkThread::close_connection(Connection &connection) noexcept
{
    const std::uint32_t slot = connection.slot;
    generations_[slot]++;
    connections_[slot].reset();
    free_slots_.push_back(slot);
}

unsigned NetworkThread::thread_of(Ticket ticket) noexcept
{
    return static_cast<unsigned>(ticket >> 56);
}

Ticket NetworkThread::ticket_of(const Connection &connection) const noexcept
{
    return static_cast<Ticket>(index_) << 56 | static_cast<Ticket>(connection.slot) << 32 |
           generations_[connection.slot];
}

NetworkThread::Connection *NetworkThread::find(Ticket ticket) noexcept
{
    const auto slot = static_cast<std::uint32_t>(ticket >> 32) & (max_slots - 1);
    if (slot >= connections_.size() || generations_[slot] != static_cast<std::uint32_t>(ticket))
        return nullptr;
    return connections_[slot].get();
}

void NetworkThread::watch(Connection &connection, std::uint32_t events)
{
    if (connection.watched == events)
        return;
    connection.watched = events;
    epoll_event event{.events = events, .data = {.u64 = connection.slot}};
    epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, connection.socket.fd(), &event);
}

void NetworkThread::on_event(Connection &connection, std::uint32_t events)
{
    switch (connection.phase) {
    case Connection::Phase::handshake:
        shake_hands(connection);
        break;
    case Connection::Phase::waiting:
        /* Nothing is read before the answer; a sender that is gone for good needs none. */
        if (events & (EPOLLERR | EPOLLHUP))
            close_connection(connection);
        else
            watch(connection, 0);
        break;
    case Connection::Phase::sending: {
        const Ticket ticket = ticket_of(connection);
        send_waiting(connection);
        if (find(ticket) && connection.phase == Connection::Phase::idle)
            serve_requests(connection);
        break;
    }
    default:
        read_from(connection);
    }
}

void NetworkThread::shake_hands(Connection &connection)
{
    switch (connection.tls->handshake()) {
    case IoState::done:
        become_idle(connection);
        break;
    case IoState::wants_read:
        watch(connection, EPOLLIN);
        break;
    case IoState::wants_write:
        watch(connection, EPOLLOUT);
        break;
    default:
        give_up_handshake(connection);
    }
}

void NetworkThread::give_up_handshake(Connection &connection)
{
    if (connection.tls->met_http()) {
        connection.tls.reset();
        connection.close_after_reply = true;
        refuse_request(connection, error_reply(Counter::refused_tls, 400, "use https here"));
        return;
    }
    if (*connection.tls->reason())
        connection.service.handshake_failed(connection.tls->reason());
    close_connection(connection);
}

void NetworkThread::read_from(Connection &connection)
{
    const IoResult got = connection.receive(read_buffer_.get(), read_size);
    if (got.state == IoState::wants_read || got.state == IoState::wants_write) {
        watch(connection, got.state == IoState::wants_read ? EPOLLIN : EPOLLOUT);
        return;
    }
    if (got.state != IoState::done) {
        close_connection(connection);
        return;
    }
    watch(connection, EPOLLIN);
    connection.service.received(got.bytes);
    if (connection.phase == Connection::Phase::lingering)
        return;
    if (connection.phase == Connection::Phase::idle) {
        connection.phase = Connection::Phase::receiving;
        set_deadline(connection, shared_.limits.request_timeout_ms);
    }
    connection.input.append(read_buffer_.get(), got.bytes);
    serve_requests(connection);
}

/* Serves what has arrived, one request after the other, until one is incomplete or has to wait. */
void NetworkThread::serve_requests(Connection &connection)
{
    const Ticket ticket = ticket_of(connection);
    while (
        find(ticket) && !connection.input.empty() &&
        (connection.phase == Connection::Phase::receiving || connection.phase == Connection::Phase::idle)) {
        if (connection.phase == Connection::Phase::idle) {
            connection.phase = Connection::Phase::receiving;
            set_deadline(connection, shared_.limits.request_timeout_ms);
        }
        const Framing::State state = connection.framing.feed(connection.input, connection.memory);
        if ((state == Framing::State::needs_bytes || state == Framing::State::needs_continue) &&
            refuse_by_head(connection))
            return;
        switch (state) {
        case Framing::State::needs_bytes:
            return;
        case Framing::State::needs_continue: {
            constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
            /* a sender that reads nothing has no room for it, and is refused when its time is over */
            connection.send(go_on);
            return;
        }
        case Framing::State::refused: {
            const int status = connection.framing.status();
            connection.close_after_reply = true;
            /* RFC 9110 section 15.5.16: a refused coding is answered with those that are known */
            refuse_request(connection, error_reply(status, connection.framing.reason(),
                                                   status == 503   ? "Retry-After: 1"
                                                   : status == 415 ? "Accept-Encoding: gzip"
                                                                   : ""));
            return;
        }
        case Framing::State::complete:
            serve_one(connection);
        }
    }
}

/* Once for each request whose body has not come with its head. */
bool NetworkThread::refuse_by_head(Connection &connection)
{
    std::optional<Reply> refusal;

    if (connection.is_head_checked || !connection.framing.has_head())
        return false;
    connection.is_head_checked = true;
    /* a request line that cannot be read is told of when the request is complete */
    library_.read_request_line(connection.framing.head(), [&](const HttpRequest &request) {
        HttpRequest whole = request;
        whole.is_local = connection.is_local;
        refusal = connection.service.check_head(whole);
    });
    if (!refusal)
        return false;
    connection.close_after_reply = true;
    connection.head_only = connection.framing.head().starts_with("HEAD ");
    refuse_request(connection, *refusal);
    return true;
}

void NetworkThread::serve_one(Connection &connection)
{
    connection.close_after_reply = !connection.framing.keep_alive();
    connection.head_only = connection.framing.head().starts_with("HEAD ");
    std::optional<Reply> reply;
    bool waits = false;
    const int problem =
        library_.read_request_line(connection.framing.head(), [&](const HttpRequest &request) {
            HttpRequest whole = request;
            whole.is_gzip = connection.framing.is_gzip();
            whole.is_local = connection.is_local;
            reply = connection.service.serve(whole, connection.framing.body(), connection.memory,
                                             ticket_of(connection));
            waits = !reply;
        });
    if (waits) {
        connection.phase = Connection::Phase::waiting;
        set_deadline(connection, -1);
        return;
    }
    if (!reply) {
        connection.close_after_reply = true;
        reply = problem >= 500 ? error_reply(503, "not now, send it again", "Retry-After: 1")
                               : error_reply(problem == 414 ? 414 : 400, "the request line cannot be read");
    }
    if (reply->status >= 400)
        refuse_request(connection, *reply);
    else
        finish_request(connection, *reply);
}

void NetworkThread::refuse_request(Connection &connection, const Reply &reply)
{
    connection.service.refused(reply);
    finish_request(connection, reply);
}

void NetworkThread::finish_request(Connection &connection, const Reply &reply)
{
    connection.output = to_wire(reply, connection.close_after_reply, connection.head_only);
    connection.sent = 0;
    connection.head_only = false;
    connection.is_head_checked = false;
    connection.memory = MemoryShare(shared_.budget);
    connection.framing = Framing(connection.service.limits());
    connection.phase = Connection::Phase::sending;
    set_deadline(connection, shared_.limits.request_timeout_ms);
    send_waiting(connection);
}

void NetworkThread::send_waiting(Connection &connection)
{
    while (connection.sent < connection.output.size()) {
        const IoResult sent = connection.send(std::string_view(connection.output).substr(connection.sent));
        if (sent.state == IoState::wants_write || sent.state == IoState::wants_read) {
            watch(connection, sent.state == IoState::wants_write ? EPOLLOUT : EPOLLIN);
            return;
        }
        if (sent.state != IoState::done) {
            close_connection(connection);
            return;
        }
        connection.sent += sent.bytes;
    }
    if (connection.close_after_reply || stop_at_ms_ != 0)
        linger(connection);
    else
        become_idle(connection);
}

void NetworkThread::become_idle(Connection &connection)
{
    connection.phase = Connection::Phase::idle;
    watch(connection, EPOLLIN);
    set_deadline(connection, shared_.limits.idle_timeout_ms);
}

/*
 * To close a socket with unread bytes resets the connection, and the reset can overtake the reply (RFC 9112
 * section 9.6). So only our direction is closed first, and the sender's bytes are read and dropped for a
 * while.
 */
void NetworkThread::linger(Connection &connection)
{
    if (stop_at_ms_ != 0) {
        close_connection(connection);
        return;
    }
    connection.end_tls();
    shutdown(connection.socket.fd(), SHUT_WR);
    connection.phase = Connection::Phase::lingering;
    connection.input.clear();
    watch(connection, EPOLLIN);
    set_deadline(connection, linger_ms);
}

} // namespace cxone_sync
