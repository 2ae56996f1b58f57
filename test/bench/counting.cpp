/*
 * What counting costs: the extension's own counting of committed deliveries, with nothing else around it.
 * Linked with the extension's own objects.
 *
 *   counting events seconds      events: of each delivery
 */
#include "core/delivery.h"
#include "core/statistics.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using namespace cxone_sync;
using Clock = std::chrono::steady_clock;

constexpr std::size_t delivery_count = 1000; /* more than the processor's nearest caches hold */

double seconds_since(Clock::time_point start)
{
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/* Lags of all sizes, in no order: a branch that always goes one way costs nothing. */
std::vector<std::unique_ptr<Delivery>> make_deliveries(std::size_t events, Timestamp at)
{
    std::vector<std::unique_ptr<Delivery>> deliveries;
    std::uint64_t state = 1;

    for (std::size_t i = 0; i < delivery_count; i++) {
        auto delivery = std::make_unique<Delivery>();
        delivery->received = at - 2000;
        for (std::size_t n = 0; n < events; n++) {
            state = state * 6364136223846793005 + 1442695040888963407;
            Event event;
            event.number = static_cast<std::uint32_t>(n);
            event.time = at - static_cast<std::int64_t>(state >> 34);
            event.has_time = true;
            event.outcome = Outcome::applied;
            delivery->events.push_back(event);
        }
        deliveries.push_back(std::move(delivery));
    }
    return deliveries;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const auto events = static_cast<std::size_t>(std::atoi(argv[1]));
    const double seconds = std::atof(argv[2]);
    const Timestamp at = now();
    const auto deliveries = make_deliveries(events, at);
    const std::atomic<std::uint64_t> epoch{0};
    static WorkerStatistics statistics;
    StatisticsWriter writer(statistics, epoch);
    const Clock::time_point start = Clock::now();
    std::uint64_t counted = 0;

    while (seconds_since(start) < seconds) {
        for (const auto &delivery : deliveries)
            writer.count_committed(*delivery, delivery->counts(), at);
        counted += delivery_count * events;
    }
    const double took = seconds_since(start);
    std::printf("seconds=%.3f rate=%.0f events=%llu ns_per_event=%.2f\n", took,
                static_cast<double>(counted) / took, static_cast<unsigned long long>(counted),
                took * 1e9 / static_cast<double>(counted));
}
