#pragma once

#include "core/memory_budget.h"
#include "core/queue.h"
#include "http/framing.h"
#include "http/library.h"
#include "http/peer.h"
#include "http/reply.h"
#include "http/tls.h"

#include <atomic>
#include <optional>

namespace cxone_sync {

/* What answers on one listening socket. Called by the network threads, several at a time. */
class Service {
public:
    explicit Service(std::atomic<std::uint64_t> &gauge) noexcept : connections(gauge) {}
    virtual ~Service() = default;

    /* The gauge of its open connections, and where they come from. */
    std::atomic<std::uint64_t> &connections;
    PeerCounts peers;

    /* How many may be open, in all and from one peer; more are refused. */
    struct ConnectionBounds {
        std::uint64_t in_all;
        std::uint64_t of_peer;
    };
    virtual ConnectionBounds connection_bounds() const = 0;
    /* Whether its connections are handed out to all workers. */
    virtual bool is_shared() const noexcept = 0;
    /* For new connections; null: they are in the clear. */
    virtual std::shared_ptr<const TlsContext> tls() const = 0;
    /* How large a request may be. */
    virtual Framing::Limits limits() const = 0;

    /*
     * Looks at the head of a request whose body is still on its way: a reply refuses it, so that no more of
     * it is read. Throws only std::bad_alloc.
     */
    virtual std::optional<Reply> check_head(const HttpRequest &request) const = 0;

    /*
     * Serves one request, its body as it came. Returns its reply, or nothing if that comes later, by
     * Endpoint::answer(ticket). May move `body` and `memory`, what the body has taken of the budget, away.
     * Throws only std::bad_alloc.
     */
    virtual std::optional<Reply> serve(const HttpRequest &request, std::string &body, MemoryShare &memory,
                                       Ticket ticket) = 0;

    /* The reply that `serve` did not give. */
    virtual Reply reply_to(const Answer &answer) const = 0;

    /* Told of each reply that is no 2xx, but of those that reply_to() gives. */
    virtual void refused(const Reply &reply) noexcept = 0;
    /* Told of each client that could not agree with us on TLS; `reason` is a static text. */
    virtual void handshake_failed(const char *reason) noexcept = 0;
    virtual void received(std::size_t bytes) noexcept = 0;
};

} // namespace cxone_sync
