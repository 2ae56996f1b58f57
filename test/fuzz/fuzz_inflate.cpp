#include "http/inflate.h"

#include "gzip.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace cxone_sync;

constexpr std::size_t max_size = 40'000; /* more than zlib looks back */

void require(bool condition, const char *what)
{
    if (condition)
        return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

/* The reply's status, 0 for none; `body` becomes what was inflated. */
int inflated(std::string &body, std::uint64_t memory_limit)
{
    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget(used);
    budget.set_limit(memory_limit);
    int status = 0;
    {
        MemoryShare memory(budget);
        const std::uint64_t size = body.size();
        require(memory.grow_to(size), "the file itself has no room");
        const std::optional<Reply> refusal = inflate_body(body, {.max_body = max_size}, memory);
        status = refusal ? refusal->status : 0;
        require(status != 0 || body.size() <= max_size, "the body is larger than its limit");
        require(used == size + (status == 0 ? body.size() : 0), "memory is not accounted for");
    }
    require(used == 0, "memory is not given back");
    return status;
}

int inflated(std::string &body)
{
    return inflated(body, std::uint64_t{1} << 40);
}

std::string little_endian(uLong number)
{
    std::string bytes;
    for (int shift = 0; shift < 32; shift += 8)
        bytes += static_cast<char>(number >> shift & 0xFF);
    return bytes;
}

/*
 * The bytes as bare deflate data, which zlib inflates at one go, in a file that fits: so that what is found
 * is not lost to the checksum. Empty if they are none.
 */
std::string file_of(const std::string &deflated, std::string &text)
{
    text.assign(4 * max_size, '\0');
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        std::abort();
    std::string input = deflated;
    stream.next_in = reinterpret_cast<Bytef *>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef *>(text.data());
    stream.avail_out = static_cast<uInt>(text.size());
    const bool whole = inflate(&stream, Z_FINISH) == Z_STREAM_END;
    text.resize(stream.total_out);
    const std::size_t size = stream.total_in;
    inflateEnd(&stream);
    if (!whole)
        return {};
    const uLong sum = crc32(0, reinterpret_cast<const Bytef *>(text.data()), static_cast<uInt>(text.size()));
    return std::string("\x1F\x8B\x08\0\0\0\0\0\0\x03", 10) + deflated.substr(0, size) + little_endian(sum) +
           little_endian(static_cast<uLong>(text.size()));
}

void expect(std::string file, const std::string &text, const char *what)
{
    const int status = inflated(file);
    require(status == (text.size() <= max_size ? 0 : 413), what);
    require(status != 0 || file == text, what);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string bytes(reinterpret_cast<const char *>(data), size);

    std::string body = bytes;
    const int status = inflated(body);
    require(status == 0 || status == 400 || status == 413, "an unknown outcome");
    if (status == 0) {
        expect(bytes + bytes, body + body, "two files are not both inflated");
        std::string again = bytes;
        require(inflated(again, bytes.size()) == (body.empty() ? 0 : 503), "without memory it is inflated");
    }

    expect(gzip(bytes), bytes, "what was compressed does not come back");

    std::string text;
    const std::string file = file_of(bytes, text);
    if (!file.empty()) {
        expect(file, text, "a file of that data is inflated otherwise");
        if (text.size() <= max_size) {
            std::string cut = file.substr(0, file.size() - 1);
            require(inflated(cut) == 400, "a file that is cut short is taken");
        }
    }
    return 0;
}
