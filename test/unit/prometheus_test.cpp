#include "core/prometheus.h"

#include "cxone/contract.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <sstream>
#include <thread>

namespace cxone_sync {
namespace {

/* The text, read back as a scraper would: what was declared, and the value of each series. */
struct Scrape {
    std::map<std::string, std::string> types;
    std::map<std::string, std::string> helps;
    std::map<std::string, std::string> samples;

    double number(const std::string &series) const { return std::stod(samples.at(series)); }
};

std::string name_of(const std::string &series)
{
    return series.substr(0, series.find('{'));
}

/* _bucket, _sum and _count are samples of the histogram that was declared without them. */
std::string declared_name(const Scrape &scrape, const std::string &series)
{
    const std::string name = name_of(series);
    for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
        if (name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix) {
            const std::string base = name.substr(0, name.size() - suffix.size());
            if (scrape.types.count(base) != 0 && scrape.types.at(base) == "histogram")
                return base;
        }
    }
    return name;
}

void read_line(const std::string &line, Scrape &scrape)
{
    std::istringstream words(line);
    std::string hash, keyword, name, rest;
    if (line[0] != '#') {
        const std::size_t blank = line.rfind(' ');
        const std::string series = line.substr(0, blank);
        EXPECT_TRUE(scrape.samples.emplace(series, line.substr(blank + 1)).second) << "twice: " << line;
        EXPECT_TRUE(scrape.types.count(declared_name(scrape, series))) << "undeclared: " << line;
        return;
    }
    words >> hash >> keyword >> name;
    std::getline(words >> std::ws, rest);
    EXPECT_TRUE(keyword == "HELP" || keyword == "TYPE") << line;
    EXPECT_FALSE(rest.empty()) << line;
    EXPECT_TRUE((keyword == "HELP" ? scrape.helps : scrape.types).emplace(name, rest).second)
        << "twice: " << line;
}

/* A server's shared memory, and its one worker. */
struct Figures {
    Monitoring monitoring;
    StatisticsWriter writer = monitoring.statistics_of(monitoring.workers[0]);

    Figures() { monitoring.listener = 1; }
    std::string text(MetricsFormat format = MetricsFormat::text, Timestamp at = 0) const
    {
        Overview overview;
        read_overview(monitoring, at, overview);
        return prometheus_text(overview, format);
    }
    Scrape scrape(Timestamp at = 0) const
    {
        Scrape scrape;
        const std::string all = text(MetricsFormat::text, at);
        EXPECT_EQ(all.back(), '\n');
        std::istringstream lines(all);
        for (std::string line; std::getline(lines, line);)
            read_line(line, scrape);
        return scrape;
    }
};

TEST(Prometheus, EveryMetricIsDeclaredOnce)
{
    const Figures figures;
    const Scrape scrape = figures.scrape();
    const std::map<std::string, std::string> expected = {
        {"cxone_sync_lag_seconds", "histogram"},
        {"cxone_sync_intake_lag_seconds", "histogram"},
        {"cxone_sync_last_commit_timestamp_seconds", "gauge"},
        {"cxone_sync_deliveries_total", "counter"},
        {"cxone_sync_events_total", "counter"},
        {"cxone_sync_received_bytes_total", "counter"},
        {"cxone_sync_batches_total", "counter"},
        {"cxone_sync_commits_total", "counter"},
        {"cxone_sync_rollbacks_total", "counter"},
        {"cxone_sync_stats_reset_timestamp_seconds", "gauge"},
        {"cxone_sync_connections", "gauge"},
        {"cxone_sync_queued_deliveries", "gauge"},
        {"cxone_sync_queued_events", "gauge"},
        {"cxone_sync_queued_bytes", "gauge"},
        {"cxone_sync_queue_limit_bytes", "gauge"},
        {"cxone_sync_oldest_waiting_seconds", "gauge"},
        {"cxone_sync_dead_letters_open", "gauge"},
        {"cxone_sync_ready", "gauge"},
        {"cxone_sync_ready_check", "gauge"},
        {"cxone_sync_worker_up", "gauge"},
        {"cxone_sync_worker_start_time_seconds", "gauge"},
        {"cxone_sync_worker_starts_total", "counter"},
        {"cxone_sync_certificate_expires_timestamp_seconds", "gauge"},
        {"cxone_sync_registration_state", "gauge"},
        {"cxone_sync_registration_last_check_timestamp_seconds", "gauge"},
        {"cxone_sync_build_info", "gauge"},
    };
    EXPECT_EQ(scrape.types, expected);
    EXPECT_EQ(scrape.helps.size(), expected.size());

    std::set<std::string> sampled;
    for (const auto &[series, value] : scrape.samples)
        sampled.insert(declared_name(scrape, series));
    EXPECT_EQ(sampled.size(), expected.size());
}

TEST(Prometheus, HistogramHasTheContractsBucketsAndMore)
{
    Figures figures;
    Statistics &statistics = figures.writer.current();
    for (const std::int64_t lag : {0, 100'000, 100'001, 700'000, 12'800'000, 12'800'001})
        statistics.success.event.record(lag);
    statistics.failure.event.record(1'000);
    statistics.success.count_commit(3, 50'000, 1);

    const Scrape scrape = figures.scrape();
    const auto bucket = [&](const std::string &bound) {
        return scrape.samples.at("cxone_sync_lag_seconds_bucket{status=\"success\",le=\"" + bound + "\"}");
    };
    EXPECT_EQ(bucket("0.003125"), "1");
    EXPECT_EQ(bucket("0.05"), "1");
    EXPECT_EQ(bucket("0.1"), "2");
    EXPECT_EQ(bucket("0.2"), "3");
    EXPECT_EQ(bucket("0.4"), "3");
    EXPECT_EQ(bucket("0.8"), "4");
    EXPECT_EQ(bucket("1.6"), "4");
    EXPECT_EQ(bucket("3.2"), "4");
    EXPECT_EQ(bucket("6.4"), "4");
    EXPECT_EQ(bucket("12.8"), "5");
    EXPECT_EQ(bucket("25.6"), "6");
    EXPECT_EQ(bucket("51.2"), "6");
    EXPECT_EQ(bucket("104857.6"), "6");
    EXPECT_EQ(bucket("+Inf"), "6");
    EXPECT_EQ(scrape.samples.at("cxone_sync_lag_seconds_count{status=\"success\"}"), "6");
    EXPECT_EQ(scrape.samples.at("cxone_sync_lag_seconds_sum{status=\"success\"}"), "26.500002");
    EXPECT_EQ(scrape.samples.at("cxone_sync_lag_seconds_bucket{status=\"failure\",le=\"0.1\"}"), "1");
    EXPECT_EQ(scrape.samples.at("cxone_sync_lag_seconds_sum{status=\"failure\"}"), "0.001");
    EXPECT_EQ(scrape.samples.at("cxone_sync_intake_lag_seconds_count{status=\"success\"}"), "3");
    EXPECT_EQ(scrape.samples.at("cxone_sync_intake_lag_seconds_sum{status=\"success\"}"), "0.15");
    EXPECT_EQ(scrape.samples.at("cxone_sync_intake_lag_seconds_count{status=\"failure\"}"), "0");
    for (int i = 0; i < contract::lag_bucket_count; i++)
        EXPECT_EQ(shown_bucket_us(5 + i), contract::lag_bucket_us(i));
}

TEST(Prometheus, EveryCounterHasItsOwnPlace)
{
    Figures figures;
    for (std::size_t i = 0; i < counter_count; i++)
        figures.writer.count(static_cast<Counter>(i), i + 1);

    const Scrape scrape = figures.scrape();
    for (std::size_t i = 0; i < counter_count; i++) {
        const CounterName &name = counter_name(static_cast<Counter>(i));
        const std::string outcome = name.outcome;
        const std::string reason = name.reason;
        std::string series = "cxone_sync_" + std::string(name.name) + "_total";
        if (!outcome.empty())
            series +=
                "{outcome=\"" + outcome + "\"" + (reason.empty() ? "" : ",reason=\"" + reason + "\"") + "}";
        EXPECT_EQ(scrape.samples.at(series), std::to_string(i + 1)) << series;
    }

    figures.writer.current().of(Counter::batches) = UINT64_MAX;
    EXPECT_EQ(figures.scrape().samples.at("cxone_sync_batches_total"), "18446744073709551615");
}

TEST(Prometheus, Gauges)
{
    Figures figures;
    Gauges &gauges = figures.writer.gauges();
    gauges.connections = 1;
    gauges.queued_deliveries = 2;
    gauges.queued_events = 3;
    gauges.queued_bytes = 81;
    gauges.queue_limit_bytes = 100;
    gauges.oldest_queued = 5'000'000;
    gauges.oldest_in_batch = 4'500'000;
    figures.monitoring.workers[0].pid = 42;

    const Scrape scrape = figures.scrape(6'000'000);
    EXPECT_EQ(scrape.samples.at("cxone_sync_connections"), "1");
    EXPECT_EQ(scrape.samples.at("cxone_sync_queued_deliveries"), "2");
    EXPECT_EQ(scrape.samples.at("cxone_sync_queued_events"), "3");
    EXPECT_EQ(scrape.samples.at("cxone_sync_queued_bytes"), "81");
    EXPECT_EQ(scrape.samples.at("cxone_sync_queue_limit_bytes"), "100");
    EXPECT_EQ(scrape.samples.at("cxone_sync_oldest_waiting_seconds"), "1.5");
    EXPECT_EQ(scrape.samples.at("cxone_sync_ready"), "0");
    EXPECT_EQ(scrape.samples.at("cxone_sync_ready_check{check=\"queue\"}"), "0");
    EXPECT_EQ(scrape.samples.at("cxone_sync_ready_check{check=\"endpoint\"}"), "1");
    EXPECT_EQ(scrape.samples.at("cxone_sync_worker_up{worker=\"1\"}"), "1");

    gauges.oldest_in_batch = 0;
    EXPECT_EQ(figures.scrape(6'000'000).samples.at("cxone_sync_oldest_waiting_seconds"), "1");
    gauges.oldest_queued = 0;
    EXPECT_EQ(figures.scrape(6'000'000).samples.at("cxone_sync_oldest_waiting_seconds"), "0");
}

TEST(Prometheus, DeadLettersAreUnknownUntilTheyAreCounted)
{
    Figures figures;
    const std::string series = "cxone_sync_dead_letters_open{reason=\"value\"}";
    EXPECT_EQ(figures.scrape().samples.at(series), "NaN");
    figures.monitoring.dead_letters.set({.counted_at = 1, .open = {7, 0, 0, 0, 2}});
    EXPECT_EQ(figures.scrape().samples.at(series), "7");
    EXPECT_EQ(figures.scrape().samples.at("cxone_sync_dead_letters_open{reason=\"other\"}"), "2");
}

TEST(Prometheus, LastCommitIsUnixTime)
{
    Figures figures;
    figures.writer.current().success.last_commit = 820'638'245'000'001; /* 2026-01-02T03:04:05.000001Z */
    const Scrape scrape = figures.scrape();
    const std::string name = "cxone_sync_last_commit_timestamp_seconds";
    EXPECT_EQ(scrape.samples.at(name + "{status=\"success\"}"), "1767323045.000001");
    EXPECT_EQ(scrape.samples.at(name + "{status=\"failure\"}"), "0");
}

TEST(Prometheus, OpenMetricsDeclaresMetricsAndEnds)
{
    const Figures figures;
    const std::string text = figures.text(MetricsFormat::open_metrics);
    EXPECT_NE(text.find("# TYPE cxone_sync_deliveries counter\n"), std::string::npos);
    EXPECT_NE(text.find("\ncxone_sync_deliveries_total{outcome=\"committed\"} 0\n"), std::string::npos);
    EXPECT_NE(text.find("# TYPE cxone_sync_build info\ncxone_sync_build_info{"), std::string::npos);
    EXPECT_TRUE(text.ends_with("\n# EOF\n"));
    EXPECT_EQ(figures.text().find("EOF"), std::string::npos);
}

/* A scrape in the middle of recording must still be a histogram: buckets rise, and +Inf is the count. */
TEST(Prometheus, ConsistentWhileRecording)
{
    Figures figures;
    std::atomic<bool> stop{false};
    std::thread writer([&figures, &stop] {
        for (int i = 0; !stop; i = (i + 1) % 100'000)
            figures.writer.current().success.event.record(i * 200);
    });

    double previous = 0;
    for (int scrapes = 0; scrapes < 500 || previous == 0; scrapes++) {
        const Scrape scrape = figures.scrape();
        double below = 0;
        for (const char *bound : {"0.1", "0.2", "0.4", "0.8", "1.6", "3.2", "6.4", "12.8", "+Inf"}) {
            const std::string series = "cxone_sync_lag_seconds_bucket{status=\"success\",le=\"";
            const double here = scrape.number(series + bound + "\"}");
            EXPECT_GE(here, below);
            below = here;
        }
        EXPECT_EQ(scrape.number("cxone_sync_lag_seconds_count{status=\"success\"}"), below);
        EXPECT_GE(below, previous);
        previous = below;
    }
    stop = true;
    writer.join();
}

} // namespace
} // namespace cxone_sync
