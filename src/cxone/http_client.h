#pragma once

#include "core/secret.h"

#include <atomic>
#include <string>
#include <vector>

typedef void CURLM;

namespace cxone_sync {

struct HttpCall {
    const char *method = "GET";
    std::string url;
    std::vector<Secret> headers; /* "Name: value" */
    Secret body;
    std::string ca_file; /* empty: the system's certificates */
    long timeout_ms = 0; /* of the whole call */
};

struct HttpResult {
    enum class Failure {
        none,      /* there is a reply, of whatever status */
        transient, /* could be better the next time: no connection, too slow, cut off */
        permanent, /* a reply that breaks a bound, a certificate that is not trusted */
        cancelled
    };
    Failure failure = Failure::none;
    std::string problem; /* why there is no reply */

    int status = 0;
    long retry_after_s = 0; /* 0: the reply does not say */
    std::string content_type;
    std::string location; /* where a redirect would lead */
    std::string next;     /* the target of Link: …; rel="next" */
    std::string body;
};

/*
 * HTTP calls by libcurl, one at a time: HTTP/1.1, certificates verified, no redirect followed, and every part
 * of a reply bounded, since it may come from anyone. curl_global_init() has to be done before.
 */
class HttpClient {
public:
    static constexpr std::size_t max_body = 1024 * 1024;
    static constexpr std::size_t max_headers = 64 * 1024;

    HttpClient(); /* throws std::bad_alloc */
    ~HttpClient();
    HttpClient(const HttpClient &) = delete;
    HttpClient &operator=(const HttpClient &) = delete;

    HttpResult perform(const HttpCall &call);

    /* From any thread: ends the call under way and every later one at once. */
    void cancel() noexcept;

private:
    CURLM *multi_;
    std::atomic<bool> cancelled_{false};
};

} // namespace cxone_sync
