#include "http/library.h"

#include "http/framing.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <fcntl.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace cxone_sync {

namespace {

/* Lets the library read a head from memory; what it writes is dropped, since replies are made in reply.h. */
class HeadStream : public httplib::Stream {
public:
    explicit HeadStream(std::string_view head) noexcept : rest_(head) {}

    bool is_readable() const override { return !rest_.empty(); }
    ssize_t read(char *target, std::size_t size) override
    {
        const std::size_t got = rest_.copy(target, size);
        rest_.remove_prefix(got);
        return static_cast<ssize_t>(got);
    }
    ssize_t write(const char *, std::size_t size) override { return static_cast<ssize_t>(size); }
    void get_remote_ip_and_port(std::string &, int &) const override {}
    void get_local_ip_and_port(std::string &, int &) const override {}
    int socket() const override { return 0; } /* the library compares it with FD_SETSIZE */
    /* pure virtual in some versions of the library only, hence without the word */
    bool is_writable() const { return true; }
    bool wait_readable() const { return !rest_.empty(); }
    bool wait_writable() const { return true; }
    time_t duration() const { return 0; }

private:
    std::string_view rest_;
};

struct Reading {
    const HttpLibrary::Use &use;
    bool was_read = false;
    std::exception_ptr thrown{}; /* by `use`; the library would make a reply of it */
    int status = 400;
};

/* The library offers its hooks no context of their own. */
thread_local Reading *reading = nullptr;

/*
 * The library reads a Range with a recursive regular expression: 8 kB of it want more than 2 MB of stack, and
 * a thread may have less. No reply here has ranges, and a server may ignore them (RFC 9110 section 14.2).
 */
std::string without_ranges(std::string_view head)
{
    constexpr std::string_view range = "Range:";
    std::string rest;
    rest.reserve(head.size());
    while (!head.empty()) {
        const std::string_view line = head.substr(0, std::min(head.find('\n'), head.size() - 1) + 1);
        if (!equal_ignoring_case(line.substr(0, range.size()), range))
            rest += line;
        head.remove_prefix(line.size());
    }
    return rest;
}

} // namespace

/* Later versions also want the addresses of both ends. */
template <typename Self> void HttpLibrary::process(Self &self, httplib::Stream &stream)
{
    bool closed = false;
    if constexpr (requires { self.process_request(stream, false, closed, nullptr); })
        self.process_request(stream, false, closed, nullptr);
    else
        self.process_request(stream, {}, 0, {}, 0, false, closed, nullptr);
}

HttpLibrary::HttpLibrary()
{
    set_pre_routing_handler([](const httplib::Request &request, httplib::Response &response) {
        reading->was_read = true;
        try {
            reading->use(request);
        } catch (...) {
            reading->thrown = std::current_exception();
        }
        response.status = 204;
        return HandlerResponse::Handled;
    });
    set_error_handler(Handler(
        [](const httplib::Request &, httplib::Response &response) { reading->status = response.status; }));
}

int HttpLibrary::read_head(std::string_view head, const Use &use)
{
    const std::string readable = without_ranges(head);
    HeadStream stream(readable);
    Reading this_one{.use = use};
    reading = &this_one;
    process(*this, stream);
    reading = nullptr;
    if (this_one.thrown)
        std::rethrow_exception(this_one.thrown);
    return this_one.was_read ? 0 : this_one.status;
}

int HttpLibrary::listen_on(const std::string &address, int port, std::string &problem)
{
    HttpLibrary server;
    return server.listen_here(address, port, problem);
}

int HttpLibrary::listen_here(const std::string &address, int port, std::string &problem)
{
    /* SO_REUSEADDR only: with the library's SO_REUSEPORT two servers would share a port without a word. */
    set_socket_options([](int socket) {
        const int on = 1;
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    });
    errno = 0;
    if (!bind_to_port(address, port)) {
        problem = errno ? std::generic_category().message(errno) : "cannot be bound";
        return -1;
    }
    const int socket = svr_sock_.exchange(INVALID_SOCKET);
    /* the library listens with a backlog of 5 */
    if (::listen(socket, SOMAXCONN) != 0 || fcntl(socket, F_SETFL, O_NONBLOCK) != 0) {
        problem = std::generic_category().message(errno);
        close(socket);
        return -1;
    }
    return socket;
}

} // namespace cxone_sync
