#pragma once

#include "core/monitoring.h"

#include <vector>

namespace cxone_sync {

/*
 * A pair of sockets for each intake worker, which all of them inherit from the postmaster: so what a worker
 * has been given and not taken when it ends, its next process takes. Open as long as the process.
 */
class HandoverSockets {
public:
    /* Throws std::system_error. */
    explicit HandoverSockets(int workers);

    struct Pair {
        int writer;
        int reader;
    };
    const std::vector<Pair> &pairs() const noexcept { return pairs_; }

private:
    std::vector<Pair> pairs_;
};

/*
 * How the worker that listens hands connections out to all workers in turn, so that each serves the same
 * number: as file descriptors (unix(7), SCM_RIGHTS).
 */
class Handover {
public:
    /* For the worker of this number, from 0. */
    Handover(const HandoverSockets &sockets, const Monitoring &monitoring, int number) noexcept
        : pairs_(sockets.pairs()), monitoring_(monitoring), number_(number)
    {
    }

    /*
     * Hands a copy of `socket` to another worker. False if it stays here: it is our turn, or no other worker
     * takes deliveries. Never waits. For one thread.
     */
    bool give(int socket) noexcept;
    /* The next connection that has been handed to us; -1: there is none. */
    int take() noexcept;
    /* Readable if there is something to take. */
    int fd() const noexcept { return pairs_[static_cast<std::size_t>(number_)].reader; }

private:
    const std::vector<HandoverSockets::Pair> &pairs_;
    const Monitoring &monitoring_;
    const int number_;
    std::size_t next_ = 0;
};

} // namespace cxone_sync
