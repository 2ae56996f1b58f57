#include "http/admin.h"

#include "core/status_json.h"
#include "cxone/contract.h"
#include "http/header.h"

#include <charconv>

namespace cxone_sync {

namespace {

constexpr std::string_view text_type = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view open_metrics_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/* figures of a moment ago are of no use */
constexpr std::string_view no_store = "Cache-Control: no-store";

/* The part up to `separator`, which is taken off with it. */
std::string_view take_until(std::string_view &text, char separator)
{
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);

    text.remove_prefix(std::min(end + 1, text.size()));
    return trimmed(part);
}

/* A media range of an Accept header: its type, and its weight from 0 to 1; what cannot be read weighs 0. */
struct MediaRange {
    std::string type;
    std::string version;
    double weight = 1;
};

MediaRange take_range(std::string_view &accept)
{
    std::string_view parameters = take_until(accept, ',');
    MediaRange range;

    range.type = ascii_lower(take_until(parameters, ';'));
    while (!parameters.empty()) {
        std::string_view value = take_until(parameters, ';');
        const std::string name = ascii_lower(take_until(value, '='));
        if (name == "version")
            range.version = value;
        if (name != "q")
            continue;
        const char *end = value.data() + value.size();
        const auto [rest, error] = std::from_chars(value.data(), end, range.weight);
        if (error != std::errc() || rest != end || !(range.weight >= 0 && range.weight <= 1))
            range.weight = 0;
    }
    return range;
}

Reply status_page_reply(const StatusPage &page)
{
    return {.body = std::string(page.html()),
            .content_type = "text/html; charset=utf-8",
            .header = page.header()};
}

} // namespace

/*
 * OpenMetrics where it is wanted more than text. A wildcard speaks for text, and so does want of a header:
 * that is what people and old scrapers send.
 */
MetricsFormat accepted_format(std::string_view accept)
{
    double open_metrics = 0;
    double text = accept.empty() ? 1 : 0;

    while (!accept.empty()) {
        const MediaRange range = take_range(accept);
        if (range.type == "application/openmetrics-text" &&
            (range.version.empty() || range.version == "1.0.0" || range.version == "0.0.1"))
            open_metrics = std::max(open_metrics, range.weight);
        else if (range.type == "text/plain" || range.type == "text/*" || range.type == "*/*")
            text = std::max(text, range.weight);
    }
    return open_metrics > text ? MetricsFormat::open_metrics : MetricsFormat::text;
}

Service::ConnectionBounds Admin::connection_bounds() const
{
    return {.in_all = 64, .of_peer = 64};
}

Framing::Limits Admin::limits() const
{
    Framing::Limits limits;
    limits.max_body = 0;
    limits.body_too_large = "this is read without a body";
    return limits;
}

std::optional<Reply> Admin::serve(const HttpRequest &request, std::string &, MemoryShare &, Ticket)
{
    const bool is_page = request.path == "/";
    const bool is_metrics = request.path == contract::metrics_path;
    const bool is_status = request.path == "/status.json";
    const bool is_liveness = request.path == "/livez";

    if (!is_page && !is_metrics && !is_status && !is_liveness && request.path != "/readyz")
        return error_reply(404, "no such path");
    if (request.method != "GET" && request.method != "HEAD")
        return error_reply(405, "this is read with GET", "Allow: GET, HEAD");
    if (is_page)
        return status_page_reply(page_);
    if (is_liveness)
        return Reply{.body = "{\"live\":true}\n", .header = no_store};

    Overview overview;
    read_overview(monitoring_, now(), overview);
    if (is_metrics) {
        const MetricsFormat format = accepted_format(header_value(request.head, "accept"));
        return Reply{.body = prometheus_text(overview, format),
                     .content_type = format == MetricsFormat::text ? text_type : open_metrics_type,
                     .header = "Vary: Accept"};
    }
    if (is_status)
        return Reply{.body = status_json(overview), .header = no_store};
    return Reply{
        .status = overview.is_ready ? 200 : 503, .body = readiness_json(overview), .header = no_store};
}

/* never called: every request is answered at once */
Reply Admin::reply_to(const Answer &) const
{
    return error_reply(500, "no such answer");
}

} // namespace cxone_sync
