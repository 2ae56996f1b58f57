#include "core/status_json.h"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <cstring>
#include <memory>

namespace cxone_sync {
namespace {

using rapidjson::Document;
using rapidjson::Value;

struct Shared {
    std::unique_ptr<Monitoring> memory = std::make_unique<Monitoring>();
    Monitoring &monitoring = *memory;
    StatisticsWriter writer = monitoring.statistics_of(monitoring.workers[0]);

    Shared() { monitoring.listener = 1; }
    Document read(std::string (*write)(const Overview &)) const
    {
        const auto overview = std::make_unique<Overview>();
        read_overview(monitoring, 820'638'245'000'001, *overview); /* 2026-01-02T03:04:05.000001Z */
        const std::string text = write(*overview);
        Document document;
        document.Parse<rapidjson::kParseValidateEncodingFlag>(text.data(), text.size());
        EXPECT_FALSE(document.HasParseError()) << text;
        EXPECT_EQ(text.find('\n'), text.size() - 1) << "one line";
        return document;
    }
    Document status() const { return read(status_json); }
    Document readiness() const { return read(readiness_json); }
};

TEST(StatusJson, OfAServerThatHasJustStarted)
{
    const Document status = Shared().status();
    EXPECT_EQ(status["now"].GetDouble(), 1767323045.000001);
    EXPECT_STREQ(status["version"].GetString(), library_version);
    EXPECT_FALSE(status["ready"].GetBool());
    EXPECT_TRUE(status["stats_since"].IsNull());
    ASSERT_EQ(status["workers"].Size(), 1u);
    const Value &worker = status["workers"][0];
    EXPECT_EQ(worker["worker"].GetInt(), 1);
    for (const char *name : {"pid", "address", "schema_version", "started_at", "last_error", "last_error_at"})
        EXPECT_TRUE(worker[name].IsNull()) << name;
    EXPECT_STREQ(worker["state"].GetString(), "stopped");
    EXPECT_EQ(worker["starts"].GetUint64(), 0u);
    ASSERT_EQ(worker["checks"].Size(), unsigned{check_count});
    EXPECT_FALSE(worker["checks"][0]["ok"].GetBool());
    EXPECT_STREQ(worker["checks"][0]["reason"].GetString(), "the worker does not run");
    EXPECT_TRUE(worker["checks"][1]["ok"].GetBool());
    EXPECT_TRUE(worker["checks"][1]["reason"].IsNull());

    for (const char *lag : {"lag", "intake_lag"})
        for (const char *of : {"success", "failure"}) {
            const Value &figures = status[lag][of];
            EXPECT_EQ(figures["events"].GetUint64(), 0u);
            for (const char *name : {"mean", "p50", "p95", "p99", "max", "last_commit"})
                EXPECT_TRUE(figures[name].IsNull()) << name;
            ASSERT_EQ(figures["buckets"].Size(), unsigned{shown_bucket_count + 1});
            EXPECT_TRUE(figures["buckets"][shown_bucket_count][0].IsNull()) << "no bound";
        }
    EXPECT_EQ(status["counters"].Size(), counter_count);
    EXPECT_TRUE(status["dead_letters"]["counted_at"].IsNull());
    EXPECT_TRUE(status["dead_letters"]["open"][0]["letters"].IsNull()) << "nobody has counted them";
    EXPECT_EQ(status["throughput"]["events"].Size(), unsigned{Throughput::slot_count});
    EXPECT_EQ(status["throughput"]["slot_seconds"].GetInt(), 10);
    EXPECT_STREQ(status["registration"]["state"].GetString(), "off");
    EXPECT_TRUE(status["registration"]["last_check"].IsNull());
}

TEST(StatusJson, Figures)
{
    Shared shared;
    WorkerSlot &slot = shared.monitoring.workers[0];
    slot.pid = 42;
    slot.state = WorkerState::running;
    slot.started_at = 820'638'245'000'000;
    shared.writer.count(Counter::events_applied, UINT64_MAX);
    Statistics &statistics = shared.writer.current();
    for (int i = 0; i < 100; i++)
        statistics.success.event.record(1'500'000);
    statistics.success.count_commit(100, 250, 820'638'245'000'000);
    shared.monitoring.dead_letters.set({.counted_at = 820'638'245'000'000, .open = {1, 2, 3, 4, 5}});
    shared.writer.gauges().queued_bytes = 81;
    shared.writer.gauges().queue_limit_bytes = 100;
    shared.writer.gauges().oldest_queued = 820'638'244'000'000;

    const Document status = shared.status();
    EXPECT_EQ(status["workers"][0]["pid"].GetInt(), 42);
    EXPECT_EQ(status["workers"][0]["started_at"].GetDouble(), 1767323045);
    EXPECT_STREQ(status["workers"][0]["checks"][4]["name"].GetString(), "queue");
    EXPECT_FALSE(status["workers"][0]["checks"][4]["ok"].GetBool());
    const Value &lag = status["lag"]["success"];
    EXPECT_EQ(lag["events"].GetInt(), 100);
    EXPECT_EQ(lag["mean"].GetDouble(), 1.5);
    EXPECT_EQ(lag["max"].GetDouble(), 1.5);
    EXPECT_NEAR(lag["p99"].GetDouble(), 1.5, 0.1);
    EXPECT_EQ(lag["buckets"][9][0].GetDouble(), 1.6);
    EXPECT_EQ(lag["buckets"][8][1].GetInt(), 0);
    EXPECT_EQ(lag["buckets"][9][1].GetInt(), 100);
    EXPECT_EQ(status["intake_lag"]["success"]["max"].GetDouble(), 0.00025);
    EXPECT_EQ(status["intake_lag"]["success"]["last_commit"].GetDouble(), 1767323045);
    for (const Value &counter : status["counters"].GetArray()) {
        const bool is_it = counter["outcome"].IsString() && counter["outcome"] == "applied";
        EXPECT_EQ(counter["total"].GetUint64(), is_it ? UINT64_MAX : 0);
    }
    EXPECT_TRUE(status["counters"][counter_count - 1]["outcome"].IsNull());
    EXPECT_EQ(status["dead_letters"]["open"][4]["letters"].GetInt(), 5);
    EXPECT_EQ(status["queue"]["oldest_waiting"].GetDouble(), 1.000001);

    const Document readiness = shared.readiness();
    EXPECT_FALSE(readiness["ready"].GetBool());
    const Value &checks = readiness["workers"][0]["checks"];
    EXPECT_TRUE(checks["endpoint"]["ok"].GetBool());
    EXPECT_FALSE(checks["endpoint"].HasMember("reason"));
    EXPECT_FALSE(checks["queue"]["ok"].GetBool());
    EXPECT_STREQ(checks["queue"]["reason"].GetString(), "0 of 0 kB are in use");
}

/* Texts of errors come from anywhere: the database, the service, a file name. */
TEST(StatusJson, HostileTexts)
{
    std::string every_byte;
    for (int c = 1; c < 256; c++)
        every_byte += static_cast<char>(c);
    const std::string long_euros = [] {
        std::string text = "x";
        for (int i = 0; i < 400; i++)
            text += "\xE2\x82\xAC";
        return text;
    }();
    for (const std::string &text :
         {std::string("\"},\"ready\":true,\"x\":{\"\\"), std::string("</script><script>alert(1)</script>"),
          std::string("\x01\x02\n\r\t\x1F\x7F"), std::string("\xE2\x80\xA8\xE2\x80\xA9"), every_byte,
          long_euros, std::string("\xED\xA0\x80"), std::string(511, '"'), std::string("\\")}) {
        Shared shared;
        shared.monitoring.workers[0].info.change([&text](WorkerInfo &info) {
            set_text(info.last_error, text);
            set_text(info.address, text);
            set_text(info.schema_version, text);
            for (ProblemText &problem : info.problems)
                set_text(problem, text);
        });
        shared.monitoring.registration.info.change([&text](RegistrationInfo &info) {
            set_text(info.name, text);
            set_text(info.remote_status, text);
            set_text(info.last_error, text);
            set_text(info.hint, text);
        });
        const Document status = shared.status();
        char expected[512];
        set_text(expected, text);
        const Value &shown = status["workers"][0]["last_error"];
        EXPECT_EQ(std::string(shown.GetString(), shown.GetStringLength()), expected);
        EXPECT_EQ(std::string(status["registration"]["last_error"].GetString()), expected);
        EXPECT_FALSE(status["ready"].GetBool());
        EXPECT_FALSE(shared.readiness()["ready"].GetBool());
    }
}

/* Who may reach the page need not be who may read where the service and the endpoint are. */
TEST(StatusJson, ShowsNoUrl)
{
    Shared shared;
    shared.monitoring.registration.info.change([](RegistrationInfo &info) {
        set_text(info.endpoint_url, "https://secret.example.com/webhook");
        set_text(info.remote_id, "remote-4711");
    });
    const auto overview = std::make_unique<Overview>();
    read_overview(shared.monitoring, 1, *overview);
    EXPECT_EQ(status_json(*overview).find("secret.example"), std::string::npos);
    EXPECT_EQ(readiness_json(*overview).find("secret.example"), std::string::npos);
}

} // namespace
} // namespace cxone_sync
