#include "core/status_json.h"

#include "core/decimal.h"
#include "core/json_text.h"

#include <string_view>

namespace cxone_sync {
namespace {

/* Writes one JSON text, member after member; knows where a comma belongs. */
class JsonWriter {
public:
    JsonWriter() { out_.reserve(8 * 1024); }

    JsonWriter &open(char bracket)
    {
        separate();
        out_ += bracket;
        is_first_ = true;
        return *this;
    }
    JsonWriter &close(char bracket)
    {
        out_ += bracket;
        is_first_ = false;
        return *this;
    }
    JsonWriter &key(std::string_view name)
    {
        separate();
        append_json_string(out_, name);
        out_ += ':';
        is_first_ = true; /* the value needs no comma */
        return *this;
    }

    void null() { value("null"); }
    void boolean(bool truth) { value(truth ? "true" : "false"); }
    template <typename Integer> void number(Integer number)
    {
        separate();
        append_integer(out_, number);
    }
    void seconds(std::int64_t us)
    {
        separate();
        append_seconds(out_, us);
    }
    /* null if it has not come */
    void time(std::int64_t timestamp)
    {
        if (timestamp == 0)
            null();
        else
            seconds(timestamp - unix_epoch_us);
    }
    /* null if empty */
    void text(std::string_view text)
    {
        if (text.empty()) {
            null();
            return;
        }
        separate();
        append_json_string(out_, text);
    }

    std::string end() { return std::move(out_ += '\n'); }

private:
    void separate()
    {
        if (!is_first_)
            out_ += ',';
        is_first_ = false;
    }
    void value(std::string_view text)
    {
        separate();
        out_ += text;
    }

    std::string out_;
    bool is_first_ = true;
};

void write_worker(JsonWriter &json, int number, const WorkerOverview &worker)
{
    const WorkerInfo &info = worker.info;

    json.open('{').key("worker").number(number);
    json.key("pid");
    worker.pid == 0 ? json.null() : json.number(worker.pid);
    json.key("state").text(worker_state_name(worker.state));
    json.key("address").text(info.address);
    json.key("schema_version").text(info.schema_version);
    json.key("started_at").time(worker.started_at);
    json.key("starts").number(worker.starts);
    json.key("ready").boolean(worker.is_ready);
    json.key("checks").open('[');
    for (int i = 0; i < check_count; i++) {
        json.open('{').key("name").text(check_name(i));
        json.key("ok").boolean(info.problems[i][0] == '\0');
        json.key("reason").text(info.problems[i]);
        json.close('}');
    }
    json.close(']');
    json.key("last_error").text(info.last_error);
    json.key("last_error_at").time(info.last_error_at);
    json.close('}');
}

void write_lag(JsonWriter &json, const LagHistogram::Snapshot &lag, std::int64_t last_commit)
{
    const auto duration = [&](std::string_view name, std::int64_t us) {
        json.key(name);
        lag.count == 0 ? json.null() : json.seconds(us);
    };

    json.open('{').key("events").number(lag.count);
    duration("mean", lag.mean_us());
    duration("p50", lag.quantile_us(0.50));
    duration("p95", lag.quantile_us(0.95));
    duration("p99", lag.quantile_us(0.99));
    duration("max", lag.max_us);
    json.key("last_commit").time(last_commit);
    json.key("buckets").open('[');
    for (int i = 0; i < shown_bucket_count; i++) {
        json.open('[').seconds(shown_bucket_us(i));
        json.number(lag.count_up_to(shown_bucket_us(i)));
        json.close(']');
    }
    json.open('[').null();
    json.number(lag.count);
    json.close(']').close(']').close('}');
}

void write_lags(JsonWriter &json, const StatisticsSnapshot &statistics)
{
    const LagSnapshot &success = statistics.success;
    const LagSnapshot &failure = statistics.failure;

    json.key("lag").open('{');
    write_lag(json.key("success"), success.event, success.last_commit);
    write_lag(json.key("failure"), failure.event, failure.last_commit);
    json.close('}');
    json.key("intake_lag").open('{');
    write_lag(json.key("success"), success.intake, success.last_commit);
    write_lag(json.key("failure"), failure.intake, failure.last_commit);
    json.close('}');
}

void write_counters(JsonWriter &json, const CounterValues &values)
{
    json.key("counters").open('[');
    for (std::size_t i = 0; i < counter_count; i++) {
        const CounterName &counter = counter_name(static_cast<Counter>(i));
        json.open('{').key("counter").text(counter.name);
        json.key("outcome").text(counter.outcome);
        json.key("reason").text(counter.reason);
        json.key("total").number(values[i]);
        json.close('}');
    }
    json.close(']');
}

void write_queue(JsonWriter &json, const QueueOverview &queue)
{
    json.key("queue").open('{').key("deliveries").number(queue.deliveries);
    json.key("events").number(queue.events);
    json.key("bytes").number(queue.bytes);
    json.key("limit_bytes").number(queue.limit_bytes);
    json.key("oldest_waiting").seconds(queue.oldest_waiting_us);
    json.close('}').key("connections").number(queue.connections);
}

void write_dead_letters(JsonWriter &json, const DeadLetterCounts &letters)
{
    json.key("dead_letters").open('{').key("counted_at").time(letters.counted_at);
    json.key("limit").number(letters.limit);
    json.key("open").open('[');
    for (int i = 0; i < dead_letter_reason_count; i++) {
        json.open('{').key("reason").text(dead_letter_reason_name(i));
        json.key("letters");
        letters.counted_at == 0 ? json.null() : json.number(letters.open[i]);
        json.close('}');
    }
    json.close(']').close('}');
}

void write_throughput(JsonWriter &json, const Throughput::Sums &sums)
{
    json.key("throughput").open('{').key("slot_seconds").number(Throughput::slot_us / us_per_second);
    json.key("events").open('[');
    for (const std::uint64_t events : sums)
        json.number(events);
    json.close(']').close('}');
}

void write_registration(JsonWriter &json, const RegistrationInfo &registration)
{
    json.key("registration").open('{').key("state").text(registration_state_name(registration.state));
    json.key("name").text(registration.name);
    json.key("remote_status").text(registration.remote_status);
    json.key("duplicates").number(registration.duplicates);
    json.key("others").number(registration.others);
    json.key("last_check").time(registration.last_check);
    json.key("next_try").time(registration.next_try);
    json.key("last_error").text(registration.last_error);
    json.key("hint").text(registration.hint);
    json.key("last_error_at").time(registration.last_error_at);
    json.close('}');
}

} // namespace

std::string status_json(const Overview &overview)
{
    JsonWriter json;

    json.open('{').key("now").time(overview.at);
    json.key("version").text(library_version);
    json.key("stats_since").time(overview.statistics_since);
    json.key("ready").boolean(overview.is_ready);
    json.key("workers").open('[');
    for (int i = 0; i < overview.worker_count; i++)
        write_worker(json, i + 1, overview.workers[i]);
    json.close(']');
    write_lags(json, overview.statistics);
    write_counters(json, overview.statistics.counters);
    write_queue(json, overview.queue);
    write_dead_letters(json, overview.dead_letters);
    write_throughput(json, overview.throughput);
    write_registration(json, overview.registration);
    json.close('}');
    return json.end();
}

std::string readiness_json(const Overview &overview)
{
    JsonWriter json;

    json.open('{').key("ready").boolean(overview.is_ready);
    json.key("workers").open('[');
    for (int i = 0; i < overview.worker_count; i++) {
        const WorkerOverview &worker = overview.workers[i];
        json.open('{').key("worker").number(i + 1);
        json.key("ready").boolean(worker.is_ready);
        json.key("checks").open('{');
        for (int check = 0; check < check_count; check++) {
            const char *problem = worker.info.problems[check];
            json.key(check_name(check)).open('{').key("ok").boolean(*problem == '\0');
            if (*problem != '\0')
                json.key("reason").text(problem);
            json.close('}');
        }
        json.close('}').close('}');
    }
    json.close(']').close('}');
    return json.end();
}

} // namespace cxone_sync
