#include "http/status_page.h"

#include "core/base64.h"
#include "core/digest.h"

namespace cxone_sync {

namespace {

/* The Makefile makes it of status_page.html, a text literal for each line. */
constexpr std::string_view page =
#include "http/status_page.inc"
    ;

/* What is between two tags, of which the page has one each. */
constexpr std::string_view between(std::string_view first, std::string_view last)
{
    const std::size_t begin = page.find(first) + first.size();

    return page.substr(begin, page.find(last) - begin);
}
constexpr std::string_view style = between("<style>", "</style>");
constexpr std::string_view script = between("<script>", "</script>");
static_assert(!style.empty() && !script.empty());

/* As a source of a content-security policy (CSP level 3, section 2.3.1). */
std::string hash_source(std::string_view text)
{
    return "'sha256-" + std::string(base64(bytes_of(sha256(text))).view()) + "'";
}

} // namespace

StatusPage::StatusPage()
    : header_(
          "Content-Security-Policy: default-src 'none'; connect-src 'self'; base-uri 'none'; "
          "form-action 'none'; frame-ancestors 'none'; style-src " +
          hash_source(style) + "; script-src " + hash_source(script) +
          "\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-cache")
{
}

std::string_view StatusPage::html() const noexcept
{
    return page;
}

} // namespace cxone_sync
