#include "http/framing.h"

#include "core/ascii.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cxone_sync {
namespace {

using State = Framing::State;
using Pieces = std::vector<std::string>;

constexpr Framing::Limits small{.max_head = 512, .max_header_lines = 10, .max_body = 100};

/* All that a connection learns of one request. */
struct Reading {
    State state = State::needs_bytes;
    int status = 0;
    std::string reason;
    std::string head;
    std::string body;
    std::string leftover; /* what belongs to the next request */
    bool keep_alive = false;
    int continued = 0; /* how often "100 Continue" was asked for */
};

Reading read(const Pieces &pieces, const Framing::Limits &limits = small,
             std::uint64_t memory_limit = 1 << 20)
{
    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget(used);
    budget.set_limit(memory_limit);
    Reading reading;
    {
        MemoryShare memory(budget);
        Framing framing(limits);
        std::string input;
        for (const std::string &piece : pieces) {
            input += piece;
            if (reading.state == State::complete || reading.state == State::refused)
                continue;
            reading.state = framing.feed(input, memory);
            if (reading.state == State::needs_continue) {
                reading.continued++;
                reading.state = framing.go_on(input, memory);
            }
        }
        reading.status = framing.status();
        reading.reason = framing.reason();
        reading.head = framing.head();
        reading.body = framing.body();
        reading.leftover = input;
        reading.keep_alive = framing.keep_alive();
        EXPECT_GE(used, reading.body.size());
        EXPECT_LE(used, memory_limit);
    }
    EXPECT_EQ(used, 0u);
    return reading;
}

/* In one piece, in two at every boundary, and byte by byte. */
std::vector<Pieces> all_pieces(const std::string &text)
{
    std::vector<Pieces> all{{text}};
    for (std::size_t i = 1; i < text.size(); i++)
        all.push_back({text.substr(0, i), text.substr(i)});
    Pieces bytes;
    for (const char c : text)
        bytes.emplace_back(1, c);
    all.push_back(bytes);
    return all;
}

std::string where(const Pieces &pieces)
{
    return pieces.size() <= 2 ? "first piece: " + testing::PrintToString(pieces[0]) : "byte by byte";
}

/* ---- what is accepted ---- */

struct Accepted {
    std::string head;
    std::string rest; /* the body as it is sent */
    std::string body; /* as it is read */
    bool keep_alive = true;
    std::string before = {}; /* the empty line that is ignored */
};

const std::string post = "POST /webhook HTTP/1.1\r\nHost: h\r\n";
const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";

std::vector<Accepted> accepted()
{
    return {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "", ""},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "", ""},
        {"GET /a?b=c%20d HTTP/1.1\r\nHOST:h\r\nX-Y: \t a b \t\r\n\r\n", "", ""},
        {"!#$%&'*+-.^_`|~09azAZ * HTTP/1.1\r\nhost: h\r\n!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n", "", ""},
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "", "", true, "\r\n"},
        {"GET / HTTP/1.1\r\nHost: h\r\nX: \xC3\xBC\x80\r\n\r\n", "", ""},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", "abc", "abc"},
        {"GET / HTTP/1.0\r\n\r\n", "", "", false},
        {"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", "", "", false},
        {"POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "abc", "abc", false},
        {post + "Content-Length: 0\r\n\r\n", "", ""},
        {post + "Content-Length: 5\r\n\r\n", "a\r\n\r\n", "a\r\n\r\n"},
        {post + "cONTENT-lENGTH:\t 0005 \r\n\r\n", "abcde", "abcde"},
        {post + "Content-Length: 100\r\n\r\n", std::string(100, 'x'), std::string(100, 'x')},
        {post + "Content-Length: 3\r\nConnection: close\r\n\r\n", "abc", "abc", false},
        {post + "Content-Length: 3\r\nConnection: x , CLOSE,y\r\n\r\n", "abc", "abc", false},
        {post + "Content-Length: 3\r\nConnection: closed, keep-alive\r\n\r\n", "abc", "abc"},
        {post + "Content-Length: 3\r\nContent-Encoding: Identity\r\n\r\n", "abc", "abc"},
        {post + "Content-Length: 3\r\nContent-Encoding:\r\n\r\n", "abc", "abc"},
        {post + "Content-Length: 3\r\nExpect: 100-Continue\r\n\r\n", "abc", "abc"},
        {chunked, "0\r\n\r\n", ""},
        {chunked, "3\r\nabc\r\n0\r\n\r\n", "abc"},
        {chunked, "1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", "abc"},
        {chunked, "A\r\n\r\n\r\n345678\r\na\r\n0123456789\r\n0\r\n\r\n", "\r\n\r\n3456780123456789"},
        {chunked, "3;ext\r\nabc\r\n0;a=\"b;c\"\r\n\r\n", "abc"},
        {chunked, "3 \t;ext=1\r\nabc\r\n0\r\n\r\n", "abc"},
        {chunked, "3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", "abc"},
        {chunked, "000000000000003\r\nabc\r\n0\r\n\r\n", "abc"},
        {chunked, "64\r\n" + std::string(100, 'x') + "\r\n0\r\n\r\n", std::string(100, 'x')},
        {chunked, "32\r\n" + std::string(50, 'x') + "\r\n32\r\n" + std::string(50, 'x') + "\r\n0\r\n\r\n",
         std::string(100, 'x')},
        {post + "transfer-encoding:  Chunked \r\nExpect: 100-continue\r\n\r\n", "1\r\na\r\n0\r\n\r\n", "a"},
    };
}

TEST(Framing, TheSameHoweverItComesInPieces)
{
    for (const Accepted &request : accepted()) {
        for (const std::string leftover : {"", "X", "POST / HTTP/1.1\r\n\r\n"}) {
            for (const Pieces &pieces : all_pieces(request.before + request.head + request.rest + leftover)) {
                SCOPED_TRACE(testing::PrintToString(request.head + request.rest) + " + " + leftover + ", " +
                             where(pieces));
                const Reading reading = read(pieces);
                ASSERT_EQ(reading.state, State::complete) << reading.reason;
                ASSERT_EQ(reading.status, 0);
                ASSERT_EQ(reading.head, request.head);
                ASSERT_EQ(reading.body, request.body);
                ASSERT_EQ(reading.leftover, leftover);
                ASSERT_EQ(reading.keep_alive, request.keep_alive);
            }
        }
    }
}

TEST(Framing, ARequestCutShortIsIncomplete)
{
    for (const Accepted &request : accepted()) {
        const std::string text = request.before + request.head + request.rest;
        for (std::size_t size = 0; size < text.size(); size++) {
            const Reading reading = read({text.substr(0, size)});
            ASSERT_EQ(reading.state, State::needs_bytes) << testing::PrintToString(text.substr(0, size));
            ASSERT_EQ(reading.status, 0);
        }
    }
}

TEST(Framing, PipelinedRequests)
{
    std::string all;
    for (const Accepted &request : accepted())
        all += request.before + request.head + request.rest;

    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget(used);
    budget.set_limit(1 << 20);
    for (const Accepted &request : accepted()) {
        MemoryShare memory(budget);
        Framing framing(small);
        ASSERT_EQ(framing.feed(all, memory), State::complete) << request.head;
        EXPECT_EQ(framing.head(), request.head);
        EXPECT_EQ(framing.body(), request.body);
        EXPECT_EQ(framing.keep_alive(), request.keep_alive);
    }
    EXPECT_TRUE(all.empty());
}

TEST(Framing, ExpectContinue)
{
    for (const std::string expect :
         {"Expect: 100-continue", "EXPECT:100-CONTINUE ", "expect: 100-Continue"}) {
        const std::string by_length = post + "Content-Length: 3\r\n" + expect + "\r\n\r\n";
        const std::string by_chunks = post + expect + "\r\nTransfer-Encoding: chunked\r\n\r\n";
        EXPECT_EQ(read({by_length, "abc"}).continued, 1) << expect;
        EXPECT_EQ(read({by_length, "abc"}).body, "abc");
        EXPECT_EQ(read({by_chunks, "0\r\n\r\n"}).continued, 1) << expect;
        /* this one has not waited */
        EXPECT_EQ(read({by_length + "a", "bc"}).continued, 0);
        EXPECT_EQ(read({by_length + "abc"}).continued, 0);
        EXPECT_EQ(read({by_chunks + "0", "\r\n\r\n"}).continued, 0);
        /* no body is to come */
        const Reading empty = read({post + "Content-Length: 0\r\n" + expect + "\r\n\r\n"});
        EXPECT_EQ(empty.continued, 0);
        EXPECT_EQ(empty.state, State::complete);
    }
    /* not asked for, and not known to HTTP/1.0 */
    EXPECT_EQ(read({post + "Content-Length: 3\r\n\r\n", "abc"}).continued, 0);
    EXPECT_EQ(read({"POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "abc"}).continued,
              0);
    /* one that is too large is refused before it is sent */
    const Reading large = read({post + "Content-Length: 101\r\nExpect: 100-continue\r\n\r\n"});
    EXPECT_EQ(large.status, 413);
    EXPECT_EQ(large.continued, 0);
}

/* `feed` may be called instead of `go_on`, which is what a connection does when the body arrives. */
TEST(Framing, TheContinuedBodyMayBeFed)
{
    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget(used);
    budget.set_limit(100);
    MemoryShare memory(budget);
    Framing framing(small);
    std::string input = post + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    ASSERT_EQ(framing.feed(input, memory), State::needs_continue);
    ASSERT_EQ(framing.feed(input, memory), State::needs_bytes);
    input = "abcX";
    ASSERT_EQ(framing.feed(input, memory), State::complete);
    EXPECT_EQ(framing.body(), "abc");
    EXPECT_EQ(input, "X");
}

/* ---- what is refused ---- */

struct Refused {
    std::string text;
    int status;
    std::string reason; /* a part of it, so that no request is refused for something else */
};

void expect_refused(const std::vector<Refused> &requests)
{
    for (const Refused &request : requests) {
        for (const Pieces &pieces : all_pieces(request.text)) {
            SCOPED_TRACE(testing::PrintToString(request.text) + ", " + where(pieces));
            const Reading reading = read(pieces);
            ASSERT_EQ(reading.state, State::refused);
            ASSERT_EQ(reading.status, request.status) << reading.reason;
            ASSERT_NE(reading.reason.find(request.reason), std::string::npos) << reading.reason;
            ASSERT_FALSE(reading.keep_alive);
        }
    }
}

TEST(Framing, RequestLines)
{
    const std::string rest = "\r\nHost: h\r\n\r\n";
    const std::string odd = "method, a target";
    const std::string version = "is not HTTP/1.1";
    expect_refused({
        {"GET /" + rest, 400, version}, /* HTTP/0.9 */
        {"GET" + rest, 400, version},
        {"GET / HTTP/2.0" + rest, 505, version},
        {"GET / HTTP/1.2" + rest, 505, version},
        {"GET / HTTP/0.9" + rest, 505, version},
        {"GET / HTTP/1.10" + rest, 505, version},
        {"GET / HTTP/1.1 " + rest, 505, version},
        {"GET / http/1.1" + rest, 400, version},
        {"GET /\tHTTP/1.1" + rest, 400, version},
        {"PRI * HTTP/2.0\r\n\r\n", 505, version},
        {" HTTP/1.1" + rest, 400, odd},
        {"GET HTTP/1.1" + rest, 400, odd},
        {"GET  HTTP/1.1" + rest, 400, odd},
        {"GET  / HTTP/1.1" + rest, 400, odd},
        {"GET /  HTTP/1.1" + rest, 400, odd},
        {" GET / HTTP/1.1" + rest, 400, odd},
        {"GET\t/ HTTP/1.1" + rest, 400, odd},
        {"GET /a b HTTP/1.1" + rest, 400, odd},
        {"GET /a\tb HTTP/1.1" + rest, 400, odd},
        {"GET /a\x7F HTTP/1.1" + rest, 400, odd},
        {"GET /\xC3\xBC HTTP/1.1" + rest, 400, odd},
        /* what the HTTP library reads as another path than a proxy does */
        {"GET /webhook#x HTTP/1.1" + rest, 400, odd},
        {"GET ?/webhook HTTP/1.1" + rest, 400, odd},
        {"GET /web%u0068ook HTTP/1.1" + rest, 400, odd},
        {"GET /webhook%uD800 HTTP/1.1" + rest, 400, odd},
        {"GET /webhook% HTTP/1.1" + rest, 400, odd},
        {"GET /webhook%4 HTTP/1.1" + rest, 400, odd},
        {"GET /webhook%4g HTTP/1.1" + rest, 400, odd},
        {"G(T / HTTP/1.1" + rest, 400, odd},
        {"G\x80T / HTTP/1.1" + rest, 400, odd},
        {"GET / HTTP/1.1 HTTP/1.1" + rest, 400, odd},
        {"\r\n\r\nGET / HTTP/1.1" + rest, 400, "no request line"},
    });
}

TEST(Framing, HeaderLines)
{
    const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n";
    const std::string name = "no proper name";
    const std::string crlf = "does not end in CRLF";
    const std::string bare = "bare CR, LF or NUL";
    expect_refused({
        {get + "X: 1\r\n folded\r\n\r\n", 400, name},
        {get + "X: 1\r\n\tfolded: 1\r\n\r\n", 400, name},
        {"GET / HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n", 400, name},
        {get + "X : 1\r\n\r\n", 400, name},
        {get + "X\t: 1\r\n\r\n", 400, name},
        {get + "X Y: 1\r\n\r\n", 400, name},
        {get + ": 1\r\n\r\n", 400, name},
        {get + ":\r\n\r\n", 400, name},
        {get + "X\r\n\r\n", 400, name},
        {get + "X(Y): 1\r\n\r\n", 400, name},
        {get + "X\x80: 1\r\n\r\n", 400, name},
        {get + "X: 1\n\r\n", 400, crlf},
        {get + "X: 1\n\n", 400, crlf},
        {"GET / HTTP/1.1\nHost: h\r\n\r\n", 400, crlf},
        {"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, crlf},
        {get + "X: 1\rY: 2\r\n\r\n", 400, bare},
        {get + "X: 1\r\r\n\r\n", 400, bare},
        {get + "\r\r\n\r\n", 400, bare},
        {"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", 400, bare},
        {get + std::string("X: a\0b\r\n\r\n", 10), 400, bare},
        {get + std::string("X\0: a\r\n\r\n", 9), 400, bare},
        {"GET / HTTP/1.1\r\n\r\n", 400, "exactly one Host"},
        {get + "Host: h\r\n\r\n", 400, "exactly one Host"},
        {get + "hOST: other\r\n\r\n", 400, "exactly one Host"},
        {"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", 400, "exactly one Host"},
    });
}

TEST(Framing, BodyHeaders)
{
    const std::string length = "one Content-Length";
    std::vector<Refused> requests = {
        {post + "\r\n", 411, "needs a Content-Length"},
        {"POST / HTTP/1.0\r\n\r\n", 411, "needs a Content-Length"},
        {post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "both"},
        {post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400, "both"},
        {post + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400, "both"},
        {post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, length},
        {post + "Content-Length: 3\r\nX: y\r\ncontent-length: 4\r\n\r\nabcd", 400, length},
        {post + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400, length},
        {post + "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         "more than one Transfer-Encoding"},
        {"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         "HTTP/1.0 has no Transfer-Encoding"},
        {post + "Content-Length: 101\r\n\r\n", 413, "max_body_size"},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n", 413, "max_body_size"},
        {post + "Content-Length: 4294967297\r\n\r\na", 413, "max_body_size"},
        {post + "Content-Length: 18446744073709551617\r\n\r\na", 413, "max_body_size"}, /* 2^64 + 1 */
        {post + "Content-Length: 1" + std::string(200, '0') + "\r\n\r\na", 413, "max_body_size"},
    };
    for (const std::string value : {"", "+3", "-3", "-0", "3 3", "3,3", "3, 3", "0x3", "3a", "3.0", "\"3\"",
                                    "1e1", "3;", "\xC2\xB3", "a", "\v3"})
        requests.push_back({post + "Content-Length: " + value + "\r\n\r\nabc", 400, length});
    for (const std::string value :
         {"chunked, gzip", "gzip, chunked", "gzip", "chunked,chunked", "chunked,", ",chunked", "identity", "",
          "\"chunked\"", "chunked;q=1", "xchunked", "\vchunked", "chunked\f"})
        requests.push_back(
            {post + "Transfer-Encoding: " + value + "\r\n\r\n0\r\n\r\n", 501, "the only Transfer-Encoding"});
    for (const std::string value : {"deflate", "br", "x", "gzip, gzip", "identity, gzip", "gzip, identity",
                                    "gzip,", ",gzip", "gzip;q=1", "\"gzip\"", "x-x-gzip", "gzip\v",
                                    "gzip\r\nContent-Encoding: gzip", "gzip\r\nContent-Encoding: identity",
                                    "identity\r\ncontent-encoding: gzip", "\r\nContent-Encoding:"})
        requests.push_back({post + "Content-Length: 3\r\nContent-Encoding: " + value + "\r\n\r\nabc", 415,
                            "Content-Encoding"});
    for (const std::string value : {"", "200-ok", "100-continue, x", "100-continue;a=b", "100"})
        requests.push_back(
            {post + "Content-Length: 3\r\nExpect: " + value + "\r\n\r\nabc", 417, "the only Expect"});
    expect_refused(requests);
}

TEST(Framing, Chunks)
{
    std::vector<Refused> requests = {
        {"3\r\nabcd\r\n0\r\n\r\n", 400, "longer than its size"},
        {"3\r\nabc0\r\n\r\n", 400, "longer than its size"},
        {"3\r\nabc\n0\r\n\r\n", 400, "does not end in CRLF"},
        {"3\nabc\r\n0\r\n\r\n", 400, "does not end in CRLF"},
        {"3\r\nabc\r\n0\n\r\n", 400, "does not end in CRLF"},
        {"3\r\nabc\r\n0\r\n\n", 400, "does not end in CRLF"},
        {"3\r\nabc\r\n0\r\nX: 1\n\r\n", 400, "does not end in CRLF"},
        {"3;a\rb\r\nabc\r\n0\r\n\r\n", 400, "bare CR or NUL"},
        {"3\r\r\nabc\r\n0\r\n\r\n", 400, "bare CR or NUL"},
        {std::string("3;a\0\r\nabc\r\n0\r\n\r\n", 17), 400, "bare CR or NUL"},
        {"3\r\nabc\r\n0\r\nX: \r1\r\n\r\n", 400, "bare CR or NUL"},
        {std::string(257, '0') + "\r\n\r\n", 400, "too long"},
        {"0;" + std::string(300, 'x') + "\r\n\r\n", 400, "too long"},
        {"0\r\nX: " + std::string(300, 'x') + "\r\n\r\n", 400, "too long"},
        {"65\r\n", 413, "max_body_size"},
        {"64\r\n" + std::string(100, 'x') + "\r\n1\r\nx", 413, "max_body_size"},
        {"fffffffffffffff\r\n", 413, "max_body_size"},
        {"32\r\n" + std::string(50, 'x') + "\r\nfffffffffffffff\r\n", 413, "max_body_size"},
    };
    for (const std::string size : {"",
                                   " ",
                                   ";a",
                                   " ;a",
                                   "+3",
                                   "-3",
                                   "0x3",
                                   "x3",
                                   "3x",
                                   " 3",
                                   "\t3",
                                   "3 3",
                                   "3,3",
                                   "g",
                                   "3.0",
                                   "\"3\"",
                                   "10000000000000003",
                                   "ffffffffffffffff",
                                   "0000000000000003",
                                   "3\v",
                                   "3h"})
        requests.push_back({size + "\r\nabc\r\n0\r\n\r\n", 400, "no proper size"});
    for (Refused &request : requests)
        request.text = chunked + request.text;
    expect_refused(requests);
}

/* ---- limits ---- */

TEST(Framing, TheHeadsSize)
{
    const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    const auto head_of = [&](std::size_t size) {
        return begin + std::string(size - begin.size() - 4, 'x') + "\r\n\r\n";
    };
    for (const Pieces &pieces : all_pieces(head_of(small.max_head)))
        ASSERT_EQ(read(pieces).state, State::complete) << where(pieces);
    for (const std::size_t size : {small.max_head + 1, small.max_head + 4, small.max_head + 100})
        expect_refused({{head_of(size), 431, "head is too large"}});
    /* no line ends at all */
    EXPECT_EQ(read({std::string(small.max_head, 'x')}).status, 431);
    EXPECT_EQ(read({std::string(small.max_head - 1, 'x')}).state, State::needs_bytes);
    /* what follows the head is no part of it */
    EXPECT_EQ(read({head_of(small.max_head) + std::string(1000, 'x')}).leftover.size(), 1000u);
}

TEST(Framing, TheHeadersNumber)
{
    std::string head = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (unsigned lines = 1; lines < small.max_header_lines; lines++)
        head += "X: 1\r\n";
    EXPECT_EQ(read({head + "\r\n"}).state, State::complete);
    expect_refused({{head + "X: 1\r\n\r\n", 431, "too many header lines"}});
}

TEST(Framing, TheTrailersSize)
{
    const std::string line = "X: " + std::string(125, 'x') + "\r\n"; /* 128 without CRLF */
    const std::string body = chunked + "0\r\n" + line + line + line + line;
    EXPECT_EQ(read({body + "\r\n"}).state, State::complete);
    expect_refused({{body + "Y:\r\n\r\n", 431, "trailer is too large"}});
}

TEST(Framing, GzipIsNoted)
{
    const auto is_gzip = [](const std::string &headers, const std::string &body) {
        std::string input =
            post + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
        MemoryShare memory;
        Framing framing(small);
        EXPECT_EQ(framing.feed(input, memory), State::complete);
        EXPECT_EQ(framing.body(), body);
        return framing.is_gzip();
    };
    for (const std::string value : {"gzip", "x-gzip", "GZIP", "X-GZip", "\tgzip "})
        EXPECT_TRUE(is_gzip("Content-Encoding: " + value + "\r\n", "abc")) << value;
    EXPECT_TRUE(is_gzip("content-encoding:gzip\r\n", "abc"));
    for (const std::string headers : {"", "Content-Encoding: identity\r\n", "Content-Encoding:\r\n",
                                      "Accept-Encoding: gzip\r\n", "X: gzip\r\n"})
        EXPECT_FALSE(is_gzip(headers, "abc")) << headers;
    /* there is nothing to inflate */
    EXPECT_FALSE(is_gzip("Content-Encoding: gzip\r\n", ""));
}

TEST(Framing, NoBodyIsAllowed)
{
    Framing::Limits limits = small;
    limits.max_body = 0;
    EXPECT_EQ(read({post + "Content-Length: 0\r\n\r\n"}, limits).state, State::complete);
    EXPECT_EQ(read({post + "Content-Length: 1\r\n\r\na"}, limits).status, 413);
    EXPECT_EQ(read({chunked + "0\r\n\r\n"}, limits).state, State::complete);
    EXPECT_EQ(read({chunked + "1\r\na\r\n0\r\n\r\n"}, limits).status, 413);
}

TEST(Framing, TheMemoryBudget)
{
    const std::string by_length = post + "Content-Length: 50\r\n\r\n" + std::string(50, 'x');
    const std::string by_chunks =
        chunked + "19\r\n" + std::string(25, 'x') + "\r\n19\r\n" + std::string(25, 'x') + "\r\n0\r\n\r\n";
    for (const std::string &request : {by_length, by_chunks}) {
        for (const Pieces &pieces : all_pieces(request)) {
            ASSERT_EQ(read(pieces, small, 50).state, State::complete) << where(pieces);
            const Reading reading = read(pieces, small, 49);
            ASSERT_EQ(reading.state, State::refused) << where(pieces);
            ASSERT_EQ(reading.status, 503) << where(pieces);
            ASSERT_FALSE(reading.keep_alive);
        }
    }
    /* a request without a body needs none */
    EXPECT_EQ(read({"GET / HTTP/1.1\r\nHost: h\r\n\r\n"}, small, 0).state, State::complete);
}

TEST(Framing, NamesIgnoreCaseInAsciiOnly)
{
    EXPECT_TRUE(equal_ignoring_case("", ""));
    EXPECT_TRUE(equal_ignoring_case("Content-Length", "cONTENT-lENGTH"));
    EXPECT_FALSE(equal_ignoring_case("a", ""));
    EXPECT_FALSE(equal_ignoring_case("a", "ab"));
    EXPECT_FALSE(equal_ignoring_case("ab", "a"));
    EXPECT_FALSE(equal_ignoring_case("@", "`"));
    EXPECT_FALSE(equal_ignoring_case("[", "{"));
    EXPECT_FALSE(equal_ignoring_case("\xC4", "\xE4"));
}

} // namespace
} // namespace cxone_sync
