#include "http/inflate.h"

#include "gzip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace cxone_sync {
namespace {

struct Inflated {
    int status = 0; /* 0: not refused */
    std::string reason;
    std::string header;
    std::string body;
    std::size_t capacity = 0;
    std::uint64_t used = 0;
};

Inflated inflated(const std::string &file, std::size_t max_size = 1 << 20,
                  std::uint64_t memory_limit = std::uint64_t{1} << 40)
{
    std::atomic<std::uint64_t> used{0};
    MemoryBudget budget(used);
    budget.set_limit(memory_limit);
    Inflated result;
    {
        MemoryShare memory(budget);
        EXPECT_TRUE(memory.grow_to(file.size()));
        result.body = file;
        if (const std::optional<Reply> refusal = inflate_body(result.body, {.max_body = max_size}, memory)) {
            result.status = refusal->status;
            result.reason = refusal->body;
            result.header = refusal->header;
        }
        result.capacity = result.body.capacity();
        result.used = used;
    }
    EXPECT_EQ(used, 0u);
    return result;
}

std::string random_text(std::size_t size)
{
    std::minstd_rand random(1);
    std::string text(size, '\0');
    std::generate(text.begin(), text.end(), [&] { return static_cast<char>(random() >> 8); });
    return text;
}

void expect_inflated(const std::string &file, const std::string &text)
{
    const Inflated result = inflated(file);
    EXPECT_EQ(result.status, 0) << result.reason;
    EXPECT_EQ(result.body, text);
}

void expect_broken(const std::string &file)
{
    const Inflated result = inflated(file);
    EXPECT_EQ(result.status, 400);
    EXPECT_EQ(result.reason, "{\"error\":\"the body is not a whole gzip file\"}\n");
}

const std::string hello = "{\"events\":[{\"id\":\"hello\"}]}";

TEST(Inflate, AnyLevelAndSize)
{
    for (const int level : {0, 1, 6, 9}) {
        for (const std::size_t size : {0, 1, 15, 16, 1000, 16383, 16384, 16385, 32768, 100'000, 1 << 20}) {
            for (const std::string &text : {std::string(size, 'x'), random_text(size)})
                expect_inflated(gzip(text, level), text);
        }
    }
}

TEST(Inflate, AHeaderWithAllFields)
{
    Bytef extra[] = {'a', 'b', 2, 0, 'c', 'd'};
    Bytef name[] = "name";
    Bytef comment[] = "comment";
    gz_header header{};
    header.text = 1;
    header.time = 1;
    header.extra = extra;
    header.extra_len = sizeof(extra);
    header.name = name;
    header.comment = comment;
    header.hcrc = 1;
    const std::string file = gzip(hello, 6, &header);
    expect_inflated(file, hello);
    for (std::size_t size = 0; size < file.size(); size++)
        expect_broken(file.substr(0, size));
}

TEST(Inflate, SeveralMembers)
{
    const std::string empty = gzip("");
    expect_inflated(gzip("one") + gzip("two"), "onetwo");
    expect_inflated(empty + gzip("one") + empty + empty + gzip("two", 0) + empty, "onetwo");

    std::string file, text;
    for (int i = 0; i < 1000; i++) {
        text += std::to_string(i);
        file += gzip(std::to_string(i));
    }
    expect_inflated(file, text);
}

TEST(Inflate, WhatIsNoWholeFile)
{
    const std::string file = gzip(hello);
    for (const std::string &part : {std::string(), std::string("x"), hello, file + 'x', file + '\0',
                                    file + '\x1F', 'x' + file, file.substr(1), file + hello})
        expect_broken(part);
    for (std::size_t size = 0; size < file.size(); size++) {
        expect_broken(file.substr(0, size));
        if (size > 0)
            expect_broken(file + file.substr(0, size));
    }

    /* zlib's own format and bare deflate */
    std::string other(1000, '\0');
    uLongf size = other.size();
    ASSERT_EQ(compress(reinterpret_cast<Bytef *>(other.data()), &size,
                       reinterpret_cast<const Bytef *>(hello.data()), hello.size()),
              Z_OK);
    other.resize(size);
    expect_broken(other);
    expect_broken(other.substr(2, size - 6));
}

/* The header says little that matters; from there on each bit is guarded by the checksum or the size. */
TEST(Inflate, EveryBitAfterTheHeader)
{
    const std::string file = gzip(hello);
    constexpr std::size_t header_size = 10;
    for (std::size_t at = header_size * 8; at < file.size() * 8; at++) {
        std::string changed = file;
        changed[at / 8] = static_cast<char>(changed[at / 8] ^ 1 << at % 8);
        EXPECT_TRUE(inflated(changed).status == 400 || inflated(changed).body == hello) << at;
    }
}

/* ---- limits ---- */

TEST(Inflate, TheSizeOnceInflated)
{
    for (const std::size_t size : {0, 1, 100, 16384, 16385, 40'000, 50'000}) {
        const std::string file = gzip(std::string(size, 'x'));
        for (const std::size_t max_size : {0, 1, 100, 16383, 16384, 16385, 32768, 40'000, 49'999, 50'000}) {
            const Inflated result = inflated(file, max_size);
            ASSERT_EQ(result.status, size <= max_size ? 0 : 413) << size << ' ' << max_size;
            if (size <= max_size) {
                /* 30: what std::string has at least if it allocates at all */
                ASSERT_LE(result.capacity, std::max<std::size_t>(size, 30));
            } else {
                ASSERT_EQ(result.reason,
                          "{\"error\":\"the body is larger than cxone_sync.max_body_size once inflated\"}\n");
            }
        }
    }
    /* members count together */
    const std::string halves = gzip(std::string(50, 'x')) + gzip(std::string(50, 'x'));
    EXPECT_EQ(inflated(halves, 100).status, 0);
    EXPECT_EQ(inflated(halves, 99).status, 413);
}

TEST(Inflate, ABombCostsNothing)
{
    const std::string bomb = gzip(std::string(64 << 20, '\0'), 9);
    for (const std::size_t max_size : {0, 1000, 1 << 20}) {
        const Inflated result = inflated(bomb, max_size);
        EXPECT_EQ(result.status, 413);
        EXPECT_EQ(result.used, bomb.size());
    }
}

TEST(Inflate, TheMemoryBudget)
{
    const std::string text = random_text(100'000);
    const std::string file = gzip(text);
    const std::uint64_t needed = file.size() + text.size();
    EXPECT_EQ(inflated(file, 1 << 20, needed).body, text);
    EXPECT_EQ(inflated(file, 1 << 20, needed).used, needed);
    for (const std::uint64_t limit : {needed - 1, std::uint64_t{file.size()}}) {
        const Inflated result = inflated(file, 1 << 20, limit);
        EXPECT_EQ(result.status, 503);
        EXPECT_EQ(result.header, "Retry-After: 1");
        EXPECT_EQ(result.used, file.size());
    }
}

} // namespace
} // namespace cxone_sync
