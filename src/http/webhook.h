#pragma once

#include "core/parser.h"
#include "core/recent_deliveries.h"
#include "http/authentication.h"
#include "http/service.h"

#include <memory>
#include <mutex>

namespace cxone_sync {

/* What the main thread tells the webhook; replaced as a whole, so that a delivery sees one version. */
struct WebhookConfig {
    ParseLimits parse;
    Framing::Limits framing;
    Service::ConnectionBounds connections{512, 256};
    std::shared_ptr<const TlsContext> tls;              /* null: in the clear */
    bool is_open = false;                               /* else all that comes is sent back */
    bool is_debugging = false;                          /* the log is to have each refusal */
    std::shared_ptr<const Mapping> mapping;             /* null until the catalog has been read */
    std::shared_ptr<const Authenticator> authenticator; /* null: senders need not prove who they are */
};

/* POST /webhook: authenticate, parse, map, queue; the reply comes after the commit. */
class Webhook : public Service {
public:
    /* For the worker of this number. */
    Webhook(Queue &queue, const StatisticsWriter &statistics, RecentDeliveries &recent, int worker = 0);

    void configure(std::shared_ptr<const WebhookConfig> config);
    /* To be told by the main thread of each delivery that was in the queue. */
    void note_end(const Delivery &delivery, const Answer &answer) noexcept;
    /*
     * How many requests were not taken as deliveries since this was last called, by counter. The main thread
     * is woken for the first of them only.
     */
    CounterValues take_refusals() noexcept;
    bool has_refusals() const noexcept { return has_refusals_; }

    ConnectionBounds connection_bounds() const override;
    bool is_shared() const noexcept override { return true; }
    std::shared_ptr<const TlsContext> tls() const override;
    Framing::Limits limits() const override;
    std::optional<Reply> check_head(const HttpRequest &request) const override;
    std::optional<Reply> serve(const HttpRequest &request, std::string &body, MemoryShare &memory,
                               Ticket ticket) override;
    Reply reply_to(const Answer &answer) const override;
    void refused(const Reply &reply) noexcept override;
    void handshake_failed(const char *reason) noexcept override;
    void received(std::size_t bytes) noexcept override;

private:
    std::shared_ptr<const WebhookConfig> config() const;
    void note_refusal(Counter counter, std::string_view what, std::string_view detail) noexcept;
    std::optional<Reply> enqueue(std::unique_ptr<Delivery> delivery, const WebhookConfig &config,
                                 Ticket ticket);

    Queue &queue_;
    StatisticsWriter statistics_;
    RecentDeliveries &recent_;
    const int worker_;
    std::array<std::atomic<std::uint64_t>, counter_count> refusals_{};
    std::atomic<bool> has_refusals_{false};
    mutable std::mutex mutex_; /* guards config_ only */
    std::shared_ptr<const WebhookConfig> config_ = std::make_shared<WebhookConfig>();
};

} // namespace cxone_sync
