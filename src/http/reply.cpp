#include "http/reply.h"

#include "core/json_text.h"

namespace cxone_sync {

namespace {

/* RFC 9110 section 15 */
std::string_view reason_phrase(int status) noexcept
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Unknown";
    }
}

} // namespace

Reply error_reply(int status, std::string_view reason, std::string_view header)
{
    return error_reply(refusal_counter(status), status, reason, header);
}

Reply error_reply(Counter counter, int status, std::string_view reason, std::string_view header)
{
    return {.status = status,
            .body = "{\"error\":" + json_quoted(reason) + "}\n",
            .header = header,
            .counter = counter};
}

std::string to_wire(const Reply &reply, bool close, bool head_only)
{
    std::string wire;
    wire.reserve(160 + reply.body.size());
    wire += "HTTP/1.1 ";
    wire += std::to_string(reply.status);
    wire += ' ';
    wire += reason_phrase(reply.status);
    wire += "\r\nContent-Type: ";
    wire += reply.content_type;
    wire += "\r\nContent-Length: ";
    wire += std::to_string(reply.body.size());
    if (!reply.header.empty()) {
        wire += "\r\n";
        wire += reply.header;
    }
    if (close)
        wire += "\r\nConnection: close";
    wire += "\r\n\r\n";
    if (!head_only)
        wire += reply.body;
    return wire;
}

} // namespace cxone_sync
