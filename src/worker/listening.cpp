#include "worker/listening.h"

#include "core/growing_delay.h"

namespace cxone_sync {

bool Listening::update(Endpoint &endpoint, const char *address, int port, Timestamp at, std::string &problem)
{
    if (port == port_ && (port == 0 || address_ == address)) {
        failures_ = 0;
        return false;
    }
    if (failures_ > 0 && at < try_again_at_ && asked_address_ == address && asked_port_ == port)
        return false;
    asked_address_ = address;
    asked_port_ = port;

    if (port == 0)
        endpoint.stop_listening(service_);
    else
        problem = endpoint.listen(service_, address, port);
    if (!problem.empty() && port == port_) {
        /* 0.0.0.0 stands in the way of every other address of its port, and they in its */
        endpoint.stop_listening(service_);
        port_ = 0;
        problem = endpoint.listen(service_, address, port);
    }
    if (!problem.empty()) {
        try_again_at_ = at + growing_delay_ms(++failures_) * std::int64_t{1000};
        return false;
    }
    address_ = address;
    port_ = port;
    failures_ = 0;
    return true;
}

} // namespace cxone_sync
