#pragma once

#include "http/service.h"

namespace cxone_sync {

/* GET /metrics, on a port of its own: senders cannot read it, scrapers cannot send. */
class Admin : public Service {
public:
    explicit Admin(const Counters &counters) : counters_(counters) {}

    Framing::Limits limits() const override;
    std::optional<Reply> serve(const HttpRequest &request, std::string &body, MemoryShare &memory,
                               Ticket ticket) override;
    Reply reply_to(const Answer &answer) const override;
    void refused(int) noexcept override {}

private:
    const Counters &counters_;
};

} // namespace cxone_sync
