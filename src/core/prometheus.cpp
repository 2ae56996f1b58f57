#include "core/prometheus.h"

#include "core/decimal.h"

#include <string_view>

namespace cxone_sync {
namespace {

enum class Type { counter, gauge, histogram, info };

/* One label of a sample, as text; an empty name is none. */
struct Label {
    std::string_view name;
    std::string_view value;
};

/* Writes metrics in the one format or the other; a metric's name comes without "cxone_sync_". */
class Exposition {
public:
    explicit Exposition(MetricsFormat format) : format_(format) { out_.reserve(24 * 1024); }

    void begin(std::string_view name, Type type, std::string_view help);
    /* A sample of the metric that was begun last. */
    void count(std::uint64_t value, Label first = {}, Label second = {});
    void seconds(std::int64_t us, Label label = {});
    /* A point in time, which is 0 if it has not come. */
    void time(std::int64_t timestamp, Label label = {});
    void unknown(Label label);
    void histogram(const LagHistogram::Snapshot &lag, std::string_view status);
    std::string end();

private:
    void append_series(std::string_view suffix, Label first, Label second);
    void append_label(char before, Label label);
    void append_bucket(std::string_view status, std::string_view bound, std::uint64_t count);

    MetricsFormat format_;
    std::string out_;
    std::string_view name_;
    std::string_view suffix_; /* of its samples' names */
};

void Exposition::begin(std::string_view name, Type type, std::string_view help)
{
    const bool open = format_ == MetricsFormat::open_metrics;
    std::string_view type_name = "gauge";

    name_ = name;
    suffix_ = "";
    if (type == Type::counter) {
        type_name = "counter";
        suffix_ = "_total";
    } else if (type == Type::histogram) {
        type_name = "histogram";
    } else if (type == Type::info) {
        type_name = open ? "info" : "gauge";
        suffix_ = "_info";
    }
    /* the older format declares samples, the newer one the metric that they are of */
    const std::string_view declared_suffix = open ? std::string_view() : suffix_;
    for (const auto &[keyword, text] : {std::pair("# HELP ", help), std::pair("# TYPE ", type_name)}) {
        out_.append(keyword).append("cxone_sync_").append(name_).append(declared_suffix);
        out_.append(" ").append(text).append("\n");
    }
}

/* Our values need no escapes: none comes from data. */
void Exposition::append_label(char before, Label label)
{
    out_ += before;
    out_.append(label.name).append("=\"").append(label.value).append("\"");
}

void Exposition::append_series(std::string_view suffix, Label first, Label second)
{
    out_.append("cxone_sync_").append(name_).append(suffix);
    if (!first.value.empty())
        append_label('{', first);
    if (!second.value.empty())
        append_label(first.value.empty() ? '{' : ',', second);
    if (!first.value.empty() || !second.value.empty())
        out_ += '}';
    out_ += ' ';
}

void Exposition::count(std::uint64_t value, Label first, Label second)
{
    append_series(suffix_, first, second);
    append_integer(out_, value);
    out_ += '\n';
}

void Exposition::seconds(std::int64_t us, Label label)
{
    append_series(suffix_, label, {});
    append_seconds(out_, us);
    out_ += '\n';
}

void Exposition::time(std::int64_t timestamp, Label label)
{
    seconds(timestamp == 0 ? 0 : timestamp - unix_epoch_us, label);
}

void Exposition::unknown(Label label)
{
    append_series(suffix_, label, {});
    out_ += "NaN\n";
}

void Exposition::append_bucket(std::string_view status, std::string_view bound, std::uint64_t count)
{
    append_series("_bucket", {"status", status}, {"le", bound});
    append_integer(out_, count);
    out_ += '\n';
}

/* Buckets, sum and count from one copy: a scrape in which +Inf and _count differ breaks quantiles. */
void Exposition::histogram(const LagHistogram::Snapshot &lag, std::string_view status)
{
    for (int i = 0; i < shown_bucket_count; i++) {
        std::string bound;
        append_seconds(bound, shown_bucket_us(i));
        append_bucket(status, bound, lag.count_up_to(shown_bucket_us(i)));
    }
    append_bucket(status, "+Inf", lag.count);

    append_series("_sum", {"status", status}, {});
    append_seconds(out_, lag.sum_us);
    out_ += '\n';
    append_series("_count", {"status", status}, {});
    append_integer(out_, lag.count);
    out_ += '\n';
}

std::string Exposition::end()
{
    if (format_ == MetricsFormat::open_metrics)
        out_ += "# EOF\n";
    return std::move(out_);
}

/* ---- the metrics ---- */

void write_lags(Exposition &out, const StatisticsSnapshot &statistics)
{
    out.begin("lag_seconds", Type::histogram, "Time from an event's own time to its commit in PostgreSQL.");
    out.histogram(statistics.success.event, "success");
    out.histogram(statistics.failure.event, "failure");
    out.begin("intake_lag_seconds", Type::histogram,
              "Time from the last byte of an event's request to its commit in PostgreSQL.");
    out.histogram(statistics.success.intake, "success");
    out.histogram(statistics.failure.intake, "failure");
    out.begin("last_commit_timestamp_seconds", Type::gauge,
              "Unix time of the last commit of such an event, 0 if there was none.");
    out.time(statistics.success.last_commit, {"status", "success"});
    out.time(statistics.failure.last_commit, {"status", "failure"});
}

void write_counters(Exposition &out, const Overview &overview)
{
    std::string_view name;

    for (std::size_t i = 0; i < counter_count; i++) {
        const CounterName &counter = counter_name(static_cast<Counter>(i));
        if (name != counter.name)
            out.begin(counter.name, Type::counter, counter.help);
        name = counter.name;
        out.count(overview.statistics.counters[i], {"outcome", counter.outcome}, {"reason", counter.reason});
    }
    out.begin("stats_reset_timestamp_seconds", Type::gauge,
              "Unix time since when is counted: of the server's start or of reset_stats().");
    out.time(overview.statistics_since);
}

void write_queue(Exposition &out, const QueueOverview &queue)
{
    out.begin("connections", Type::gauge, "Open connections of senders.");
    out.count(queue.connections);
    out.begin("queued_deliveries", Type::gauge, "Deliveries that wait to be written.");
    out.count(queue.deliveries);
    out.begin("queued_events", Type::gauge, "Events that wait to be written.");
    out.count(queue.events);
    out.begin("queued_bytes", Type::gauge, "Memory of requests that arrive or wait for their commit.");
    out.count(queue.bytes);
    out.begin("queue_limit_bytes", Type::gauge, "Most of that memory, as cxone_sync.queue_size sets it.");
    out.count(queue.limit_bytes);
    out.begin("oldest_waiting_seconds", Type::gauge,
              "How long the oldest delivery without an answer has waited, 0 if none waits.");
    out.seconds(queue.oldest_waiting_us);
}

void write_dead_letters(Exposition &out, const DeadLetterCounts &letters)
{
    out.begin(
        "dead_letters_open", Type::gauge,
        "Rows of dead_letters by what is wrong, counted up to 10000 in all; NaN until they are counted.");
    for (int i = 0; i < dead_letter_reason_count; i++) {
        if (letters.counted_at == 0)
            out.unknown({"reason", dead_letter_reason_name(i)});
        else
            out.count(letters.open[i], {"reason", dead_letter_reason_name(i)});
    }
}

void write_readiness(Exposition &out, const Overview &overview)
{
    out.begin("ready", Type::gauge, "1 if deliveries are taken and written, as /readyz says.");
    out.count(overview.is_ready);
    out.begin(
        "ready_check", Type::gauge,
        "1 if every worker that takes deliveries has what this check looks at, or every one if none does.");
    for (int i = 0; i < check_count; i++)
        out.count(overview.passes(i), {"check", check_name(i)});
}

void write_workers(Exposition &out, const Overview &overview)
{
    const auto for_each = [&overview](auto write) {
        for (int i = 0; i < overview.worker_count; i++)
            write(overview.workers[i], Label{"worker", std::to_string(i + 1)});
    };

    out.begin("worker_up", Type::gauge, "1 if the process of the intake worker runs.");
    for_each([&out](const WorkerOverview &worker, Label label) { out.count(worker.pid != 0, label); });
    out.begin("worker_start_time_seconds", Type::gauge, "Unix time of the worker's last start.");
    for_each([&out](const WorkerOverview &worker, Label label) { out.time(worker.started_at, label); });
    out.begin("worker_starts", Type::counter, "Starts of the worker since the server started.");
    for_each([&out](const WorkerOverview &worker, Label label) { out.count(worker.starts, label); });
}

/* Of the worker whose certificate is the first to expire. */
void write_certificate(Exposition &out, const Overview &overview)
{
    std::int64_t expires_at = 0;

    for (const WorkerOverview &worker : overview.used_workers()) {
        const std::int64_t its = worker.info.certificate_expires_at;
        if (its != 0 && (expires_at == 0 || its < expires_at))
            expires_at = its;
    }
    out.begin("certificate_expires_timestamp_seconds", Type::gauge,
              "Unix time when the certificate for webhooks stops to be valid, 0 without TLS.");
    out.time(expires_at);
}

void write_registration(Exposition &out, const RegistrationInfo &registration)
{
    out.begin("registration_state", Type::gauge, "1 for the state of the registration with CXone.");
    for (int i = 0; i < registration_state_count; i++) {
        const auto state = static_cast<RegistrationState>(i);
        out.count(registration.state == state, {"state", registration_state_name(state)});
    }
    out.begin("registration_last_check_timestamp_seconds", Type::gauge,
              "Unix time when CXone was last asked, 0 if never.");
    out.time(registration.last_check);
}

} // namespace

std::string prometheus_text(const Overview &overview, MetricsFormat format)
{
    Exposition out(format);

    write_lags(out, overview.statistics);
    write_counters(out, overview);
    write_queue(out, overview.queue);
    write_dead_letters(out, overview.dead_letters);
    write_readiness(out, overview);
    write_workers(out, overview);
    write_certificate(out, overview);
    write_registration(out, overview.registration);
    out.begin("build", Type::info, "Version of the library.");
    out.count(1, {"version", library_version});
    return out.end();
}

} // namespace cxone_sync
