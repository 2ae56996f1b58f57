#include "http/admin.h"

#include "core/prometheus.h"
#include "cxone/contract.h"

namespace cxone_sync {

Framing::Limits Admin::limits() const
{
    Framing::Limits limits;
    limits.max_body = 0;
    return limits;
}

std::optional<Reply> Admin::serve(const HttpRequest &request, std::string &, MemoryShare &, Ticket)
{
    if (request.path != contract::metrics_path)
        return error_reply(404, "no such path");
    if (request.method != "GET" && request.method != "HEAD")
        return error_reply(405, "metrics are read with GET", "Allow: GET, HEAD");
    return Reply{.body = prometheus_text(counters_),
                 .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

/* never called: every request is answered at once */
Reply Admin::reply_to(const Answer &) const
{
    return error_reply(500, "no such answer");
}

} // namespace cxone_sync
