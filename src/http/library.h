#pragma once

#include "core/pure_room.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace cxone_sync {

/* A request line, as the library reads it. */
struct HttpRequest {
    const std::string &method;
    const std::string &path; /* decoded, without the query */
    std::string_view head;   /* all of it, as it came: see header.h */
    bool is_gzip = false;    /* the body is a gzip file */
    bool is_local = false;   /* it came to a loopback address */
};

/*
 * All that we have of cpp-httplib, and all that differs between its versions: how it opens a listening socket
 * and how it reads a request line. The rest of its server is not used: its connection loop holds a thread per
 * connection and bounds neither heads nor chunked bodies, and it reads header lines that do not concern us in
 * ways that a sender can exploit (a Range of 8 kB overflows a thread's stack in std::regex). See framing.h
 * and network_thread.h. Built with 0.11, 0.18 and 0.41, those of Debian 12, 13 and 14.
 */
class HttpLibrary {
public:
    HttpLibrary();
    ~HttpLibrary();

    /* A non-blocking listening socket that shares its port with nobody, or -1 and what went wrong. */
    static int listen_on(const std::string &address, int port, std::error_code &problem);

    /*
     * Reads the request line of `head` and calls `use` with it. Returns 0, or the status that the library
     * refuses it with; throws what `use` throws.
     */
    using Use = std::function<void(const HttpRequest &)>;
    int read_request_line(std::string_view head, const Use &use);

private:
    class Server;
    std::unique_ptr<Server> server_;
};

} // namespace cxone_sync
