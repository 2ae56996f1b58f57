#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <zlib.h>

/* What a sender makes of a body: one member of a gzip file. `header` gives it optional fields. */
inline std::string gzip(std::string_view text, int level = Z_DEFAULT_COMPRESSION, gz_header *header = nullptr)
{
    z_stream stream{};
    if (deflateInit2(&stream, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        std::abort();
    if (header)
        deflateSetHeader(&stream, header);
    std::string file(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
    std::string input(text);
    stream.next_in = reinterpret_cast<Bytef *>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef *>(file.data());
    stream.avail_out = static_cast<uInt>(file.size());
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
        std::abort();
    file.resize(stream.total_out);
    deflateEnd(&stream);
    return file;
}
