#include "cxone/http_client.h"
#include "cxone/json_value.h"
#include "cxone/registration.h"
#include "cxone/registration_thread.h"

#include "core/json_text.h"
#include "local_server.h"

#include <gtest/gtest.h>

#include <chrono>
#include <curl/curl.h>
#include <poll.h>
#include <thread>

namespace cxone_sync {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Clock = std::chrono::steady_clock;
using Failure = HttpResult::Failure;
using Outcome = RegistrationResult::Outcome;

/* Nothing below waits longer than this for anything. */
constexpr int patience_ms = 10'000;
/* Below every time-out of a call, so that only a cancellation can be as fast; a busy machine may take its
 * time. */
constexpr int prompt_ms = 8'000;

std::int64_t ms_since(Clock::time_point start)
{
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

class CurlEnvironment : public testing::Environment {
public:
    void SetUp() override
    {
        /* what the machine's user has set is no concern of the tests */
        for (const char *name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
            unsetenv(name);
        curl_global_init(CURL_GLOBAL_DEFAULT);
    }
    void TearDown() override { curl_global_cleanup(); }
};
[[maybe_unused]] testing::Environment *const curl_environment =
    testing::AddGlobalTestEnvironment(new CurlEnvironment);

/* ---- HttpClient ---- */

HttpCall get(const std::string &url)
{
    HttpCall call;
    call.url = url;
    call.timeout_ms = patience_ms;
    return call;
}

/* What a server that always answers so is understood as. */
HttpResult result_of(const LocalServer::Answer &answer)
{
    LocalServer server([&](const LocalServer::Request &) { return answer; });
    return HttpClient().perform(get(server.url("/")));
}

HttpResult result_of(const std::string &bytes)
{
    return result_of(LocalServer::Answer{bytes, {}, false});
}

/* A port where nobody listens. */
int closed_port()
{
    return LocalServer([](const LocalServer::Request &) { return LocalServer::Answer(); }).port();
}

TEST(CxoneHttpClient, Get)
{
    LocalServer server(
        [](const LocalServer::Request &) { return LocalServer::reply(200, "{\"a\":1}", "X-Other: y\r\n"); });
    HttpClient client;
    HttpCall call = get(server.url("/a/../b?c=d"));
    call.headers.emplace_back("Authorization: Bearer t0k");
    const HttpResult result = client.perform(call);
    EXPECT_EQ(result.failure, Failure::none) << result.problem;
    EXPECT_EQ(result.problem, "");
    EXPECT_EQ(result.status, 200);
    EXPECT_EQ(result.body, "{\"a\":1}");
    EXPECT_EQ(result.content_type, "application/json");
    EXPECT_EQ(result.retry_after_s, 0);
    EXPECT_EQ(result.location + result.next, "");

    const LocalServer::Request request = server.requests().at(0);
    EXPECT_EQ(request.line, "GET /a/../b?c=d HTTP/1.1");
    EXPECT_TRUE(request.has("Authorization: Bearer t0k")) << request.head;
    EXPECT_TRUE(request.has("Accept: application/json")) << request.head;
    EXPECT_TRUE(request.has("User-Agent: cxone_sync")) << request.head;
    EXPECT_EQ(request.head.find("Upgrade"), std::string::npos);
    EXPECT_EQ(request.head.find("Content-Length"), std::string::npos);
    EXPECT_EQ(request.body, "");
}

TEST(CxoneHttpClient, Bodies)
{
    LocalServer server([](const LocalServer::Request &) { return LocalServer::reply(200, ""); });
    HttpClient client;
    for (const char *method : {"POST", "PUT"}) {
        /* more than what curl would ask leave for by "Expect: 100-continue" */
        for (const std::string &body : {"a\0b"s, std::string(100'000, 'x'), std::string(2'000'000, 'y')}) {
            HttpCall call = get(server.url("/"));
            call.method = method;
            call.body = Secret(body);
            call.headers.emplace_back("Content-Type: application/json");
            EXPECT_EQ(client.perform(call).failure, Failure::none);
            const LocalServer::Request request = server.requests().back();
            EXPECT_EQ(request.line, method + " / HTTP/1.1"s);
            EXPECT_TRUE(request.body == body);
            EXPECT_TRUE(request.has("Content-Type: application/json")) << request.head;
            EXPECT_EQ(request.head.find("Expect"), std::string::npos);
        }
    }
    HttpCall call = get(server.url("/1"));
    call.method = "DELETE";
    EXPECT_EQ(client.perform(call).status, 200);
    EXPECT_EQ(server.requests().back().line, "DELETE /1 HTTP/1.1");
}

TEST(CxoneHttpClient, EveryStatusIsAReply)
{
    for (const int status : {201, 204, 304, 400, 401, 404, 429, 500, 503, 599}) {
        const HttpResult result = result_of(LocalServer::reply(status, status == 204 ? "" : "x"));
        EXPECT_EQ(result.failure, Failure::none) << status << result.problem;
        EXPECT_EQ(result.status, status);
    }
}

TEST(CxoneHttpClient, RedirectsAreNotFollowed)
{
    LocalServer other([](const LocalServer::Request &) { return LocalServer::reply(200, "astray"); });
    LocalServer server([&](const LocalServer::Request &) {
        return LocalServer::reply(302, "moved", "Location: " + other.url("/x") + "\r\n");
    });
    const HttpResult result = HttpClient().perform(get(server.url("/")));
    EXPECT_EQ(result.failure, Failure::none);
    EXPECT_EQ(result.status, 302);
    EXPECT_EQ(result.body, "moved");
    EXPECT_EQ(result.location, other.url("/x"));
    EXPECT_TRUE(other.requests().empty());
    EXPECT_EQ(server.requests().size(), 1u);
}

TEST(CxoneHttpClient, ProxiesOfTheEnvironmentDoNotCountForThisMachine)
{
    LocalServer server([](const LocalServer::Request &) { return LocalServer::reply(200, "direct"); });
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    EXPECT_EQ(HttpClient().perform(get(server.url("/"))).body, "direct");
    unsetenv("http_proxy");
}

TEST(CxoneHttpClient, RetryAfter)
{
    const auto retry_after = [](const std::string &value) {
        return result_of(LocalServer::reply(429, "", "Retry-After: " + value + "\r\n")).retry_after_s;
    };
    const auto date_in = [](int seconds) {
        const std::time_t time = std::time(nullptr) + seconds;
        std::tm parts{};
        char text[64];
        gmtime_r(&time, &parts);
        std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        return std::string(text);
    };
    EXPECT_EQ(retry_after("7"), 7);
    EXPECT_EQ(retry_after("0"), 0);
    EXPECT_EQ(retry_after("-5"), 0);
    EXPECT_EQ(retry_after("soon"), 0);
    EXPECT_EQ(retry_after(""), 0);
    /* newer versions of libcurl cut it to six hours */
    EXPECT_GE(retry_after("99999999999"), 6 * 3600);
    EXPECT_GE(retry_after(date_in(120)), 110);
    EXPECT_LE(retry_after(date_in(120)), 120);
    EXPECT_EQ(retry_after(date_in(-120)), 0);
    EXPECT_EQ(result_of(LocalServer::reply(429, "", "retry-after: 3\r\n")).retry_after_s, 3);
}

TEST(CxoneHttpClient, LinkHeader)
{
    const auto next = [](const std::string &headers) {
        return result_of(LocalServer::reply(200, "[]", headers)).next;
    };
    EXPECT_EQ(next("Link: </p2>; rel=\"next\"\r\n"), "/p2");
    EXPECT_EQ(next("link:</p2>;rel=next\r\n"), "/p2");
    EXPECT_EQ(next("Link: </p0>; rel=\"prev\", </p2>; title=\"x\"; rel=\"next\", </p9>; rel=\"last\"\r\n"),
              "/p2");
    EXPECT_EQ(next("Link: </p0>; rel=\"prev\"\r\nLink: </p2>; rel=\"next\"\r\n"), "/p2");
    EXPECT_EQ(next("Link: <?a=1,2;3>; rel=\"next\"\r\n"), "?a=1,2;3");
    for (const char *headers :
         {"", "Link: \r\n", "Link: <\r\n", "Link: </p2>\r\n", "Link: rel=\"next\"\r\n",
          "Link: </p2; rel=\"next\"\r\n", "X-Link: </p2>; rel=\"next\"\r\n", "Link: <>; rel=\"next\"\r\n"})
        EXPECT_EQ(next(headers), "") << headers;
}

/* RFC 8288 section 3: names in any case, blanks around "=", several relations in one text. */
TEST(CxoneHttpClient, LinkHeaderInOtherForms)
{
    const auto next = [](const std::string &headers) {
        return result_of(LocalServer::reply(200, "[]", headers)).next;
    };
    EXPECT_EQ(next("Link: </p2>; REL=\"next\"\r\n"), "/p2");
    EXPECT_EQ(next("Link: </p2>; rel=\"Next\"\r\n"), "/p2");
    EXPECT_EQ(next("Link: </p2>; rel = \"next\"\r\n"), "/p2");
    EXPECT_EQ(next("Link: </p2>; rel=\"last next\"\r\n"), "/p2");
    EXPECT_EQ(next("Link: </p2>; rel=next-archive\r\n"), "");
    EXPECT_EQ(next("Link: </p2>; title=\"rel=next\"; rel=prev\r\n"), "");
}

TEST(CxoneHttpClient, ALargeBodyIsRefused)
{
    const std::string head = "HTTP/1.1 200 OK\r\n\r\n";
    const std::string most(HttpClient::max_body, 'x');
    EXPECT_EQ(result_of(head + most).body.size(), HttpClient::max_body);

    LocalServer server([&](const LocalServer::Request &request) {
        if (request.line.find("/length") != std::string::npos)
            return LocalServer::reply(200, most + "x");
        return LocalServer::Answer{head, std::string(64 * 1024, 'x'), false};
    });
    HttpClient client;
    for (const char *path : {"/endless", "/length"}) {
        const HttpResult result = client.perform(get(server.url(path)));
        EXPECT_EQ(result.failure, Failure::permanent) << path;
        EXPECT_EQ(result.problem, "the reply is larger than 1024 kB");
        EXPECT_LE(result.body.size(), HttpClient::max_body);
    }
    /* it was not read to the end: only what the sockets hold has been sent too much */
    EXPECT_LT(server.flooded_bytes(), 64u * 1024 * 1024);
}

TEST(CxoneHttpClient, AFloodOfHeadersIsRefused)
{
    const std::string line = "X-Flood: " + std::string(100, 'x') + "\r\n";
    const HttpResult result = result_of({"HTTP/1.1 200 OK\r\n", line, false});
    EXPECT_EQ(result.failure, Failure::permanent) << result.problem;
    EXPECT_EQ(result.problem, "the reply has more than 64 kB of headers");

    const HttpResult one_line = result_of({"HTTP/1.1 200 OK\r\nX-Flood: ", std::string(8192, 'x'), false});
    EXPECT_NE(one_line.failure, Failure::none);
    EXPECT_EQ(result_of("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n").problem,
              "the reply has more than 64 kB of headers");
    /* of interim replies too */
    EXPECT_NE(result_of({"", "HTTP/1.1 100 Continue\r\n\r\n", false}).failure, Failure::none);
}

TEST(CxoneHttpClient, AnEndlessHeaderIsPermanentToo)
{
    const HttpResult result = result_of({"HTTP/1.1 200 OK\r\nX-Flood: ", std::string(8192, 'x'), false});
    EXPECT_EQ(result.failure, Failure::permanent) << result.problem;
}

TEST(CxoneHttpClient, WhatIsNoReply)
{
    for (const std::string &bytes :
         {""s, "garbage\r\n\r\n"s, "\0\1\2\3"s, "SSH-2.0-OpenSSH_9\r\n"s, "HTTP/1.1\r\n\r\n"s,
          "<html>old</html>"s, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut"s,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"s,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"s}) {
        const HttpResult result = result_of(bytes);
        EXPECT_EQ(result.failure, Failure::transient) << bytes;
        EXPECT_NE(result.problem, "") << bytes;
        EXPECT_EQ(result.status, 0);
    }
}

TEST(CxoneHttpClient, ConnectionRefused)
{
    const HttpResult result =
        HttpClient().perform(get("http://127.0.0.1:" + std::to_string(closed_port()) + "/"));
    EXPECT_EQ(result.failure, Failure::transient);
    EXPECT_NE(result.problem, "");
}

TEST(CxoneHttpClient, NoTlsNoReply)
{
    LocalServer server([](const LocalServer::Request &) { return LocalServer::reply(200, "plain"); });
    /* the server waits for the end of a head that is no text, and stops with the call */
    HttpCall call = get("https://127.0.0.1:" + std::to_string(server.port()) + "/");
    call.timeout_ms = 100;
    const HttpResult result = HttpClient().perform(call);
    EXPECT_NE(result.failure, Failure::none);
    EXPECT_TRUE(server.requests().empty());
    EXPECT_EQ(result.body, "");

    call.ca_file = "/nonexistent/ca.pem";
    EXPECT_NE(HttpClient().perform(call).failure, Failure::none);
}

TEST(CxoneHttpClient, OtherProtocols)
{
    for (const char *url : {"file:///etc/passwd", "ftp://127.0.0.1/", "dict://127.0.0.1/", ""}) {
        const HttpResult result = HttpClient().perform(get(url));
        EXPECT_NE(result.failure, Failure::none) << url;
        EXPECT_EQ(result.body, "") << url;
    }
}

TEST(CxoneHttpClient, TimeOut)
{
    for (const std::string &begin : {""s, "HTTP/1.1 200 OK\r\n"s, "HTTP/1.1 200 OK\r\n\r\nsome"s}) {
        LocalServer server([&](const LocalServer::Request &) {
            return LocalServer::Answer{begin, {}, true};
        });
        HttpCall call = get(server.url("/"));
        call.timeout_ms = 50;
        const auto start = Clock::now();
        const HttpResult result = HttpClient().perform(call);
        EXPECT_EQ(result.failure, Failure::transient);
        EXPECT_NE(result.problem, "");
        EXPECT_LT(ms_since(start), prompt_ms);
    }
}

TEST(CxoneHttpClient, CancelEndsACallUnderWay)
{
    LocalServer server([](const LocalServer::Request &) { return LocalServer::Answer{{}, {}, true}; });
    HttpClient client;
    Clock::time_point cancelled_at;
    std::thread canceller([&] {
        EXPECT_TRUE(server.wait_for(1));
        cancelled_at = Clock::now();
        client.cancel();
    });
    const HttpResult result = client.perform(get(server.url("/")));
    canceller.join();
    EXPECT_EQ(result.failure, Failure::cancelled);
    EXPECT_LT(ms_since(cancelled_at), prompt_ms);
    /* and every later one */
    EXPECT_EQ(client.perform(get(server.url("/"))).failure, Failure::cancelled);
    EXPECT_EQ(server.requests().size(), 1u);
}

TEST(CxoneHttpClient, OneAfterTheOther)
{
    LocalServer server([](const LocalServer::Request &request) {
        if (request.line.find("/cut") != std::string::npos)
            return LocalServer::Answer{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", {}, false};
        return LocalServer::reply(200, request.line);
    });
    HttpClient client;
    for (int i = 0; i < 20; i++) {
        const std::string path = i % 3 ? "/" + std::to_string(i) : "/cut";
        const HttpResult result = client.perform(get(server.url(path)));
        EXPECT_EQ(result.failure, i % 3 ? Failure::none : Failure::transient);
        EXPECT_EQ(result.body, i % 3 ? "GET " + path + " HTTP/1.1" : "cut");
    }
}

/* ---- Registration ---- */

/* What CXone keeps, as far as it is asked for it. */
class Service {
public:
    Service() : server_([this](const LocalServer::Request &request) { return answer(request); }) {}

    struct Action {
        std::string id, name, url, description;
    };

    ApiSettings settings() const
    {
        ApiSettings settings;
        settings.token_url = server_.url("/token");
        settings.data_actions_url = server_.url("/actions");
        settings.token_timeout_ms = settings.api_timeout_ms = patience_ms;
        settings.client_id = "id";
        settings.client_secret = Secret("s+cret/==");
        settings.token_fields = {"access_token"};
        settings.list_fields = {"dataActions"};
        settings.expiry_fields = {"expires_in"};
        settings.name = "Consumer";
        settings.description = "what it does";
        settings.endpoint_url = "https://hook.example/webhook";
        return settings;
    }

    /* The calls since it was asked the last time. */
    std::string calls()
    {
        const std::string all = server_.calls();
        const std::string more = all.substr(std::min(all.size(), seen_));
        seen_ = all.size() + 2;
        return more;
    }
    std::string ids() const
    {
        std::string ids;
        for (const Action &action : actions)
            ids += action.id + " ";
        return ids;
    }
    LocalServer &server() { return server_; }

    std::vector<Action> actions;
    bool hides_new = false;
    std::string shown_url; /* instead of the one that was registered */
    int valid_token = 0;   /* the one issued last; others get 401 */
    LocalServer::Handler before = [](const LocalServer::Request &) { return LocalServer::Answer(); };

private:
    static std::string one(const Action &action)
    {
        return "{\"id\":" + json_quoted(action.id) + ",\"name\":" + json_quoted(action.name) +
               ",\"endpointUrl\":" + json_quoted(action.url) +
               ",\"description\":" + json_quoted(action.description) + "}";
    }
    Action read(const std::string &id, const std::string &body) const
    {
        std::string problem;
        const JsonValue value = parse_json_value(body, problem).value_or(JsonValue());
        EXPECT_EQ(value.text_of("format"), "json") << body;
        return {id, std::string(value.text_of("name")),
                shown_url.empty() ? std::string(value.text_of("endpointUrl")) : shown_url,
                std::string(value.text_of("description"))};
    }

    LocalServer::Answer answer(const LocalServer::Request &request)
    {
        const std::string method = request.line.substr(0, request.line.find(' '));
        const std::size_t path_at = method.size() + 1;
        const std::string path = request.line.substr(path_at, request.line.rfind(' ') - path_at);
        const LocalServer::Answer instead = before(request);

        if (!instead.bytes.empty() || instead.hangs)
            return instead;
        if (path == "/token")
            return LocalServer::reply(200, "{\"access_token\":\"token-" + std::to_string(++valid_token) +
                                               "\",\"expires_in\":3600}");
        if (!request.has("Authorization: Bearer token-" + std::to_string(valid_token)))
            return LocalServer::reply(401, "{\"message\":\"token expired\"}");
        if (method == "GET")
            return list();
        if (method == "POST") {
            const Action created = read(std::to_string(next_id_++), request.body);
            if (!hides_new)
                actions.push_back(created);
            return LocalServer::reply(201, one(created));
        }
        const std::string id = path.substr(path.rfind('/') + 1);
        for (std::size_t i = 0; i < actions.size(); i++) {
            if (actions[i].id != id)
                continue;
            if (method == "PUT")
                actions[i] = read(id, request.body);
            else
                actions.erase(actions.begin() + static_cast<std::ptrdiff_t>(i));
            return LocalServer::reply(200, "");
        }
        return LocalServer::reply(404, "{\"message\":\"no such action\"}");
    }
    LocalServer::Answer list() const
    {
        std::string body;
        for (const Action &action : actions)
            body += (body.empty() ? "" : ",") + one(action);
        return LocalServer::reply(200, "{\"dataActions\":[" + body + "]}");
    }

    std::size_t seen_ = 0;
    int next_id_ = 100;
    LocalServer server_; /* the last: its thread uses the others */
};

/* The server's thread touches the service's members only while a call of the test's thread waits for it. */
class CxoneRegistration : public testing::Test {
protected:
    RegistrationResult check(const KnownRegistration &known = {})
    {
        return registration_.check(service_.settings(), known);
    }
    static KnownRegistration known_from(const RegistrationResult &result)
    {
        return {result.action.id, result.action.name, result.action.endpoint_url, result.is_unlisted};
    }
    Service::Action ours(const std::string &id) const
    {
        const ApiSettings settings = service_.settings();
        return {id, settings.name, settings.endpoint_url, settings.description};
    }
    /* Answers so what has this in its first line. */
    void answer_to(const std::string &line, const LocalServer::Answer &answer)
    {
        service_.before = [=](const LocalServer::Request &request) {
            return request.line.find(line) == request.line.npos ? LocalServer::Answer() : answer;
        };
    }

    Service service_;
    Registration registration_;
};

TEST_F(CxoneRegistration, CreatesWhatIsNotThere)
{
    service_.actions = {{"1", "Other", "https://other.example/", ""},
                        {"2", "Consumer", "https://other.example/", ""}};
    const RegistrationResult result = check();
    EXPECT_EQ(result.outcome, Outcome::done) << result.problem;
    EXPECT_STREQ(result.change, "created");
    EXPECT_EQ(result.problem + result.hint, "");
    EXPECT_EQ(result.action.id, "100");
    EXPECT_EQ(result.action.name, "Consumer");
    EXPECT_EQ(result.action.endpoint_url, "https://hook.example/webhook");
    EXPECT_EQ(result.others, 1u);
    EXPECT_EQ(result.duplicates, 0u);
    EXPECT_FALSE(result.is_unlisted);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, POST /actions, GET /actions");

    const std::vector<LocalServer::Request> requests = service_.server().requests();
    EXPECT_EQ(requests[0].body, "grant_type=client_credentials&client_id=id&client_secret=s%2Bcret%2F%3D%3D");
    EXPECT_TRUE(requests[2].has("Content-Type: application/json"));
    EXPECT_EQ(requests[2].body, R"({"name":"Consumer","description":"what it does",)"
                                R"("endpointUrl":"https://hook.example/webhook","format":"json"})");

    /* the next check finds it */
    const RegistrationResult again = check(known_from(result));
    EXPECT_STREQ(again.change, "");
    EXPECT_EQ(service_.calls(), "GET /actions");
    EXPECT_EQ(service_.ids(), "1 2 100 ");
}

TEST_F(CxoneRegistration, UpdatesWhatIsOtherwise)
{
    service_.actions = {ours("7")};
    service_.actions[0].description = "old";
    const RegistrationResult result = check();
    EXPECT_EQ(result.outcome, Outcome::done) << result.problem;
    EXPECT_STREQ(result.change, "updated");
    EXPECT_EQ(result.action.id, "7");
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, PUT /actions/7, GET /actions");
    EXPECT_EQ(service_.actions.at(0).description, "what it does");
}

TEST_F(CxoneRegistration, FollowsTheSettings)
{
    service_.actions = {{"7", "Consumer", "https://old.example/webhook", "what it does"}};
    const RegistrationResult result =
        check({.id = "7", .name = "Consumer", .endpoint_url = "https://old.example/webhook"});
    EXPECT_STREQ(result.change, "updated") << result.problem;
    EXPECT_EQ(service_.actions.at(0).url, "https://hook.example/webhook");
    EXPECT_EQ(result.action.endpoint_url, "https://hook.example/webhook");
    EXPECT_EQ(result.others, 0u);
}

TEST_F(CxoneRegistration, AnIdIsOneSegmentOfThePath)
{
    service_.actions = {ours("a/../b?c#d%")};
    service_.actions[0].description = "old";
    (void)check();
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, PUT /actions/a%2F..%2Fb%3Fc%23d%25");
}

TEST_F(CxoneRegistration, Tokens)
{
    service_.actions = {ours("7")};
    EXPECT_EQ(check().outcome, Outcome::done);
    EXPECT_EQ(check().outcome, Outcome::done);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, GET /actions");
    registration_.forget_token();
    EXPECT_EQ(check().outcome, Outcome::done);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions");
    /* one that ends before its time is fetched once more */
    service_.valid_token++;
    EXPECT_EQ(check().outcome, Outcome::done);
    EXPECT_EQ(service_.calls(), "GET /actions, POST /token, GET /actions");
}

TEST_F(CxoneRegistration, ATokenOfASecondIsUsedOnce)
{
    service_.actions = {ours("7")};
    answer_to("/token", LocalServer::reply(200, R"({"access_token":"token-0","expires_in":1})"));
    EXPECT_EQ(check().outcome, Outcome::done);
    EXPECT_EQ(check().outcome, Outcome::done);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, POST /token, GET /actions");
}

TEST_F(CxoneRegistration, NoTokenIsTakenTwice)
{
    answer_to("/actions", LocalServer::reply(401, R"({"message":"no right for token-2 or token-1"})"));
    const RegistrationResult result = check();
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_EQ(result.problem, "could not list the Data Actions at " + service_.settings().data_actions_url +
                                  ": status 401, no right for *** or ***");
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, POST /token, GET /actions");
}

TEST_F(CxoneRegistration, ATokenIsRefused)
{
    const std::string what = "could not get a token from " + service_.settings().token_url + ": ";
    answer_to("/token",
              LocalServer::reply(401, R"({"error":"invalid_client","error_description":"s+cret/== is wrong, )"
                                      R"(s%2Bcret%2F%3D%3D and aWQ6cytjcmV0Lz09 too"})"));
    RegistrationResult result = check();
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_EQ(result.problem, what + "status 401, invalid_client: *** is wrong, *** and *** too");
    EXPECT_NE(result.hint, "");
    EXPECT_EQ(service_.calls(), "POST /token");

    answer_to("/token", LocalServer::reply(200, R"({"message":"sign in"})"));
    result = check();
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_EQ(result.problem, what + "the reply has no text at \"access_token\"");

    answer_to("/token",
              {"HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\nRetry-After: 9\r\n\r\n<title>Busy</title>",
               {},
               false});
    result = check();
    EXPECT_EQ(result.outcome, Outcome::retry);
    EXPECT_EQ(result.problem, what + "status 503, an HTML page, \"Busy\"");
    EXPECT_EQ(result.retry_after_s, 9);
    EXPECT_EQ(result.hint, "");
}

TEST_F(CxoneRegistration, WhatMayPassAndWhatMayNot)
{
    for (const int status : {408, 429, 500, 502, 503, 504, 400, 403, 404, 405, 422}) {
        answer_to("/actions", LocalServer::reply(status, "", "Retry-After: 5\r\n"));
        const RegistrationResult result = check();
        const bool may_pass = status == 408 || status == 429 || status >= 500;
        EXPECT_EQ(result.outcome, may_pass ? Outcome::retry : Outcome::refused) << status;
        EXPECT_EQ(result.retry_after_s, 5) << status;
        EXPECT_TRUE(result.problem.ends_with(": status " + std::to_string(status))) << result.problem;
    }
    answer_to("/actions", {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", {}, false});
    EXPECT_EQ(check().outcome, Outcome::retry);
    answer_to("/actions", LocalServer::reply(200, std::string(HttpClient::max_body + 1, ' ')));
    EXPECT_EQ(check().outcome, Outcome::refused);
}

TEST_F(CxoneRegistration, ARedirect)
{
    answer_to("GET /actions", LocalServer::reply(307, "", "Location: https://elsewhere.example/\r\n"));
    const RegistrationResult result = check();
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_TRUE(result.problem.ends_with("status 307, a redirect to \"https://elsewhere.example/\""));
    EXPECT_NE(result.hint, "");
}

TEST_F(CxoneRegistration, AProblemIsOneShortLine)
{
    answer_to("/actions", LocalServer::reply(400, "a\r\nb\x1B[31m\xFF" + std::string(5000, 'x'), "X: y\r\n"));
    const RegistrationResult result = check();
    EXPECT_LE(result.problem.size(), 500u);
    EXPECT_EQ(result.problem.find_first_of("\r\n\x1B\xFF"), std::string::npos);
    EXPECT_TRUE(result.problem.ends_with("xxx..."));
    /* a secret at the border is taken out before the text is cut */
    std::string text;
    for (int i = 0; i < 600; i++)
        text += "s+cret/==";
    answer_to("/actions", LocalServer::reply(400, text));
    EXPECT_EQ(check().problem.find("cret"), std::string::npos);
}

TEST_F(CxoneRegistration, Pages)
{
    const auto page = [](const std::string &id, const std::string &next) {
        return LocalServer::reply(
            200, "{\"dataActions\":[{\"id\":" + id +
                     ",\"name\":\"Consumer\",\"endpointUrl\":\"https://hook.example/webhook\"}]" + next +
                     "}");
    };
    service_.before = [page](const LocalServer::Request &request) {
        if (request.line == "GET /actions HTTP/1.1")
            return page("3", R"(,"_links":{"next":"/actions?page=2"})");
        if (request.line == "GET /actions?page=2 HTTP/1.1")
            return page("2", R"(,"next":{"href":"?page=3"})");
        if (request.line == "GET /actions?page=3 HTTP/1.1")
            return LocalServer::reply(200, "[]", "Link: <?page=4>; rel=\"next\"\r\n");
        if (request.line == "GET /actions?page=4 HTTP/1.1")
            return page("1", "");
        return LocalServer::Answer();
    };
    const RegistrationResult result = check();
    EXPECT_EQ(result.outcome, Outcome::done) << result.problem;
    EXPECT_EQ(result.action.id, "1");
    EXPECT_EQ(result.duplicates, 2u);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, GET /actions?page=2, GET /actions?page=3, "
                                "GET /actions?page=4");
}

TEST_F(CxoneRegistration, PagesThatLeadAstray)
{
    answer_to("GET /actions",
              LocalServer::reply(200, R"({"dataActions":[],"next":"https://evil.example/"})"));
    RegistrationResult result = check();
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_NE(result.problem.find("another host, \"https://evil.example/\""), std::string::npos);
    answer_to("GET /actions", LocalServer::reply(200, R"({"dataActions":[],"next":"/actions"})"));
    result = check();
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_NE(result.problem.find("go round in a circle"), std::string::npos);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, GET /actions");

    int number = 0;
    service_.before = [&number](const LocalServer::Request &request) {
        if (!request.line.starts_with("GET /actions"))
            return LocalServer::Answer();
        return LocalServer::reply(200, "{\"dataActions\":[],\"next\":\"/actions?" + std::to_string(++number) +
                                           "\"}");
    };
    result = check();
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_NE(result.problem.find("there are too many"), std::string::npos);
    EXPECT_EQ(number, 100);

    number = 0;
    service_.before = [&number](const LocalServer::Request &request) {
        if (!request.line.starts_with("GET /actions"))
            return LocalServer::Answer();
        return LocalServer::reply(200, "{\"dataActions\":[],\"x\":\"" + std::string(1000 * 1000, 'x') +
                                           "\",\"next\":\"/actions?" + std::to_string(++number) + "\"}");
    };
    result = check();
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_NE(result.problem.find("there are too many"), std::string::npos);
    EXPECT_EQ(number, 17);
}

/* A list that is not understood must not pass for an empty one. */
TEST_F(CxoneRegistration, WhatIsNoListIsNoReasonToCreate)
{
    for (const char *body : {"", "{}", "<html>sign in</html>", R"({"message":"maintenance"})", "[{}]"}) {
        answer_to("GET /actions", LocalServer::reply(200, body));
        EXPECT_EQ(check().outcome, Outcome::refused) << body;
    }
    EXPECT_EQ(service_.calls().find("POST /actions"), std::string::npos);
    EXPECT_EQ(service_.ids(), "");
}

TEST_F(CxoneRegistration, WhatIsNotListedIsNotCreatedAgain)
{
    service_.hides_new = true;
    const RegistrationResult first = check();
    EXPECT_EQ(first.outcome, Outcome::refused);
    EXPECT_TRUE(first.is_unlisted);
    EXPECT_STREQ(first.change, "created");
    EXPECT_EQ(first.action.id, "100");
    EXPECT_NE(first.problem.find("\"100\", and does not list it"), std::string::npos) << first.problem;
    (void)service_.calls();

    const RegistrationResult second = check(known_from(first));
    EXPECT_EQ(second.outcome, Outcome::refused);
    EXPECT_TRUE(second.is_unlisted);
    EXPECT_EQ(second.action.id, "100");
    EXPECT_EQ(service_.calls().find("POST"), std::string::npos);

    /* it appears after all */
    service_.actions = {ours("100")};
    const RegistrationResult third = check(known_from(second));
    EXPECT_EQ(third.outcome, Outcome::done) << third.problem;
    EXPECT_FALSE(third.is_unlisted);
}

TEST_F(CxoneRegistration, WhatIsShownOtherwiseIsNotCreatedAgain)
{
    service_.shown_url = "https://rewritten.example/";
    const RegistrationResult first = check();
    EXPECT_EQ(first.outcome, Outcome::refused);
    EXPECT_EQ(first.action.id, "100");
    EXPECT_EQ(first.action.endpoint_url, "https://rewritten.example/");
    const RegistrationResult second = check(known_from(first));
    EXPECT_EQ(second.outcome, Outcome::refused);
    EXPECT_EQ(service_.ids(), "100 ");
}

TEST_F(CxoneRegistration, ACreationWhoseReplyIsLostIsFound)
{
    service_.before = [this](const LocalServer::Request &request) {
        if (request.line.starts_with("POST /actions")) {
            service_.actions.push_back(ours("55"));
            return LocalServer::Answer{"HTTP/1.1 2", {}, false};
        }
        return LocalServer::Answer();
    };
    EXPECT_EQ(check().outcome, Outcome::retry);
    const RegistrationResult second = check();
    EXPECT_EQ(second.outcome, Outcome::done);
    EXPECT_STREQ(second.change, "");
    EXPECT_EQ(second.action.id, "55");
}

TEST_F(CxoneRegistration, Doubles)
{
    service_.actions = {ours("10"), ours("9"), ours("11"), {"1", "Consumer", "https://other.example/", ""}};
    RegistrationResult result = check();
    EXPECT_EQ(result.action.id, "9");
    EXPECT_EQ(result.duplicates, 2u);
    EXPECT_EQ(result.removed_duplicates, 0u);
    EXPECT_EQ(result.others, 1u);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions");

    ApiSettings settings = service_.settings();
    settings.remove_duplicates = true;
    result = registration_.check(settings, {});
    EXPECT_EQ(result.outcome, Outcome::done) << result.problem;
    EXPECT_EQ(result.duplicates, 0u);
    EXPECT_EQ(result.removed_duplicates, 2u);
    EXPECT_EQ(service_.ids(), "9 1 ");
}

TEST_F(CxoneRegistration, DoublesThatCannotBeRemoved)
{
    ApiSettings settings = service_.settings();
    settings.remove_duplicates = true;
    service_.actions = {ours("10"), ours("9"), ours("11")};
    answer_to("DELETE", LocalServer::reply(404, ""));
    EXPECT_EQ(registration_.check(settings, {}).removed_duplicates, 2u);
    answer_to("DELETE /actions/11", LocalServer::reply(403, R"({"message":"not allowed"})"));
    const RegistrationResult result = registration_.check(settings, {});
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_EQ(result.problem, "could not remove Data Action \"11\": status 403, not allowed");
    EXPECT_EQ(result.action.id, "9");
    EXPECT_EQ(result.duplicates, 1u);
    EXPECT_EQ(result.removed_duplicates, 1u);
}

/* Pages that overlap show one of them twice. */
TEST_F(CxoneRegistration, WhatIsListedTwiceIsNotRemoved)
{
    ApiSettings settings = service_.settings();
    settings.remove_duplicates = true;
    service_.actions = {ours("9"), ours("9")};
    const RegistrationResult result = registration_.check(settings, {});
    EXPECT_EQ(result.duplicates + result.removed_duplicates, 0u);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions");
}

TEST_F(CxoneRegistration, Remove)
{
    service_.actions = {ours("10"), {"1", "Consumer", "https://other.example/", ""}, ours("9")};
    RegistrationResult result = registration_.remove(service_.settings(), {});
    EXPECT_EQ(result.outcome, Outcome::done) << result.problem;
    EXPECT_STREQ(result.change, "removed");
    EXPECT_EQ(result.action.id, "");
    EXPECT_EQ(service_.ids(), "1 ");
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, DELETE /actions/9, DELETE /actions/10");

    result = registration_.remove(service_.settings(), {});
    EXPECT_EQ(result.outcome, Outcome::done);
    EXPECT_STREQ(result.change, "");
    /* the one of settings that have changed since */
    result = registration_.remove(service_.settings(),
                                  {.id = "1", .name = "Consumer", .endpoint_url = "https://other.example/"});
    EXPECT_STREQ(result.change, "removed");
    EXPECT_EQ(service_.ids(), "");
}

/* What the service sets differently would be updated at each check, for ever. */
TEST_F(CxoneRegistration, AnUpdateThatDoesNotTakeIsToldOf)
{
    service_.actions = {ours("7")};
    service_.actions[0].description = "old";
    answer_to("PUT", LocalServer::reply(200, ""));
    const RegistrationResult first = check();
    const RegistrationResult second = check(known_from(first));
    EXPECT_TRUE(second.change == ""sv || second.outcome == Outcome::refused) << second.change;
}

TEST_F(CxoneRegistration, WhatTheServiceRepeatsOfASecretIsNotKept)
{
    service_.actions = {ours("7")};
    service_.actions[0].id = "s+cret/==";
    const RegistrationResult result = check();
    EXPECT_EQ(result.outcome, Outcome::done) << result.problem;
    EXPECT_EQ(result.action.id, "***");
}

TEST_F(CxoneRegistration, Cancel)
{
    answer_to("GET /actions", {{}, {}, true});
    std::thread canceller([this] {
        EXPECT_TRUE(service_.server().wait_for(2));
        registration_.cancel();
    });
    EXPECT_EQ(check().outcome, Outcome::cancelled);
    canceller.join();
    EXPECT_EQ(check().outcome, Outcome::cancelled);
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions");
}

/* ---- RegistrationThread ---- */

bool is_readable(int fd, int timeout_ms)
{
    pollfd what{fd, POLLIN, 0};
    return poll(&what, 1, timeout_ms) == 1;
}

class CxoneRegistrationThread : public CxoneRegistration {
protected:
    using Job = RegistrationThread::Job;

    void begin(Job job, bool forget_token = false)
    {
        thread_.begin(job, std::make_unique<ApiSettings>(service_.settings()), {}, forget_token);
    }
    RegistrationResult result_of_job()
    {
        EXPECT_TRUE(is_readable(thread_.event_fd(), patience_ms));
        EXPECT_TRUE(thread_.is_busy());
        std::optional<RegistrationResult> result = thread_.take();
        EXPECT_TRUE(result);
        EXPECT_FALSE(thread_.is_busy());
        return result.value_or(RegistrationResult());
    }

    RegistrationThread thread_;
};

TEST_F(CxoneRegistrationThread, Jobs)
{
    EXPECT_FALSE(thread_.is_busy());
    EXPECT_FALSE(is_readable(thread_.event_fd(), 0));
    EXPECT_FALSE(thread_.take());

    begin(Job::check);
    EXPECT_TRUE(thread_.is_busy());
    EXPECT_STREQ(result_of_job().change, "created");
    EXPECT_FALSE(is_readable(thread_.event_fd(), 0));
    EXPECT_FALSE(thread_.take());

    begin(Job::check);
    EXPECT_STREQ(result_of_job().change, "");
    begin(Job::remove, true);
    EXPECT_STREQ(result_of_job().change, "removed");
    EXPECT_EQ(service_.calls(), "POST /token, GET /actions, POST /actions, GET /actions, GET /actions, "
                                "POST /token, GET /actions, DELETE /actions/100");
}

TEST_F(CxoneRegistrationThread, AFailureIsAResult)
{
    answer_to("/token", LocalServer::reply(400, R"({"error":"invalid_request"})"));
    begin(Job::check);
    EXPECT_EQ(result_of_job().outcome, Outcome::refused);
}

TEST_F(CxoneRegistrationThread, StopBreaksAHangingJobOff)
{
    answer_to("/token", {{}, {}, true});
    begin(Job::check);
    ASSERT_TRUE(service_.server().wait_for(1));
    const auto start = Clock::now();
    thread_.stop();
    EXPECT_LT(ms_since(start), prompt_ms);
    EXPECT_EQ(result_of_job().outcome, Outcome::cancelled);
    thread_.stop();
}

/* Nor does a service that repeats a large token in a large reply. */
TEST_F(CxoneRegistrationThread, StopWhileATextIsLookedThroughForSecrets)
{
    answer_to("/actions", LocalServer::reply(400, std::string(1'000'000, 'a')));
    service_.before = [before = service_.before](const LocalServer::Request &request) {
        return request.line.starts_with("POST /token")
                   ? LocalServer::reply(200, "{\"access_token\":\"" + std::string(4'000, 'a') + "b\"}")
                   : before(request);
    };
    begin(Job::check);
    ASSERT_TRUE(service_.server().wait_for(2));
    /* it may be done by then; if not, the reply has come */
    (void)is_readable(thread_.event_fd(), 300);
    const auto start = Clock::now();
    thread_.stop();
    EXPECT_LT(ms_since(start), prompt_ms);
}

TEST_F(CxoneRegistrationThread, StopWithoutAJob)
{
    const auto start = Clock::now();
    thread_.stop();
    EXPECT_LT(ms_since(start), prompt_ms);
    EXPECT_FALSE(thread_.take());
}

TEST_F(CxoneRegistrationThread, ItsEndIsAStopToo)
{
    answer_to("/token", {{}, {}, true});
    const auto start = Clock::now();
    {
        RegistrationThread other;
        other.begin(Job::check, std::make_unique<ApiSettings>(service_.settings()), {}, false);
        ASSERT_TRUE(service_.server().wait_for(1));
    }
    EXPECT_LT(ms_since(start), prompt_ms);
    /* and right after the beginning, whether or not the thread has noticed the job */
    for (int i = 0; i < 20; i++) {
        RegistrationThread other;
        other.begin(Job::check, std::make_unique<ApiSettings>(service_.settings()), {}, false);
    }
    EXPECT_LT(ms_since(start), prompt_ms);
}

} // namespace
} // namespace cxone_sync
