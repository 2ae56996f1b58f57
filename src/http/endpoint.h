#pragma once

#include "http/network_thread.h"

namespace cxone_sync {

/* The listening sockets and the threads that serve them. For the main thread only. */
class Endpoint {
public:
    /*
     * Starts `threads` network threads (1 to 64); throws std::system_error or std::bad_alloc. With `handover`
     * connections that are accepted for a shared service go to all workers in turn, and `handed_over` serves
     * those that come to us.
     */
    Endpoint(unsigned threads, Gauges &gauges, Queue &queue, Handover *handover = nullptr,
             std::shared_ptr<Service> handed_over = nullptr);
    ~Endpoint() { stop(); }

    /*
     * Accepts connections for `service` on this address, in place of the address it had before, which is
     * given up only once the new one is bound. Returns what went wrong, if anything.
     */
    std::error_code listen(std::shared_ptr<Service> service, const std::string &address, int port);
    /* Gives up the listening socket of `service`, or all of them; open connections go on. */
    void stop_listening(std::shared_ptr<Service> service = nullptr);
    void answer(const std::vector<Answer> &answers);
    /* Sends the replies given so far, closes all connections, ends the threads. */
    void stop() noexcept;

    ConnectionLimits &limits() noexcept { return limits_; }
    MemoryBudget &budget() noexcept { return budget_; }

private:
    ConnectionLimits limits_;
    MemoryBudget budget_;
    std::vector<std::unique_ptr<NetworkThread>> threads_;
};

} // namespace cxone_sync
