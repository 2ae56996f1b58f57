#include "core/prometheus.h"

#include "cxone/contract.h"

#include <charconv>
#include <string_view>

namespace cxone_sync {
namespace {

constexpr std::int64_t us_per_second = 1'000'000;
constexpr std::int64_t unix_time_of_2000_us = 946'684'800 * us_per_second;

/* to_chars and not printf: the server's locale must not turn the point into a comma. */
void append(std::string &out, std::uint64_t number)
{
    char digits[20];
    const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), number);
    out.append(digits, end);
}

/* Microseconds as seconds, exactly and without zeros at the end. */
void append_seconds(std::string &out, std::int64_t us)
{
    /* Unsigned, because the smallest number has no positive counterpart. */
    const auto distance = us < 0 ? 0 - static_cast<std::uint64_t>(us) : static_cast<std::uint64_t>(us);
    std::uint64_t fraction = distance % us_per_second;

    if (us < 0)
        out += '-';
    append(out, distance / us_per_second);
    if (fraction == 0)
        return;
    out += '.';
    for (std::uint64_t place = us_per_second / 10; fraction != 0; place /= 10) {
        out += static_cast<char>('0' + fraction / place);
        fraction %= place;
    }
}

void append_head(std::string &out, std::string_view name, std::string_view type, std::string_view help)
{
    out.append("# HELP ").append(name).append(" ").append(help).append("\n");
    out.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

/* `series` is the metric's name with its labels. */
void append_sample(std::string &out, std::string_view series, const Counters::Count &value)
{
    out.append(series).append(" ");
    append(out, value.load(std::memory_order_relaxed));
    out += '\n';
}

void append_metric(std::string &out, std::string_view name, std::string_view type, std::string_view help,
                   const Counters::Count &value)
{
    append_head(out, name, type, help);
    append_sample(out, name, value);
}

void append_bucket(std::string &out, std::string_view status, std::int64_t bound_us, std::uint64_t count)
{
    out.append("cxone_sync_lag_seconds_bucket{status=\"").append(status).append("\",le=\"");
    if (bound_us == LagHistogram::upper_bound_us(LagHistogram::bucket_count - 1))
        out += "+Inf";
    else
        append_seconds(out, bound_us);
    out += "\"} ";
    append(out, count);
    out += '\n';
}

/* Buckets, sum and count from one copy: a scrape in which +Inf and _count differ breaks quantiles. */
void append_lag(std::string &out, std::string_view status, const LagHistogram &histogram)
{
    const LagHistogram::Snapshot lag = histogram.snapshot();

    for (int i = 0; i < contract::lag_bucket_count; i++) {
        const std::int64_t bound_us = contract::lag_bucket_us(i);
        append_bucket(out, status, bound_us, lag.count_up_to(bound_us));
    }
    append_bucket(out, status, LagHistogram::upper_bound_us(LagHistogram::bucket_count - 1), lag.count);

    out.append("cxone_sync_lag_seconds_sum{status=\"").append(status).append("\"} ");
    append_seconds(out, lag.sum_us);
    out.append("\ncxone_sync_lag_seconds_count{status=\"").append(status).append("\"} ");
    append(out, lag.count);
    out += '\n';
}

void append_last_commit(std::string &out, std::string_view status, const std::atomic<std::int64_t> &last)
{
    const std::int64_t timestamp = last.load(std::memory_order_relaxed);

    out.append("cxone_sync_last_commit_timestamp_seconds{status=\"").append(status).append("\"} ");
    append_seconds(out, timestamp == 0 ? 0 : timestamp + unix_time_of_2000_us);
    out += '\n';
}

void append_counters(std::string &out, const Counters &counters)
{
    append_head(out, "cxone_sync_events_total", "counter", "Committed events by what became of them.");
    append_sample(out, "cxone_sync_events_total{outcome=\"applied\"}", counters.events_applied);
    append_sample(out, "cxone_sync_events_total{outcome=\"skipped\"}", counters.events_skipped);
    append_sample(out, "cxone_sync_events_total{outcome=\"dead_lettered\"}", counters.events_dead_lettered);

    append_head(out, "cxone_sync_deliveries_total", "counter",
                "Answered deliveries: committed is 200, refused is 4xx, retry_later is 503.");
    append_sample(out, "cxone_sync_deliveries_total{outcome=\"committed\"}", counters.deliveries);
    append_sample(out, "cxone_sync_deliveries_total{outcome=\"refused\"}", counters.deliveries_refused);
    append_sample(out, "cxone_sync_deliveries_total{outcome=\"retry_later\"}", counters.deliveries_retry);

    append_metric(out, "cxone_sync_batches_total", "counter", "Committed transactions.", counters.batches);
}

void append_gauges(std::string &out, const Counters &counters)
{
    append_metric(out, "cxone_sync_connections", "gauge", "Open connections.", counters.connections);
    append_metric(out, "cxone_sync_queued_deliveries", "gauge", "Deliveries that wait for their commit.",
                  counters.queued_deliveries);
    append_metric(out, "cxone_sync_queued_events", "gauge", "Events that wait for their commit.",
                  counters.queued_events);
    append_metric(out, "cxone_sync_queued_bytes", "gauge",
                  "Size of the deliveries that wait for their commit.", counters.queued_bytes);
}

} // namespace

std::string prometheus_text(const Counters &counters)
{
    std::string out;
    out.reserve(4096);

    append_head(out, "cxone_sync_lag_seconds", "histogram",
                "Time from an event to its commit in PostgreSQL.");
    append_lag(out, "success", counters.success);
    append_lag(out, "failure", counters.failure);

    append_counters(out, counters);
    append_gauges(out, counters);

    append_head(out, "cxone_sync_last_commit_timestamp_seconds", "gauge",
                "Unix time of the last commit, 0 if there was none.");
    append_last_commit(out, "success", counters.last_success);
    append_last_commit(out, "failure", counters.last_failure);
    return out;
}

} // namespace cxone_sync
