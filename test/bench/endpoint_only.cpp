/*
 * The endpoint without the database: the extension's own network threads, parser and queue, with a main
 * thread that answers every delivery at once as if it were committed. Linked with the extension's own
 * objects.
 *
 *   endpoint_only port threads      until SIGTERM
 */
#include "core/json_pointer.h"
#include "core/queue.h"
#include "cxone/contract.h"
#include "http/endpoint.h"
#include "http/webhook.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <sys/signalfd.h>

namespace {

using namespace cxone_sync;

constexpr unsigned batch_size = 1000; /* the default of cxone_sync.batch_size */

std::shared_ptr<const WebhookConfig> config()
{
    Mapping::TargetSpec target{.name = "contact_records", .keys = {0}};
    target.time_paths = {json_pointer_to("", contract::time_key)};
    for (const char *name : {"id", "external_id", "first_name", "last_name", "email"})
        target.columns.push_back({.name = name});
    auto config = std::make_shared<WebhookConfig>();
    config->framing.max_body = 4 << 20;
    config->is_open = true;
    config->mapping = std::make_shared<const Mapping>(std::vector{std::move(target)});
    return config;
}

void answer_batch(Queue &queue, Endpoint &endpoint)
{
    std::vector<QueuedDelivery> batch;
    std::vector<Answer> answers;

    queue.take(batch_size, batch);
    for (const QueuedDelivery &queued : batch) {
        for (Event &event : queued.delivery->events)
            event.outcome = event.refusal.sqlstate ? Outcome::dead_lettered : Outcome::applied;
        answers.push_back({.ticket = queued.ticket, .committed = true, .counts = queued.delivery->counts()});
    }
    endpoint.answer(answers);
}

int serve(int port, unsigned threads, int stop_fd)
{
    const std::atomic<std::uint64_t> epoch{0};
    WorkerStatistics statistics;
    StatisticsWriter writer(statistics, epoch);
    Queue queue(writer.gauges());
    Endpoint endpoint(threads, writer.gauges(), queue);
    const auto recent = std::make_unique<RecentDeliveries>();
    auto webhook = std::make_shared<Webhook>(queue, writer, *recent);
    Timestamp oldest;
    std::size_t events;

    endpoint.budget().set_limit(32 << 20);
    webhook->configure(config());
    const std::string problem = endpoint.listen(webhook, "127.0.0.1", port);
    if (!problem.empty()) {
        std::fprintf(stderr, "endpoint_only: port %d: %s\n", port, problem.c_str());
        return 1;
    }
    pollfd fds[] = {{.fd = queue.event_fd(), .events = POLLIN, .revents = 0},
                    {.fd = stop_fd, .events = POLLIN, .revents = 0}};
    while (poll(fds, 2, -1) >= 0 && fds[1].revents == 0) {
        queue.clear_event();
        while (queue.waiting(oldest, events))
            answer_batch(queue, endpoint);
    }
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    sigset_t stop;

    if (argc != 3)
        return 2;
    sigemptyset(&stop);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
        sigaddset(&stop, signal);
    sigprocmask(SIG_BLOCK, &stop, nullptr);
    return serve(std::atoi(argv[1]), static_cast<unsigned>(std::atoi(argv[2])), signalfd(-1, &stop, 0));
}
