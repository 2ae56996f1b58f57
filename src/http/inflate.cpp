#include "http/inflate.h"

#include <new>
#include <string_view>

#define ZLIB_CONST
#include <zlib.h>

namespace cxone_sync {

namespace {

class GzipStream : public z_stream {
public:
    /* `file` is never larger than cxone_sync.max_body_size, which ends at 1 GB */
    explicit GzipStream(const std::string &file) : z_stream{}
    {
        constexpr int gzip_only = 16;
        next_in = reinterpret_cast<const Bytef *>(file.data());
        avail_in = static_cast<uInt>(file.size());
        if (inflateInit2(this, gzip_only + MAX_WBITS) != Z_OK)
            throw std::bad_alloc();
    }
    ~GzipStream() { inflateEnd(this); }
    GzipStream(const GzipStream &) = delete;
    GzipStream &operator=(const GzipStream &) = delete;
};

/* Calls `use` for each piece of what the file holds, until it returns false. False if the file is broken. */
template <typename Use> bool for_each_piece(const std::string &file, Use use)
{
    GzipStream stream(file);
    for (;;) {
        char piece[16 * 1024];
        stream.next_out = reinterpret_cast<Bytef *>(piece);
        stream.avail_out = sizeof(piece);
        const int result = inflate(&stream, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR)
            throw std::bad_alloc();
        if (result != Z_OK && result != Z_STREAM_END)
            return false;
        if (!use(std::string_view(piece, sizeof(piece) - stream.avail_out)))
            return true;
        if (result == Z_STREAM_END) {
            if (stream.avail_in == 0)
                return true;
            inflateReset(&stream); /* to the next member */
        }
    }
}

} // namespace

std::optional<Reply> inflate_body(std::string &body, const Framing::Limits &limits, MemoryShare &memory)
{
    /* counted first: a bomb costs no memory, and the text is never there twice for want of room to grow */
    std::size_t size = 0;
    const bool whole = for_each_piece(body, [&](std::string_view piece) {
        size += piece.size();
        return size <= limits.max_body;
    });
    if (!whole)
        return error_reply(Counter::refused_invalid_body, 400, "the body is not a whole gzip file");
    if (size > limits.max_body)
        return error_reply(413, std::string(limits.body_too_large) + " once inflated");
    if (!memory.grow_to(body.size() + size))
        return error_reply(503, "too many requests are waiting", "Retry-After: 1");

    std::string inflated;
    inflated.reserve(size);
    for_each_piece(body, [&](std::string_view piece) {
        inflated += piece;
        return true;
    });
    body.swap(inflated);
    return std::nullopt;
}

} // namespace cxone_sync
