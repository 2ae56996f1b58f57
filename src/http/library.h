#pragma once

#include "core/pure_room.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace cxone_sync {

/* A request's head, as the library reads it. */
struct HttpRequest {
    const std::string &method;
    const std::string &path; /* decoded, without the query */
};

/*
 * All that we have of cpp-httplib, and all that differs between its versions: how it opens a listening socket
 * and how it reads a request's head. Its own connection loop is not used: it holds a thread per connection
 * and bounds neither heads nor chunked bodies (see network_thread.h and framing.h). Built with 0.11, 0.18 and
 * 0.41, those of Debian 12, 13 and 14.
 */
class HttpLibrary {
public:
    HttpLibrary();
    ~HttpLibrary();

    /* A non-blocking listening socket that shares its port with nobody, or -1 and what went wrong. */
    static int listen_on(const std::string &address, int port, std::string &problem);

    /*
     * Reads `head`, request line and header lines to the empty one, and calls `use` with the request. Returns
     * 0, or the status that the library refuses the head with.
     */
    using Use = std::function<void(const HttpRequest &)>;
    int read_head(std::string_view head, const Use &use);

private:
    class Server;
    std::unique_ptr<Server> server_;
};

} // namespace cxone_sync
