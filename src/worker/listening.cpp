#include "worker/listening.h"

#include "core/growing_delay.h"

#include <utility>

namespace cxone_sync {

bool Listening::update(Endpoint &endpoint, const char *address, int port, Timestamp at,
                       std::error_code &problem)
{
    if (port == port_ && (port == 0 || address_ == address)) {
        note_success();
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
    if (problem && port == port_) {
        /* 0.0.0.0 stands in the way of every other address of its port, and they in its */
        endpoint.stop_listening(service_);
        port_ = 0;
        problem = endpoint.listen(service_, address, port);
    }
    if (problem) {
        try_again_at_ = at + growing_delay_ms(++failures_) * std::int64_t{1000};
        return false;
    }
    address_ = address;
    port_ = port;
    note_success();
    return true;
}

void Listening::note_success()
{
    failures_ = 0;
    told_.clear();
}

bool Listening::is_news(const std::string &problem)
{
    return std::exchange(told_, problem) != problem;
}

} // namespace cxone_sync
