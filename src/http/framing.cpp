#include "http/framing.h"

#include "core/ascii.h"

#include <algorithm>

namespace cxone_sync {

namespace {

/* Calls `use` for each element of a comma-separated list. */
template <typename Use> void for_each_element(std::string_view list, Use use)
{
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        use(trimmed(list.substr(0, comma)));
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
}

/*
 * RFC 9112 section 3.2. The library would pass over a fragment, read more than two hexadecimal digits after
 * %u, and take what follows a first '?' for the path, and so find a path where a proxy finds another one.
 */
bool is_target(std::string_view target) noexcept
{
    if (target.empty() || target[0] == '?')
        return false;
    for (std::size_t i = 0; i < target.size(); i++) {
        if (target[i] <= ' ' || target[i] >= '\x7F' || target[i] == '#')
            return false;
        if (target[i] == '%' &&
            (i + 2 >= target.size() || hex_value(target[i + 1]) < 0 || hex_value(target[i + 2]) < 0))
            return false;
    }
    return true;
}

constexpr const char *head_too_large = "the request's head is too large";
constexpr const char *no_memory = "too many requests are waiting";

} // namespace

Framing::State Framing::refuse(int status, const char *reason) noexcept
{
    status_ = status;
    reason_ = reason;
    keep_alive_ = false;
    return State::refused;
}

Framing::State Framing::feed(std::string &input, MemoryShare &memory)
{
    if (part_ == Part::head) {
        const State state = read_head(input);
        if (state != State::complete)
            return state;
        /* a sender that has begun its body does not wait for permission */
        if (expects_continue_ && input.empty() && (chunked_ || remaining_ > 0))
            return State::needs_continue;
    }
    return go_on(input, memory);
}

Framing::State Framing::go_on(std::string &input, MemoryShare &memory)
{
    if (part_ == Part::body)
        return read_body(input, memory);
    return read_chunks(input, memory);
}

/* `complete` means that the head is. */
Framing::State Framing::read_head(std::string &input)
{
    /* RFC 9112 section 2.2: an empty line before the request line is ignored */
    if (!begun_) {
        if (input.empty() || input == "\r")
            return State::needs_bytes;
        if (input.starts_with("\r\n"))
            input.erase(0, 2);
        begun_ = true;
    }

    const std::string_view seen(input.data(), std::min(input.size(), limits_.max_head));
    for (std::size_t lf; (lf = seen.find('\n', scanned_)) != seen.npos; scanned_ = lf + 1) {
        if (lf == 0 || seen[lf - 1] != '\r')
            return refuse(400, "a line of the request's head does not end in CRLF");
        if (lf == 1)
            return refuse(400, "the request has no request line");
        if (seen[lf - 2] == '\n') {
            head_.assign(input, 0, lf + 1);
            input.erase(0, lf + 1);
            return check_head();
        }
    }
    scanned_ = seen.size();
    return scanned_ == limits_.max_head ? refuse(431, head_too_large) : State::needs_bytes;
}

/* The library would also read other blanks than the two between method, target and version. */
Framing::State Framing::read_request_line(std::string_view line)
{
    constexpr std::size_t version_size = std::string_view(" HTTP/1.1").size();
    http_1_0_ = line.ends_with(" HTTP/1.0");
    if (!http_1_0_ && !line.ends_with(" HTTP/1.1"))
        return refuse(line.find(" HTTP/") == line.npos ? 400 : 505, "the request is not HTTP/1.1");
    line.remove_suffix(version_size);

    const std::size_t method_size = std::min(line.find(' '), line.size());
    const std::string_view method = line.substr(0, method_size);
    const std::string_view target = line.substr(std::min(method_size + 1, line.size()));
    if (method.empty() || !is_target(target) || !std::all_of(method.begin(), method.end(), is_token_char))
        return refuse(400, "the request line is not a method, a target and a version");
    return State::complete;
}

Framing::State Framing::check_head()
{
    std::string_view rest(head_.data(), head_.size() - 2);
    unsigned lines = 0;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find("\r\n"));
        rest.remove_prefix(line.size() + 2);
        if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
            return refuse(400, "the request's head holds a bare CR, LF or NUL");
        if (lines > limits_.max_header_lines)
            return refuse(431, "the request has too many header lines");
        if ((lines++ == 0 ? read_request_line(line) : read_header(line)) == State::refused)
            return State::refused;
    }
    if (host_lines_ > 1 || (host_lines_ == 0 && !http_1_0_))
        return refuse(400, "the request needs exactly one Host header");
    if (has_length_ && chunked_)
        return refuse(400, "the request has both a Content-Length and a Transfer-Encoding");
    if (chunked_ && http_1_0_)
        return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    /* its sender takes the connection's end for the reply's, and does not know 100 */
    if (http_1_0_)
        keep_alive_ = expects_continue_ = false;
    if (!chunked_ && !has_length_ && head_.starts_with("POST "))
        return refuse(411, "the request needs a Content-Length or chunks");
    if (!chunked_ && remaining_ > limits_.max_body)
        return refuse(413, limits_.body_too_large);
    part_ = chunked_ ? Part::chunk_size : Part::body;
    return State::complete;
}

Framing::State Framing::read_header(std::string_view line)
{
    const std::size_t colon = line.find(':');
    if (colon == 0 || colon == line.npos ||
        !std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(colon), is_token_char))
        return refuse(400, "a header line has no proper name");
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));

    if (equal_ignoring_case(name, "Content-Length")) {
        if (has_length_ || value.empty() || !std::all_of(value.begin(), value.end(), is_digit))
            return refuse(400, "the request needs one Content-Length, a decimal number");
        has_length_ = true;
        for (char digit : value)
            remaining_ =
                std::min<std::uint64_t>(remaining_ * 10 + static_cast<unsigned>(digit - '0'), 1ULL << 60);
    } else if (equal_ignoring_case(name, "Transfer-Encoding")) {
        if (chunked_)
            return refuse(400, "the request has more than one Transfer-Encoding");
        if (!equal_ignoring_case(value, "chunked"))
            return refuse(501, "the only Transfer-Encoding known here is chunked");
        chunked_ = true;
    } else if (equal_ignoring_case(name, "Content-Encoding")) {
        /* x-gzip is gzip's old name, RFC 9110 section 8.4.1.3 */
        gzip_ = equal_ignoring_case(value, "gzip") || equal_ignoring_case(value, "x-gzip");
        if (has_encoding_ || !(gzip_ || value.empty() || equal_ignoring_case(value, "identity")))
            return refuse(415, "the only Content-Encoding known here is gzip, once");
        has_encoding_ = true;
    } else if (equal_ignoring_case(name, "Connection")) {
        for_each_element(value, [this](std::string_view option) {
            if (equal_ignoring_case(option, "close"))
                keep_alive_ = false;
        });
    } else if (equal_ignoring_case(name, "Expect")) {
        if (!equal_ignoring_case(value, "100-continue"))
            return refuse(417, "the only Expect known here is 100-continue");
        expects_continue_ = true;
    } else if (equal_ignoring_case(name, "Host")) {
        host_lines_++;
    }
    return State::complete;
}

Framing::State Framing::append_body(std::string_view bytes, MemoryShare &memory)
{
    if (body_.size() + bytes.size() > limits_.max_body)
        return refuse(413, limits_.body_too_large);
    if (!memory.grow_to(body_.size() + bytes.size()))
        return refuse(503, no_memory);
    body_.append(bytes);
    return State::complete;
}

Framing::State Framing::read_body(std::string &input, MemoryShare &memory)
{
    const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size()));
    if (body_.empty() && size == input.size() && size == remaining_) {
        /* the whole body and nothing else has arrived: no copy */
        if (!memory.grow_to(size))
            return refuse(503, no_memory);
        body_.swap(input);
    } else {
        if (append_body({input.data(), size}, memory) == State::refused)
            return State::refused;
        input.erase(0, size);
    }
    remaining_ -= size;
    if (remaining_ > 0)
        return State::needs_bytes;
    part_ = Part::done;
    return State::complete;
}

Framing::State Framing::read_chunk_size(std::string_view line)
{
    /* chunk extensions are ignored, as RFC 9112 section 7.1.1 asks; blanks may stand before one */
    std::string_view size = line.substr(0, line.find(';'));
    if (!size.starts_with(' ') && !size.starts_with('\t'))
        size = trimmed(size);
    if (size.empty() || size.size() > 15)
        return refuse(400, "a chunk of the body has no proper size");
    remaining_ = 0;
    for (char c : size) {
        const int digit = hex_value(c);
        if (digit < 0)
            return refuse(400, "a chunk of the body has no proper size");
        remaining_ = remaining_ * 16 + static_cast<unsigned>(digit);
    }
    if (remaining_ > limits_.max_body - body_.size())
        return refuse(413, limits_.body_too_large);
    part_ = remaining_ > 0 ? Part::chunk_data : Part::trailer;
    return State::complete;
}

/*
 * What was read is erased once, not chunk by chunk: chunks of one byte would cost a move of all input each.
 */
Framing::State Framing::read_chunks(std::string &input, MemoryShare &memory)
{
    std::string_view rest = input;
    const State state = read_chunks(rest, memory);
    input.erase(0, input.size() - rest.size());
    return state;
}

Framing::State Framing::read_chunks(std::string_view &rest, MemoryShare &memory)
{
    constexpr std::size_t max_line = 256;
    while (part_ != Part::done) {
        if (part_ == Part::chunk_data) {
            const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, rest.size()));
            if (append_body(rest.substr(0, size), memory) == State::refused)
                return State::refused;
            rest.remove_prefix(size);
            remaining_ -= size;
            if (remaining_ > 0)
                return State::needs_bytes;
            part_ = Part::chunk_end;
        }

        const std::size_t end = rest.substr(0, max_line + 1).find('\n');
        if (end == rest.npos && rest.size() <= max_line)
            return State::needs_bytes;
        if (end == rest.npos)
            return refuse(400, "a line between the body's chunks is too long");
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end + 1);
        if (read_chunk_line(line) == State::refused)
            return State::refused;
    }
    return State::complete;
}

/* A line outside the chunks' data, without its LF. */
Framing::State Framing::read_chunk_line(std::string_view line)
{
    if (!line.ends_with('\r'))
        return refuse(400, "a line between the body's chunks does not end in CRLF");
    line.remove_suffix(1);
    if (line.find_first_of(std::string_view("\r\0", 2)) != line.npos)
        return refuse(400, "a line between the body's chunks holds a bare CR or NUL");

    if (part_ == Part::chunk_size)
        return read_chunk_size(line);
    if (part_ == Part::chunk_end) {
        if (!line.empty())
            return refuse(400, "a chunk of the body is longer than its size");
        part_ = Part::chunk_size;
    } else if (line.empty()) {
        part_ = Part::done;
    } else {
        trailer_size_ += line.size();
        if (trailer_size_ > limits_.max_head)
            return refuse(431, "the request's trailer is too large");
    }
    return State::complete;
}

} // namespace cxone_sync
