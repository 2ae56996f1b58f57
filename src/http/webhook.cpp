#include "http/webhook.h"

#include "cxone/contract.h"
#include "http/header.h"
#include "http/inflate.h"

namespace cxone_sync {

namespace {

constexpr std::string_view retry_after = "Retry-After: 1";

/* A sender needs no more than that it should come again; the cause is in the log and in sync_status. */
Reply retry_reply(Counter counter)
{
    return error_reply(counter, 503, "not now, send it again", retry_after);
}

/* A sender who may not send is told no more than that. */
Reply unauthorized_reply(AuthenticationProblem problem, const Authenticator &authenticator)
{
    const Counter counter = problem == AuthenticationProblem::missing ? Counter::refused_no_credentials
                            : problem == AuthenticationProblem::stale ? Counter::refused_stale_signature
                                                                      : Counter::refused_wrong_credentials;
    return error_reply(counter, 401, "not authenticated", authenticator.challenge());
}

std::optional<Reply> check_request_line(const HttpRequest &request, const WebhookConfig &config)
{
    if (request.path != contract::webhook_path)
        return error_reply(404, "no such path");
    if (request.method != "POST")
        return error_reply(405, "webhooks are sent with POST", "Allow: POST");
    /* a connection outlives settings: one from elsewhere may have been opened while they asked for proof */
    if (!config.is_open || (!config.authenticator && !request.is_local))
        return retry_reply(Counter::retry_closed);
    /* a page that a browser on this machine shows, of whatever site (fetch.spec.whatwg.org, "Origin header"):
     * no service sends this */
    if (!config.authenticator && !header_value(request.head, "origin").empty())
        return error_reply(Counter::refused_no_credentials, 401, "not for browsers");
    return std::nullopt;
}

Reply committed_reply(const DeliveryCounts &counts)
{
    const auto member = [](std::string_view name, std::uint32_t count) {
        return "\"" + std::string(name) + "\":" + std::to_string(count);
    };
    return {.body = "{" + member("received", counts.received) + "," + member("applied", counts.applied) +
                    "," + member("skipped", counts.skipped) + "," +
                    member("dead_lettered", counts.dead_lettered) + "}\n"};
}

/* A body that came in pieces may have a buffer of twice its size; a small one is not worth a copy. */
void trim_buffer(std::string &body)
{
    constexpr std::size_t small = 64 * 1024;

    if (body.capacity() > small && body.capacity() - body.size() > body.size() / 4)
        body.shrink_to_fit();
}

} // namespace

Webhook::Webhook(Queue &queue, const StatisticsWriter &statistics, RecentDeliveries &recent, int worker)
    : Service(StatisticsWriter(statistics).gauges().connections), queue_(queue), statistics_(statistics),
      recent_(recent), worker_(worker)
{
}

void Webhook::configure(std::shared_ptr<const WebhookConfig> config)
{
    const std::lock_guard lock(mutex_);
    config_.swap(config);
}

std::shared_ptr<const WebhookConfig> Webhook::config() const
{
    const std::lock_guard lock(mutex_);
    return config_;
}

Service::ConnectionBounds Webhook::connection_bounds() const
{
    return config()->connections;
}

std::shared_ptr<const TlsContext> Webhook::tls() const
{
    return config()->tls;
}

Framing::Limits Webhook::limits() const
{
    return config()->framing;
}

std::optional<Reply> Webhook::check_head(const HttpRequest &request) const
{
    const std::shared_ptr<const WebhookConfig> config = this->config();

    if (std::optional<Reply> refusal = check_request_line(request, *config))
        return refusal;
    if (const Authenticator *authenticator = config->authenticator.get()) {
        const AuthenticationProblem problem = authenticator->check_head(request.head, now());
        if (problem != AuthenticationProblem::none)
            return unauthorized_reply(problem, *authenticator);
    }
    return std::nullopt;
}

std::optional<Reply> Webhook::serve(const HttpRequest &request, std::string &body, MemoryShare &memory,
                                    Ticket ticket)
{
    const std::shared_ptr<const WebhookConfig> config = this->config();

    if (std::optional<Reply> refusal = check_request_line(request, *config))
        return refusal;
    auto delivery = std::make_unique<Delivery>();
    delivery->received = now();
    if (const Authenticator *authenticator = config->authenticator.get()) {
        const AuthenticationProblem problem =
            authenticator->check(request.head, body, delivery->received, delivery->digest);
        if (problem != AuthenticationProblem::none)
            return unauthorized_reply(problem, *authenticator);
    }
    if (body.empty())
        return error_reply(Counter::refused_invalid_body, 400, "the body is empty");
    if (request.is_gzip) {
        if (std::optional<Reply> refusal = inflate_body(body, config->framing, memory))
            return refusal;
    }
    trim_buffer(body);
    delivery->body = std::move(body);
    delivery->memory = std::move(memory);
    memory = MemoryShare();
    const BodyRefusal refusal = parse_delivery(*delivery, config->mapping, config->parse);
    if (refusal.status == 400)
        return error_reply(Counter::refused_invalid_body, 400, refusal.reason);
    if (refusal.status != 0)
        return error_reply(refusal.status, refusal.reason);
    if (!delivery->memory.could_hold(delivery->size()))
        return error_reply(413, "the delivery takes more memory than cxone_sync.queue_size allows in all");
    if (!delivery->memory.grow_to(delivery->size()))
        return retry_reply(Counter::retry_queue_full);
    return enqueue(std::move(delivery), *config, ticket);
}

/* One that is remembered is not written again. */
std::optional<Reply> Webhook::enqueue(std::unique_ptr<Delivery> delivery, const WebhookConfig &config,
                                      Ticket ticket)
{
    const std::optional<Digest> digest = delivery->digest;
    DeliveryCounts counts;

    if (digest) {
        /* from as far ahead to as far behind as its time may be, it can be sent again */
        const std::int64_t keep_us = 2 * config.authenticator->tolerance_us();
        const RecentDeliveries::Seen seen =
            recent_.begin(*digest, worker_, delivery->received, keep_us, counts);
        if (seen == RecentDeliveries::Seen::committed) {
            statistics_.count(Counter::deliveries_repeated);
            return committed_reply(counts);
        }
        if (seen == RecentDeliveries::Seen::under_way)
            return retry_reply(Counter::retry_under_way);
    }
    Queue::Push pushed;
    try {
        pushed = queue_.push(delivery, ticket);
    } catch (...) {
        /* for want of memory: it must not be taken for one under way when it is sent again */
        if (digest)
            recent_.end(*digest, false, {});
        throw;
    }
    if (pushed == Queue::Push::done)
        return std::nullopt;
    if (digest)
        recent_.end(*digest, false, {});
    return retry_reply(pushed == Queue::Push::full ? Counter::retry_queue_full : Counter::retry_stopping);
}

void Webhook::note_end(const Delivery &delivery, const Answer &answer) noexcept
{
    if (delivery.digest)
        recent_.end(*delivery.digest, answer.committed, answer.counts);
}

Reply Webhook::reply_to(const Answer &answer) const
{
    if (!answer.committed)
        return retry_reply(Counter::retry_database);
    return committed_reply(answer.counts);
}

void Webhook::refused(const Reply &reply) noexcept
{
    const std::string_view body = reply.body;

    /* what the sender is told has nothing of what it has sent */
    note_refusal(reply.counter, "delivery not taken: ", body.substr(0, body.find('\n')));
}

void Webhook::handshake_failed(const char *reason) noexcept
{
    note_refusal(Counter::refused_tls, "TLS handshake failed: ", reason);
}

void Webhook::note_refusal(Counter counter, std::string_view what, std::string_view detail) noexcept
{
    statistics_.count(counter);
    refusals_[static_cast<std::size_t>(counter)].fetch_add(1, std::memory_order_relaxed);
    if (!has_refusals_ && !has_refusals_.exchange(true))
        queue_.wake();
    if (config()->is_debugging)
        queue_.log(what, detail, LogLevel::debug);
}

CounterValues Webhook::take_refusals() noexcept
{
    CounterValues taken{};

    has_refusals_ = false;
    for (std::size_t i = 0; i < counter_count; i++)
        taken[i] = refusals_[i].exchange(0, std::memory_order_relaxed);
    return taken;
}

void Webhook::received(std::size_t bytes) noexcept
{
    statistics_.count(Counter::received_bytes, bytes);
}

} // namespace cxone_sync
