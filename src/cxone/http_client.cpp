#include "cxone/http_client.h"

#include "core/ascii.h"

#include <algorithm>
#include <curl/curl.h>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>

namespace cxone_sync {

namespace {

using Failure = HttpResult::Failure;

/* A header list whose lines are wiped: curl copies them. */
struct HeaderList {
    curl_slist *list = nullptr;

    ~HeaderList()
    {
        for (curl_slist *line = list; line; line = line->next)
            explicit_bzero(line->data, std::strlen(line->data));
        curl_slist_free_all(list);
    }
    void add(std::string_view line)
    {
        Secret text(line);
        text += std::string_view("\0", 1);
        curl_slist *longer = curl_slist_append(list, text.view().data());
        if (!longer)
            throw std::bad_alloc();
        list = longer;
    }
};

/* What the callbacks collect. An exception must not pass through curl's frames. */
struct Reply {
    HttpResult &result;
    std::size_t header_bytes = 0;
    bool headers_too_large = false;
    bool body_too_large = false;
    bool out_of_memory = false;
};

/* The value of the header `name` if `line` is that one. */
bool is_header(std::string_view line, std::string_view name, std::string_view &value)
{
    const std::size_t colon = line.find(':');

    if (colon == std::string_view::npos || !equal_ignoring_case(line.substr(0, colon), name))
        return false;
    value = trimmed(line.substr(colon + 1, line.find_last_not_of("\r\n") - colon));
    return true;
}

/* Takes from `text` what comes before `end`, or all of it; what is in quotes does not count. */
std::string_view take_until(std::string_view &text, char end)
{
    bool quoted = false;
    std::size_t size = 0;

    while (size < text.size() && (quoted || text[size] != end)) {
        quoted = quoted != (text[size] == '"');
        size++;
    }
    const std::string_view taken = text.substr(0, size);
    text.remove_prefix(std::min(size + 1, text.size()));
    return trimmed(taken);
}

/* Whether rel="…", one of a link's parameters, has the word next. */
bool is_rel_next(std::string_view parameter)
{
    if (!equal_ignoring_case(take_until(parameter, '='), "rel"))
        return false;
    parameter = trimmed(parameter);
    if (parameter.size() >= 2 && parameter.front() == '"' && parameter.back() == '"')
        parameter = parameter.substr(1, parameter.size() - 2);
    while (!parameter.empty()) {
        if (equal_ignoring_case(take_until(parameter, ' '), "next"))
            return true;
    }
    return false;
}

/* The target of the link with rel="next" in a Link header (RFC 8288 section 3). */
std::string next_link(std::string_view value)
{
    while (!value.empty()) {
        const std::size_t open = value.find('<');
        const std::size_t close = value.find('>', open);
        if (close == std::string_view::npos)
            break;
        const std::string_view target = value.substr(open + 1, close - open - 1);
        value.remove_prefix(close + 1);
        std::string_view parameters = take_until(value, ',');
        while (!parameters.empty()) {
            if (is_rel_next(take_until(parameters, ';')))
                return std::string(target);
        }
    }
    return {};
}

std::size_t on_header(char *data, std::size_t, std::size_t size, void *context)
{
    auto &reply = *static_cast<Reply *>(context);
    const std::string_view line(data, size);
    std::string_view value;

    reply.header_bytes += size;
    reply.headers_too_large = reply.header_bytes > HttpClient::max_headers;
    if (reply.headers_too_large)
        return 0;
    try {
        if (is_header(line, "Link", value) && reply.result.next.empty())
            reply.result.next = next_link(value);
        else if (is_header(line, "Location", value))
            reply.result.location = value;
    } catch (...) {
        reply.out_of_memory = true;
        return 0;
    }
    return size;
}

std::size_t on_body(char *data, std::size_t, std::size_t size, void *context)
{
    auto &reply = *static_cast<Reply *>(context);

    reply.body_too_large = reply.result.body.size() + size > HttpClient::max_body;
    if (reply.body_too_large)
        return 0;
    try {
        reply.result.body.append(data, size);
    } catch (...) {
        reply.out_of_memory = true;
        return 0;
    }
    return size;
}

template <typename Value> void set(CURL *easy, CURLoption option, Value value)
{
    const CURLcode code = curl_easy_setopt(easy, option, value);

    if (code == CURLE_OUT_OF_MEMORY)
        throw std::bad_alloc();
    if (code != CURLE_OK)
        throw std::runtime_error(std::string("libcurl refuses an option: ") + curl_easy_strerror(code));
}

void set_protocol(CURL *easy, bool is_tls)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    set(easy, CURLOPT_PROTOCOLS_STR, is_tls ? "https" : "http");
#else
    set(easy, CURLOPT_PROTOCOLS, is_tls ? CURLPROTO_HTTPS : CURLPROTO_HTTP);
#endif
}

/* The options that no call may be without. */
void set_up(CURL *easy, const HttpCall &call, Reply &reply, char *error)
{
    const bool is_tls = call.url.starts_with("https://");

    set_protocol(easy, is_tls);
    set(easy, CURLOPT_URL, call.url.c_str());
    set(easy, CURLOPT_ERRORBUFFER, error);
    set(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* a name server that does not answer must not hold up the end of the process */
    set(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    /* some gateways break on HTTP/2 */
    set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(easy, CURLOPT_PATH_AS_IS, 1L);
    /* on a connection that was used before, curl repeats what got no reply by itself, a creation too */
    set(easy, CURLOPT_FRESH_CONNECT, 1L);
    set(easy, CURLOPT_FORBID_REUSE, 1L);
    set(easy, CURLOPT_TIMEOUT_MS, call.timeout_ms);
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, call.timeout_ms);
    if (!call.ca_file.empty())
        set(easy, CURLOPT_CAINFO, call.ca_file.c_str());
    /* without TLS only this machine is spoken to */
    if (!is_tls)
        set(easy, CURLOPT_PROXY, "");
    set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* what a proxy says is not the service's reply */
    set(easy, CURLOPT_HEADERFUNCTION, on_header);
    set(easy, CURLOPT_HEADERDATA, static_cast<void *>(&reply));
    set(easy, CURLOPT_WRITEFUNCTION, on_body);
    set(easy, CURLOPT_WRITEDATA, static_cast<void *>(&reply));
}

void set_request(CURL *easy, const HttpCall &call, HeaderList &headers)
{
    for (const Secret &line : call.headers)
        headers.add(line.view());
    headers.add("Accept: application/json");
    headers.add("Expect:"); /* no waiting for 100 Continue */
    set(easy, CURLOPT_HTTPHEADER, headers.list);
    set(easy, CURLOPT_USERAGENT, "cxone_sync");
    if (!call.body.empty()) {
        set(easy, CURLOPT_POSTFIELDS, call.body.view().data());
        set(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(call.body.view().size()));
    }
    set(easy, CURLOPT_CUSTOMREQUEST, call.method);
}

Failure failure_of(CURLcode code)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_URL_MALFORMAT:
        return Failure::permanent;
    default:
        return Failure::transient;
    }
}

/* What older versions of libcurl call out of memory. */
#if LIBCURL_VERSION_NUM >= 0x080600
constexpr CURLcode too_large = CURLE_TOO_LARGE;
#else
constexpr CURLcode too_large = CURLE_OUT_OF_MEMORY;
#endif

void take_failure(CURLcode code, const Reply &reply, const char *error, HttpResult &result)
{
    if (reply.out_of_memory)
        throw std::bad_alloc();
    result.failure = Failure::permanent;
    if (reply.headers_too_large) {
        result.problem =
            "the reply has more than " + std::to_string(HttpClient::max_headers / 1024) + " kB of headers";
    } else if (code == CURLE_OUT_OF_MEMORY || code == too_large) {
        result.problem = "out of memory, or one header without an end"; /* libcurl bounds that, too */
    } else if (reply.body_too_large) {
        result.problem = "the reply is larger than " + std::to_string(HttpClient::max_body / 1024) + " kB";
    } else {
        result.failure = failure_of(code);
        result.problem = *error ? error : curl_easy_strerror(code);
    }
}

void take_reply(CURL *easy, HttpResult &result)
{
    long status = 0;
    curl_off_t retry_after = 0;
    const char *type = nullptr;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    /* seconds, also where the header is a date */
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    result.status = static_cast<int>(status);
    result.retry_after_s =
        static_cast<long>(std::clamp<curl_off_t>(retry_after, 0, std::numeric_limits<int>::max()));
    if (type)
        result.content_type = type;
}

} // namespace

HttpClient::HttpClient() : multi_(curl_multi_init())
{
    if (!multi_)
        throw std::bad_alloc();
}

HttpClient::~HttpClient()
{
    curl_multi_cleanup(multi_);
}

void HttpClient::cancel() noexcept
{
    cancelled_ = true;
    curl_multi_wakeup(multi_);
}

HttpResult HttpClient::perform(const HttpCall &call)
{
    HttpResult result;
    Reply reply{.result = result};
    HeaderList headers;
    char error[CURL_ERROR_SIZE] = "";
    const auto release = [this](CURL *easy) {
        curl_multi_remove_handle(multi_, easy);
        curl_easy_cleanup(easy);
    };
    const std::unique_ptr<CURL, decltype(release)> easy(curl_easy_init(), release);

    if (!easy)
        throw std::bad_alloc();
    set_up(easy.get(), call, reply, error);
    set_request(easy.get(), call, headers);
    if (curl_multi_add_handle(multi_, easy.get()) != CURLM_OK)
        throw std::bad_alloc();

    int running = 1;
    while (!cancelled_) {
        if (curl_multi_perform(multi_, &running) != CURLM_OK)
            throw std::bad_alloc();
        if (!running)
            break;
        /* cancel() ends it */
        if (curl_multi_poll(multi_, nullptr, 0, 60'000, nullptr) != CURLM_OK)
            throw std::bad_alloc();
    }
    int left;
    const CURLMsg *message = curl_multi_info_read(multi_, &left);
    if (cancelled_ || !message)
        result.failure = Failure::cancelled;
    else if (message->data.result != CURLE_OK)
        take_failure(message->data.result, reply, error, result);
    else
        take_reply(easy.get(), result);
    return result;
}

} // namespace cxone_sync
