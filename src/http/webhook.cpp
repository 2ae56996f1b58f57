#include "http/webhook.h"

#include "cxone/contract.h"

namespace cxone_sync {

namespace {

constexpr std::string_view retry_after = "Retry-After: 1";

/* A sender needs no more than that it should come again; the cause is in the log and in sync_status. */
Reply retry_reply(Counter counter)
{
    return error_reply(counter, 503, "not now, send it again", retry_after);
}

/* A body that came in pieces may have a buffer of twice its size; a small one is not worth a copy. */
void trim_buffer(std::string &body)
{
    constexpr std::size_t small = 64 * 1024;

    if (body.capacity() > small && body.capacity() - body.size() > body.size() / 4)
        body.shrink_to_fit();
}

} // namespace

Webhook::Webhook(Queue &queue, const StatisticsWriter &statistics)
    : Service(StatisticsWriter(statistics).gauges().connections), queue_(queue), statistics_(statistics)
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

std::uint64_t Webhook::max_connections() const
{
    return config()->max_connections;
}

Framing::Limits Webhook::limits() const
{
    Framing::Limits limits;
    limits.max_body = config()->max_body;
    return limits;
}

std::optional<Reply> Webhook::serve(const HttpRequest &request, std::string &body, MemoryShare &memory,
                                    Ticket ticket)
{
    if (request.path != contract::webhook_path)
        return error_reply(404, "no such path");
    if (request.method != "POST")
        return error_reply(405, "webhooks are sent with POST", "Allow: POST");
    if (body.empty())
        return error_reply(Counter::refused_invalid_body, 400, "the body is empty");

    trim_buffer(body);
    const std::shared_ptr<const WebhookConfig> config = this->config();
    auto delivery = std::make_unique<Delivery>();
    delivery->received = now();
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
    if (!queue_.push(delivery, ticket))
        return retry_reply(Counter::retry_stopping);
    return std::nullopt;
}

Reply Webhook::reply_to(const Answer &answer) const
{
    if (!answer.committed)
        return retry_reply(Counter::retry_database);
    const auto member = [](std::string_view name, std::uint32_t count) {
        return "\"" + std::string(name) + "\":" + std::to_string(count);
    };
    return {.body = "{" + member("received", answer.counts.received) + "," +
                    member("applied", answer.counts.applied) + "," +
                    member("skipped", answer.counts.skipped) + "," +
                    member("dead_lettered", answer.counts.dead_lettered) + "}\n"};
}

void Webhook::refused(const Reply &reply) noexcept
{
    statistics_.count(reply.counter);
    refusals_[static_cast<std::size_t>(reply.counter)].fetch_add(1, std::memory_order_relaxed);
    if (!has_refusals_ && !has_refusals_.exchange(true))
        queue_.wake();
    if (config()->is_debugging) {
        /* what the sender is told has nothing of what it has sent */
        const std::string_view body = reply.body;
        queue_.log("delivery not taken: ", body.substr(0, body.find('\n')), LogLevel::debug);
    }
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
