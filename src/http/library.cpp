#include "http/library.h"

#include <cerrno>
#include <fcntl.h>
#include <httplib.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace cxone_sync {

namespace {

/* Lets the library read from memory; what it writes is dropped, since replies are made in reply.h. */
class MemoryStream : public httplib::Stream {
public:
    explicit MemoryStream(std::string_view text) noexcept : rest_(text) {}

    bool is_readable() const override { return !rest_.empty(); }
    /* pure virtual in some versions of the library only, hence without the word */
    bool is_writable() const { return true; }
    bool wait_readable() const { return !rest_.empty(); }
    bool wait_writable() const { return true; }
    time_t duration() const { return 0; }

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

private:
    std::string_view rest_;
};

/* Later versions also want the addresses of both ends. */
template <typename Self> void process(Self &self, httplib::Stream &stream)
{
    bool closed = false;
    if constexpr (requires { self.process_request(stream, false, closed, nullptr); })
        self.process_request(stream, false, closed, nullptr);
    else
        self.process_request(stream, {}, 0, {}, 0, false, closed, nullptr);
}

} // namespace

class HttpLibrary::Server : public httplib::Server {
public:
    Server();

    int listen_here(const std::string &address, int port, std::error_code &problem);
    void read(const std::string &request_line);

    using httplib::Server::process_request;

    /* what the last request line was, and what the library made of it */
    std::string line;
    std::string method;
    std::string path;
    int status = 400; /* 0: it was read */
};

HttpLibrary::Server::Server()
{
    set_pre_routing_handler([this](const httplib::Request &request, httplib::Response &response) {
        method = request.method;
        path = request.path;
        status = 0;
        response.status = 204;
        return HandlerResponse::Handled;
    });
    set_error_handler(
        Handler([this](const httplib::Request &, httplib::Response &response) { status = response.status; }));
}

void HttpLibrary::Server::read(const std::string &request_line)
{
    line.clear(); /* should this throw half-way, nothing is known of it */
    status = 400;
    const std::string request = request_line + "\r\n\r\n";
    MemoryStream stream(request);
    process(*this, stream);
    if (status < 500) /* want of memory passes */
        line = request_line;
}

int HttpLibrary::Server::listen_here(const std::string &address, int port, std::error_code &problem)
{
    /* SO_REUSEADDR only: with the library's SO_REUSEPORT two servers would share a port without a word. */
    set_socket_options([](int socket) {
        const int on = 1;
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    });
    errno = 0;
    if (!bind_to_port(address, port)) {
        /* 0: it is no numeric address */
        problem = {errno ? errno : EADDRNOTAVAIL, std::generic_category()};
        return -1;
    }
    const int socket = svr_sock_.exchange(INVALID_SOCKET);
    /* the library listens with a backlog of 5 */
    if (::listen(socket, SOMAXCONN) != 0 || fcntl(socket, F_SETFL, O_NONBLOCK) != 0) {
        problem = {errno, std::generic_category()};
        ::close(socket);
        return -1;
    }
    return socket;
}

HttpLibrary::HttpLibrary() : server_(std::make_unique<Server>()) {}
HttpLibrary::~HttpLibrary() = default;

int HttpLibrary::listen_on(const std::string &address, int port, std::error_code &problem)
{
    return Server().listen_here(address, port, problem);
}

int HttpLibrary::read_request_line(std::string_view head, const Use &use)
{
    const std::string_view line = head.substr(0, head.find("\r\n"));

    /* A sender repeats itself, and the library renders a reply that is not wanted each time it is asked. */
    if (server_->line != line)
        server_->read(std::string(line));
    if (server_->status == 0)
        use({.method = server_->method, .path = server_->path, .head = head});
    return server_->status;
}

} // namespace cxone_sync
