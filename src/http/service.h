#pragma once

#include "core/memory_budget.h"
#include "core/queue.h"
#include "http/framing.h"
#include "http/library.h"
#include "http/reply.h"

#include <optional>

namespace cxone_sync {

/* What answers on one listening socket. Called by the network threads, several at a time. */
class Service {
public:
    virtual ~Service() = default;

    /* How large a request may be. */
    virtual Framing::Limits limits() const = 0;

    /*
     * Serves one request, its body inflated. Returns its reply, or nothing if that comes later, by
     * Endpoint::answer(ticket). May move `body` and `memory`, what the body has taken of the budget, away.
     * Throws only std::bad_alloc.
     */
    virtual std::optional<Reply> serve(const HttpRequest &request, std::string &body, MemoryShare &memory,
                                       Ticket ticket) = 0;

    /* The reply that `serve` did not give. */
    virtual Reply reply_to(const Answer &answer) const = 0;

    /* Told of each reply that is no 2xx. */
    virtual void refused(int status) noexcept = 0;
};

} // namespace cxone_sync
