#include "core/json_text.h"
#include "http/reply.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

TEST(Reply, ToWire)
{
    const Reply reply{.status = 200, .body = "{}\n"};
    EXPECT_EQ(to_wire(reply, false, false),
              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{}\n");
    EXPECT_EQ(to_wire(reply, true, false), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                           "Content-Length: 3\r\nConnection: close\r\n\r\n{}\n");
    /* the length that GET would have had */
    EXPECT_EQ(to_wire(reply, false, true),
              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n");
    EXPECT_EQ(to_wire(Reply{.body = ""}, true, true),
              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n"
              "Connection: close\r\n\r\n");
}

TEST(Reply, ExtraHeaderAndType)
{
    const Reply reply{
        .status = 405, .body = "no", .content_type = "text/plain", .header = "Allow: GET, HEAD"};
    EXPECT_EQ(to_wire(reply, false, false), "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\n"
                                            "Content-Length: 2\r\nAllow: GET, HEAD\r\n\r\nno");
    EXPECT_EQ(to_wire(reply, true, true),
              "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\n"
              "Content-Length: 2\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n");
}

TEST(Reply, TheBodyIsSentAsItIs)
{
    const std::string body("\0\r\n\r\n\xFF", 6);
    const std::string wire = to_wire(Reply{.body = body}, false, false);
    EXPECT_TRUE(wire.ends_with("Content-Length: 6\r\n\r\n" + body));
}

/* Every status that something in here replies with has its phrase. */
TEST(Reply, ReasonPhrases)
{
    for (const int status : {200, 400, 404, 405, 408, 411, 413, 414, 415, 417, 431, 500, 501, 503, 505}) {
        const std::string wire = to_wire(Reply{.status = status, .body = ""}, false, false);
        EXPECT_TRUE(wire.starts_with("HTTP/1.1 " + std::to_string(status) + " ")) << wire;
        EXPECT_EQ(wire.find("Unknown"), std::string::npos) << wire;
        EXPECT_NE(wire[13], '\r') << wire;
    }
    EXPECT_TRUE(
        to_wire(Reply{.status = 599, .body = ""}, false, false).starts_with("HTTP/1.1 599 Unknown\r\n"));
}

TEST(Reply, ErrorReply)
{
    const Reply plain = error_reply(404, "no such path");
    EXPECT_EQ(plain.status, 404);
    EXPECT_EQ(plain.body, "{\"error\":\"no such path\"}\n");
    EXPECT_EQ(plain.content_type, "application/json");
    EXPECT_EQ(plain.header, "");

    const Reply retry = error_reply(503, "a \"b\"\n", "Retry-After: 1");
    EXPECT_EQ(retry.status, 503);
    EXPECT_EQ(retry.body, "{\"error\":\"a \\\"b\\\"\\u000a\"}\n");
    EXPECT_EQ(retry.header, "Retry-After: 1");
}

TEST(Reply, JsonQuoted)
{
    EXPECT_EQ(json_quoted(""), "\"\"");
    EXPECT_EQ(json_quoted("plain / text"), "\"plain / text\"");
    EXPECT_EQ(json_quoted("\"\\"), "\"\\\"\\\\\"");
    EXPECT_EQ(json_quoted(std::string_view("\0\x01\t\n\r\x1F\x20\x7F", 8)),
              "\"\\u0000\\u0001\\u0009\\u000a\\u000d\\u001f \x7F\"");
    EXPECT_EQ(json_quoted("Gr\xC3\xBC\xC3\x9F"), "\"Gr\xC3\xBC\xC3\x9F\"");
}

} // namespace
} // namespace cxone_sync
