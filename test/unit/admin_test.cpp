#include "http/admin.h"

#include "http/header.h"
#include "http/status_page.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <regex>

namespace cxone_sync {
namespace {

/* ---- the format of /metrics ---- */

bool wants_open_metrics(std::string_view accept)
{
    return accepted_format(accept) == MetricsFormat::open_metrics;
}

/* What scrapers really send; scrape/scrape.go and config/config.go of Prometheus, by version. */
TEST(AcceptedFormat, OfPrometheus)
{
    /* before 2.5 */
    EXPECT_FALSE(wants_open_metrics(
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.1"));
    EXPECT_FALSE(wants_open_metrics("text/plain;version=0.0.4;q=1,*/*;q=0.1"));
    /* 2.5 */
    EXPECT_TRUE(wants_open_metrics(
        "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
    /* 2.31 */
    EXPECT_TRUE(
        wants_open_metrics("application/openmetrics-text; version=1.0.0,application/openmetrics-text; "
                           "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
    /* 2.49 */
    EXPECT_TRUE(wants_open_metrics(
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"));
    /* 2.49 with native histograms: protobuf is not spoken here */
    EXPECT_TRUE(wants_open_metrics(
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"));
    /* 3.0 */
    EXPECT_TRUE(wants_open_metrics(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;"
        "version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/"
        "plain;version=0.0.4;q=0.3,"
        "*/*;q=0.2"));
    /* 3.0 with scrape_protocols: [PrometheusText0.0.4] */
    EXPECT_FALSE(wants_open_metrics("text/plain;version=0.0.4;escaping=allow-utf-8;q=0.2,*/*;q=0.1"));
}

TEST(AcceptedFormat, OfOthers)
{
    EXPECT_FALSE(wants_open_metrics("")) << "none";
    EXPECT_FALSE(wants_open_metrics("*/*")) << "curl";
    EXPECT_FALSE(wants_open_metrics("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
                                    "image/webp,*/*;q=0.8"))
        << "a browser";
    EXPECT_FALSE(wants_open_metrics("application/json"));
    EXPECT_FALSE(wants_open_metrics("application/*")) << "a wildcard asks for nothing special";
    EXPECT_TRUE(wants_open_metrics("application/openmetrics-text"));
    EXPECT_TRUE(wants_open_metrics("Application/OpenMetrics-Text; Version=1.0.0"));
}

TEST(AcceptedFormat, Weights)
{
    EXPECT_TRUE(wants_open_metrics("text/plain;q=0.5,application/openmetrics-text;q=0.501"));
    EXPECT_FALSE(wants_open_metrics("text/plain;q=0.5,application/openmetrics-text;q=0.5"))
        << "text, of equals";
    EXPECT_FALSE(wants_open_metrics("application/openmetrics-text;q=0")) << "0 is: not that";
    EXPECT_FALSE(wants_open_metrics("application/openmetrics-text;q=0.000,*/*;q=0"));
    EXPECT_TRUE(wants_open_metrics("application/openmetrics-text;q=0.001"));
    EXPECT_FALSE(wants_open_metrics("application/openmetrics-text;q=0.9, text/*"));
    EXPECT_TRUE(wants_open_metrics(" application/openmetrics-text ; q=1.000 ,\ttext/plain ; q=0.999"));
    EXPECT_TRUE(wants_open_metrics("application/openmetrics-text;q=0.1,application/openmetrics-text;q=0.9,"
                                   "text/plain;q=0.5"))
        << "the greatest";
    EXPECT_FALSE(wants_open_metrics("application/openmetrics-text;version=2.0.0"))
        << "a version of another time";
    EXPECT_FALSE(wants_open_metrics("application/openmetrics-text;version=2.0.0,text/plain;q=0.1"));
}

TEST(AcceptedFormat, Nonsense)
{
    for (const std::string_view accept :
         {",", ";", "=", ",,,;;;===", "q=1", ";q=1", " ", "application/openmetrics-text;q=", "text/plain;q",
          "application/openmetrics-text;q=nan", "application/openmetrics-text;q=inf",
          "application/openmetrics-text;q=-1", "application/openmetrics-text;q=2",
          "application/openmetrics-text;q=1e999", "application/openmetrics-text;q=1x",
          "application/openmetrics-text;q= ", "application/openmetrics-textual",
          "xapplication/openmetrics-text", "application/openmetrics-text\xFF"})
        EXPECT_FALSE(wants_open_metrics(accept)) << accept;
    EXPECT_TRUE(wants_open_metrics(",, ,application/openmetrics-text,,"));
    EXPECT_FALSE(wants_open_metrics(std::string(8000, ',')));
    EXPECT_FALSE(wants_open_metrics(std::string(8000, ';')));
}

/* ---- headers ---- */

TEST(HeaderValue, OneLine)
{
    const std::string_view head =
        "GET /metrics HTTP/1.1\r\nHost: h\r\nACCEPT: \t a/b;c=\"d:e\" \t\r\nX:\r\n\r\n";
    EXPECT_EQ(header_value(head, "accept"), "a/b;c=\"d:e\"");
    EXPECT_EQ(header_value(head, "Accept"), "a/b;c=\"d:e\"");
    EXPECT_EQ(header_value(head, "host"), "h");
    EXPECT_EQ(header_value(head, "x"), "");
    EXPECT_EQ(header_value(head, "y"), "");
    EXPECT_EQ(header_value(head, ""), "");
    EXPECT_EQ(header_value(head, "acc"), "") << "no prefix";
    EXPECT_EQ(header_value(head, "accept-encoding"), "");
    EXPECT_EQ(header_value(head, "GET /metrics HTTP/1.1"), "") << "the request line is none";
}

TEST(HeaderValue, SeveralLines)
{
    const std::string_view head =
        "GET accept: no HTTP/1.1\r\nAccept: a\r\nHost: h\r\naccept:b , c\r\nAccept:\r\nAcCePt: d\r\n\r\n";
    EXPECT_EQ(header_value(head, "accept"), "a, b , c, , d");
}

TEST(HeaderValue, HeadsThatAreNone)
{
    for (const std::string_view head :
         {"", "\r\n", "\r\n\r\n", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n", "a\r\nb\r\n\r\n"})
        EXPECT_EQ(header_value(head, "accept"), "");
    EXPECT_EQ(header_value("GET / HTTP/1.1\r\nAccept: a", "accept"), "a");
}

/* ---- the status page ---- */

std::string base64(const unsigned char *bytes, std::size_t size)
{
    static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < size; i += 3) {
        const unsigned group = static_cast<unsigned>(bytes[i]) << 16 |
                               (i + 1 < size ? static_cast<unsigned>(bytes[i + 1]) << 8 : 0) |
                               (i + 2 < size ? static_cast<unsigned>(bytes[i + 2]) : 0);
        text += digits[group >> 18];
        text += digits[group >> 12 & 63];
        text += i + 1 < size ? digits[group >> 6 & 63] : '=';
        text += i + 2 < size ? digits[group & 63] : '=';
    }
    return text;
}

/* The contents of all elements of that name. */
std::vector<std::string> elements(const std::string &html, const std::string &name)
{
    std::vector<std::string> found;
    const std::string last = "</" + name + ">";
    for (std::size_t at = 0; (at = html.find("<" + name, at)) != html.npos; at++) {
        const std::size_t begin = html.find('>', at) + 1;
        found.push_back(html.substr(begin, html.find(last, begin) - begin));
    }
    return found;
}

std::string hash_of(const std::string &text)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char *>(text.data()), text.size(), digest);
    return "'sha256-" + base64(digest, sizeof(digest)) + "'";
}

TEST(StatusPage, ThePolicyAllowsItsOwnStyleAndScriptOnly)
{
    EXPECT_EQ(base64(reinterpret_cast<const unsigned char *>("cx1"), 3), "Y3gx");
    const StatusPage page;
    const std::string html(page.html());
    const std::vector<std::string> styles = elements(html, "style");
    const std::vector<std::string> scripts = elements(html, "script");
    ASSERT_EQ(styles.size(), 1u);
    ASSERT_EQ(scripts.size(), 1u);

    std::map<std::string, std::string> policy;
    const std::string header = "GET / HTTP/1.1\r\n" + std::string(page.header()) + "\r\n\r\n";
    std::istringstream directives(header_value(header, "content-security-policy"));
    for (std::string directive; std::getline(directives >> std::ws, directive, ';');) {
        const std::size_t blank = directive.find(' ');
        EXPECT_TRUE(policy.emplace(directive.substr(0, blank), directive.substr(blank + 1)).second)
            << directive;
    }
    const std::map<std::string, std::string> expected = {
        {"default-src", "'none'"},           {"connect-src", "'self'"},     {"base-uri", "'none'"},
        {"form-action", "'none'"},           {"frame-ancestors", "'none'"}, {"style-src", hash_of(styles[0])},
        {"script-src", hash_of(scripts[0])},
    };
    EXPECT_EQ(policy, expected);
    EXPECT_EQ(header_value(header, "x-content-type-options"), "nosniff");
    EXPECT_EQ(header_value(header, "referrer-policy"), "no-referrer");
}

TEST(StatusPage, HasNothingThatThePolicyForbids)
{
    const std::string html(StatusPage().html());
    std::string markup = html;
    for (const char *name : {"style", "script"}) {
        const std::string inside = elements(html, name).at(0);
        markup.replace(markup.find(inside), inside.size(), "");
    }
    /* every tag, without the comments */
    markup = std::regex_replace(markup, std::regex("<!--[^]*?-->"), "");
    const std::regex tag("<[a-zA-Z][^>]*>");
    int tags = 0;
    for (std::sregex_iterator i(markup.begin(), markup.end(), tag), end; i != end; i++, tags++) {
        const std::string text = i->str();
        EXPECT_FALSE(std::regex_search(text, std::regex("\\sstyle\\s*=", std::regex::icase))) << text;
        EXPECT_FALSE(std::regex_search(text, std::regex("\\son[a-z]+\\s*=", std::regex::icase))) << text;
        EXPECT_FALSE(std::regex_search(text, std::regex("javascript:", std::regex::icase))) << text;
        EXPECT_FALSE(std::regex_search(text, std::regex("^<(iframe|object|embed|base|form|img|link)\\b")))
            << text;
        EXPECT_FALSE(std::regex_search(text, std::regex("\\s(src|action|srcset|poster)\\s*="))) << text;
    }
    EXPECT_GT(tags, 50);
    /* nor does its script make any */
    const std::string scripted = std::regex_replace(html, std::regex("'http://www.w3.org/2000/svg'"), "");
    EXPECT_EQ(scripted.find("://"), scripted.npos) << "the name space of SVG is no address";
    EXPECT_EQ(html.find("innerHTML"), html.npos);
    EXPECT_EQ(html.find("eval("), html.npos);
    EXPECT_EQ(html.find("@import"), html.npos);
    EXPECT_EQ(html.find("url("), html.npos);
    EXPECT_TRUE(html.starts_with("<!DOCTYPE html>\n"));
    EXPECT_TRUE(html.ends_with("</html>\n"));
}

} // namespace
} // namespace cxone_sync
