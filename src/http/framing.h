#pragma once

#include "core/memory_budget.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cxone_sync {

/*
 * Finds where one request ends (RFC 9112 sections 2.2, 5, 6 and 7.1), strictly: whatever two parsers could
 * read differently is refused, since that is how requests are smuggled past a proxy. What the head means is
 * left to the HTTP library; bytes, header lines and body are bounded here, where they arrive.
 */
class Framing {
public:
    struct Limits {
        std::size_t max_head = 16 * 1024;
        unsigned max_header_lines = 100;
        std::size_t max_body = 4 * 1024 * 1024;
        const char *body_too_large = "the body is larger than cxone_sync.max_body_size"; /* for the sender */
    };

    /* needs_continue: the sender waits for "100 Continue" before it sends the body. */
    enum class State : std::uint8_t { needs_bytes, needs_continue, complete, refused };

    explicit Framing(const Limits &limits) noexcept : limits_(limits) {}

    /*
     * Consumes from the front of `input` what belongs to this request. `memory` grows with the body. The
     * result is the same however the request comes in pieces.
     */
    State feed(std::string &input, MemoryShare &memory);
    /* After "100 Continue" has been sent. */
    State go_on(std::string &input, MemoryShare &memory);

    bool has_head() const noexcept { return part_ != Part::head; }
    const std::string &head() const noexcept { return head_; }
    std::string &body() noexcept { return body_; }
    /* The body is still a gzip file. */
    bool is_gzip() const noexcept { return gzip_ && !body_.empty(); }
    bool keep_alive() const noexcept { return keep_alive_; }

    /* For a refused request: the reply it gets. The connection cannot be used any more. */
    int status() const noexcept { return status_; }
    const char *reason() const noexcept { return reason_; }

private:
    enum class Part : std::uint8_t { head, body, chunk_size, chunk_data, chunk_end, trailer, done };

    State refuse(int status, const char *reason) noexcept;
    State read_head(std::string &input);
    State read_request_line(std::string_view line);
    State read_header(std::string_view line);
    State check_head();
    State read_body(std::string &input, MemoryShare &memory);
    State read_chunk_line(std::string_view line);
    State read_chunk_size(std::string_view line);
    State read_chunks(std::string &input, MemoryShare &memory);
    State read_chunks(std::string_view &rest, MemoryShare &memory);
    State append_body(std::string_view bytes, MemoryShare &memory);

    Limits limits_;
    Part part_ = Part::head;
    std::string head_;
    std::string body_;
    bool begun_ = false;          /* past the empty line that may precede a request */
    std::size_t scanned_ = 0;     /* bytes of the head already searched for its end */
    std::uint64_t remaining_ = 0; /* of the body or of the chunk */
    std::size_t trailer_size_ = 0;

    unsigned host_lines_ = 0;
    bool http_1_0_ = false;
    bool has_length_ = false;
    bool chunked_ = false;
    bool has_encoding_ = false;
    bool gzip_ = false;
    bool keep_alive_ = true;
    bool expects_continue_ = false;

    int status_ = 0;
    const char *reason_ = "";
};

} // namespace cxone_sync
