#include "cxone/url.h"

#include "core/ascii.h"
#include "core/loopback.h"

#include <algorithm>
#include <curl/curl.h>
#include <memory>
#include <new>

namespace cxone_sync {

namespace {

class Url {
public:
    Url() : url_(curl_url(), curl_url_cleanup)
    {
        if (!url_)
            throw std::bad_alloc();
    }

    /* With a base that was set before, `text` may be relative. */
    bool set(const std::string &text)
    {
        const CURLUcode code =
            curl_url_set(url_.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME);

        if (code == CURLUE_OUT_OF_MEMORY)
            throw std::bad_alloc();
        return code == CURLUE_OK;
    }

    /* Empty if it has none. */
    std::string part(CURLUPart part, unsigned flags = 0) const
    {
        char *text = nullptr;
        const CURLUcode code = curl_url_get(url_.get(), part, &text, flags);

        if (code == CURLUE_OUT_OF_MEMORY)
            throw std::bad_alloc();
        if (code != CURLUE_OK)
            return {};
        const std::unique_ptr<char, decltype(&curl_free)> release(text, curl_free);
        return text;
    }

    std::string scheme() const { return ascii_lower(part(CURLUPART_SCHEME)); }
    std::string host() const { return ascii_lower(part(CURLUPART_HOST)); }
    std::string port() const { return part(CURLUPART_PORT, CURLU_DEFAULT_PORT); }
    /* empty ones are some, too */
    bool has_credentials() const { return has(CURLUPART_USER) || has(CURLUPART_PASSWORD); }
    std::string origin() const { return scheme() + "://" + host() + ":" + port(); }

private:
    bool has(CURLUPart part) const
    {
        char *text = nullptr;
        const CURLUcode code = curl_url_get(url_.get(), part, &text, 0);

        curl_free(text);
        return code == CURLUE_OK;
    }

    std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url_;
};

bool is_this_machine(const std::string &host)
{
    if (host == "localhost")
        return true;
    /* IPv6 stands in brackets */
    return is_loopback_address(host.starts_with('[') ? host.substr(1, host.size() - 2).c_str()
                                                     : host.c_str());
}

std::string without_slash(std::string path)
{
    while (path.ends_with('/'))
        path.pop_back();
    return path;
}

/* A URL is ASCII without blanks and control characters (RFC 3986 section 2). */
bool is_printable(const std::string &text)
{
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c < 0x7F; });
}

std::string problem_of_web_url(const std::string &text, Url &url)
{
    if (!is_printable(text) || !url.set(text) || url.host().empty())
        return "it is no absolute URL such as https://host/path";
    if (url.scheme() != "http" && url.scheme() != "https")
        return "its scheme is neither https nor http";
    if (url.has_credentials())
        return "credentials have no place in a URL";
    if (text.find('#') != std::string::npos)
        return "a fragment has no meaning here";
    return {};
}

} // namespace

std::string problem_of_secret_url(const std::string &text)
{
    Url url;
    std::string problem = problem_of_web_url(text, url);

    if (problem.empty() && !text.starts_with("https://") && !text.starts_with("http://"))
        problem = "it has to begin with https:// in small letters";
    if (problem.empty() && url.scheme() == "http" && !is_this_machine(url.host()))
        problem = "secrets are only sent by https, but to this machine";
    return problem;
}

std::string problem_of_endpoint_url(const std::string &text)
{
    Url url;

    return problem_of_web_url(text, url);
}

bool is_same_url(const std::string &a, const std::string &b)
{
    Url first, second;

    if (!first.set(a) || !second.set(b))
        return a == b;
    return first.origin() == second.origin() &&
           without_slash(first.part(CURLUPART_PATH)) == without_slash(second.part(CURLUPART_PATH)) &&
           first.part(CURLUPART_QUERY) == second.part(CURLUPART_QUERY);
}

std::string resolved_at_origin(const std::string &base, const std::string &reference)
{
    Url here, there;

    if (!is_printable(reference) || !here.set(base) || !there.set(base) || !there.set(reference) ||
        here.origin() != there.origin() || there.has_credentials())
        return {};
    return there.part(CURLUPART_URL);
}

} // namespace cxone_sync
