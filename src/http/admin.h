#pragma once

#include "core/monitoring.h"
#include "core/prometheus.h"
#include "http/service.h"
#include "http/status_page.h"

namespace cxone_sync {

/*
 * What operators look at, on a port of its own: senders cannot read it, and who may read it cannot send. GET
 * / is the status page, /status.json its figures, /metrics those for Prometheus, /livez and /readyz say
 * whether the worker serves and whether deliveries are taken.
 */
class Admin : public Service {
public:
    explicit Admin(const Monitoring &monitoring) : Service(open_connections_), monitoring_(monitoring) {}

    ConnectionBounds connection_bounds() const override;
    bool is_shared() const noexcept override { return false; }
    std::shared_ptr<const TlsContext> tls() const override
    {
        return nullptr;
    } /* on loopback addresses only */
    Framing::Limits limits() const override;
    std::optional<Reply> check_head(const HttpRequest &) const override { return std::nullopt; }
    std::optional<Reply> serve(const HttpRequest &request, std::string &body, MemoryShare &memory,
                               Ticket ticket) override;
    Reply reply_to(const Answer &answer) const override;
    void refused(const Reply &) noexcept override {}
    void handshake_failed(const char *) noexcept override {}
    void received(std::size_t) noexcept override {}

private:
    const Monitoring &monitoring_;
    std::atomic<std::uint64_t> open_connections_{0};
    StatusPage page_;
};

/* The format that a scraper wants, by its Accept header (RFC 9110 section 12.5.1). */
MetricsFormat accepted_format(std::string_view accept);

} // namespace cxone_sync
