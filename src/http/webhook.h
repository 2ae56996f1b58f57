#pragma once

#include "core/parser.h"
#include "http/service.h"

#include <memory>
#include <mutex>

namespace cxone_sync {

/* What the main thread tells the webhook; replaced as a whole, so that a delivery sees one version. */
struct WebhookConfig {
    ParseLimits parse;
    std::size_t max_body = 0;
    std::shared_ptr<const Mapping> mapping; /* null until the catalog has been read */
};

/* POST /webhook: parse, map, queue; the reply comes after the commit. */
class Webhook : public Service {
public:
    Webhook(Queue &queue, Counters &counters) : queue_(queue), counters_(counters) {}

    void configure(std::shared_ptr<const WebhookConfig> config);

    Framing::Limits limits() const override;
    std::optional<Reply> serve(const HttpRequest &request, std::string &body, MemoryShare &memory,
                               Ticket ticket) override;
    Reply reply_to(const Answer &answer) const override;
    void refused(int status) noexcept override;

private:
    std::shared_ptr<const WebhookConfig> config() const;

    Queue &queue_;
    Counters &counters_;
    mutable std::mutex mutex_; /* guards config_ only */
    std::shared_ptr<const WebhookConfig> config_ = std::make_shared<WebhookConfig>();
};

} // namespace cxone_sync
