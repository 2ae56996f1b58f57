#pragma once

#include "core/pure_room.h"

#include <functional>
#include <httplib.h>
#include <string>
#include <string_view>

namespace cxone_sync {

/*
 * All that differs between the versions of cpp-httplib: how it opens a listening socket and how it reads a
 * request's head. Its own connection loop is not used: it holds a thread per connection and bounds neither
 * heads nor chunked bodies (see network_thread.h and framing.h). Built with 0.11 to 0.41, Debian 12 and
 * later.
 */
class HttpLibrary : private httplib::Server {
public:
    HttpLibrary();

    /* A non-blocking listening socket that shares its port with nobody, or -1 and what went wrong. */
    static int listen_on(const std::string &address, int port, std::string &problem);

    /*
     * Reads `head`, request line and header lines to the empty one, and calls `use` with the request, but for
     * its Range. Returns 0, or the status that the library refuses the head with; throws what `use` throws.
     */
    using Use = std::function<void(const httplib::Request &)>;
    int read_head(std::string_view head, const Use &use);

private:
    template <typename Self> static void process(Self &self, httplib::Stream &stream);
    int listen_here(const std::string &address, int port, std::string &problem);
};

} // namespace cxone_sync
