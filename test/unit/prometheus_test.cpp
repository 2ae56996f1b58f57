#include "core/prometheus.h"

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

Scrape scrape_of(const Counters &counters)
{
    Scrape scrape;
    const std::string text = prometheus_text(counters);
    EXPECT_EQ(text.back(), '\n');
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        read_line(line, scrape);
    return scrape;
}

TEST(Prometheus, EveryMetricIsDeclaredOnce)
{
    const Counters counters;
    const Scrape scrape = scrape_of(counters);
    const std::map<std::string, std::string> expected = {
        {"cxone_sync_lag_seconds", "histogram"},
        {"cxone_sync_events_total", "counter"},
        {"cxone_sync_deliveries_total", "counter"},
        {"cxone_sync_batches_total", "counter"},
        {"cxone_sync_connections", "gauge"},
        {"cxone_sync_queued_deliveries", "gauge"},
        {"cxone_sync_queued_events", "gauge"},
        {"cxone_sync_queued_bytes", "gauge"},
        {"cxone_sync_last_commit_timestamp_seconds", "gauge"},
    };
    EXPECT_EQ(scrape.types, expected);
    EXPECT_EQ(scrape.helps.size(), expected.size());

    std::set<std::string> sampled;
    for (const auto &[series, value] : scrape.samples) {
        sampled.insert(declared_name(scrape, series));
        EXPECT_EQ(value, "0") << series;
    }
    EXPECT_EQ(sampled.size(), expected.size());
}

TEST(Prometheus, HistogramHasTheContractsBuckets)
{
    Counters counters;
    for (const std::int64_t lag : {0, 100'000, 100'001, 700'000, 12'800'000, 12'800'001})
        counters.success.record(lag);
    counters.failure.record(1'000);

    const Scrape scrape = scrape_of(counters);
    const auto bucket = [&](const std::string &bound) {
        return scrape.samples.at("cxone_sync_lag_seconds_bucket{status=\"success\",le=\"" + bound + "\"}");
    };
    EXPECT_EQ(bucket("0.1"), "2");
    EXPECT_EQ(bucket("0.2"), "3");
    EXPECT_EQ(bucket("0.4"), "3");
    EXPECT_EQ(bucket("0.8"), "4");
    EXPECT_EQ(bucket("1.6"), "4");
    EXPECT_EQ(bucket("3.2"), "4");
    EXPECT_EQ(bucket("6.4"), "4");
    EXPECT_EQ(bucket("12.8"), "5");
    EXPECT_EQ(bucket("+Inf"), "6");
    EXPECT_EQ(scrape.samples.at("cxone_sync_lag_seconds_count{status=\"success\"}"), "6");
    EXPECT_EQ(scrape.samples.at("cxone_sync_lag_seconds_sum{status=\"success\"}"), "26.500002");
    EXPECT_EQ(scrape.samples.at("cxone_sync_lag_seconds_bucket{status=\"failure\",le=\"0.1\"}"), "1");
    EXPECT_EQ(scrape.samples.at("cxone_sync_lag_seconds_sum{status=\"failure\"}"), "0.001");
    EXPECT_EQ(scrape.samples.size(), 2 * (9 + 2) + 3 + 3 + 1 + 4 + 2u);
}

TEST(Prometheus, EveryCounterHasItsOwnPlace)
{
    Counters counters;
    std::uint64_t value = 1;
    for (Counters::Count *count :
         {&counters.events_applied, &counters.events_skipped, &counters.events_dead_lettered,
          &counters.deliveries, &counters.deliveries_refused, &counters.deliveries_retry, &counters.batches,
          &counters.connections, &counters.queued_deliveries, &counters.queued_events,
          &counters.queued_bytes})
        *count = value++;

    const Scrape scrape = scrape_of(counters);
    value = 1;
    for (const char *series :
         {"cxone_sync_events_total{outcome=\"applied\"}", "cxone_sync_events_total{outcome=\"skipped\"}",
          "cxone_sync_events_total{outcome=\"dead_lettered\"}",
          "cxone_sync_deliveries_total{outcome=\"committed\"}",
          "cxone_sync_deliveries_total{outcome=\"refused\"}",
          "cxone_sync_deliveries_total{outcome=\"retry_later\"}", "cxone_sync_batches_total",
          "cxone_sync_connections", "cxone_sync_queued_deliveries", "cxone_sync_queued_events",
          "cxone_sync_queued_bytes"})
        EXPECT_EQ(scrape.samples.at(series), std::to_string(value++)) << series;

    counters.batches = UINT64_MAX;
    EXPECT_EQ(scrape_of(counters).samples.at("cxone_sync_batches_total"), "18446744073709551615");
}

TEST(Prometheus, LastCommitIsUnixTime)
{
    Counters counters;
    counters.last_success = 820'638'245'000'001; /* 2026-01-02T03:04:05.000001Z */
    counters.last_failure = -946'684'800'500'000;
    const Scrape scrape = scrape_of(counters);
    const std::string name = "cxone_sync_last_commit_timestamp_seconds";
    EXPECT_EQ(scrape.samples.at(name + "{status=\"success\"}"), "1767323045.000001");
    EXPECT_EQ(scrape.samples.at(name + "{status=\"failure\"}"), "-0.5");
}

/* A scrape in the middle of recording must still be a histogram: buckets rise, and +Inf is the count. */
TEST(Prometheus, ConsistentWhileRecording)
{
    Counters counters;
    std::atomic<bool> stop{false};
    std::thread writer([&counters, &stop] {
        for (int i = 0; !stop; i = (i + 1) % 100'000)
            counters.success.record(i * 200);
    });

    double previous = 0;
    for (int scrapes = 0; scrapes < 500 || previous == 0; scrapes++) {
        const Scrape scrape = scrape_of(counters);
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
