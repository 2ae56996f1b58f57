#pragma once

#include "http/peer.h"
#include "http/service.h"

#include <memory>
#include <unistd.h>
#include <utility>

namespace cxone_sync {

/* A connection's socket, counted among its service's connections until it is closed. */
class AcceptedSocket {
public:
    AcceptedSocket() = default;
    /* Takes over a socket whose peer has been counted by service->peers. */
    AcceptedSocket(int fd, const Peer &peer, std::shared_ptr<Service> service) noexcept
        : fd_(fd), peer_(peer), service_(std::move(service))
    {
        service_->connections.fetch_add(1, std::memory_order_relaxed);
    }
    AcceptedSocket(AcceptedSocket &&other) noexcept
        : fd_(std::exchange(other.fd_, -1)), peer_(other.peer_), service_(std::move(other.service_))
    {
    }
    AcceptedSocket &operator=(AcceptedSocket &&) = delete;
    ~AcceptedSocket()
    {
        if (fd_ < 0)
            return;
        ::close(fd_);
        service_->connections.fetch_sub(1, std::memory_order_relaxed);
        service_->peers.leave(peer_);
    }

    int fd() const noexcept { return fd_; }
    Service &service() const noexcept { return *service_; }

private:
    int fd_ = -1;
    Peer peer_;
    std::shared_ptr<Service> service_;
};

} // namespace cxone_sync
