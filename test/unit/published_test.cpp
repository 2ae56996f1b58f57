#include "core/published.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

namespace cxone_sync {
namespace {

/* Larger than a cache line, and no multiple of a word. */
struct Text {
    std::uint64_t number;
    char filler[301];

    void fill(std::uint64_t with) noexcept
    {
        number = with;
        for (char &c : filler)
            c = static_cast<char>('a' + with % 26);
    }
    bool is_whole() const noexcept
    {
        for (const char c : filler) {
            if (c != static_cast<char>('a' + number % 26))
                return false;
        }
        return true;
    }
};

TEST(Published, ZerosAreAValue)
{
    alignas(Published<Text>) unsigned char memory[sizeof(Published<Text>)] = {};
    const auto *published = new (memory) Published<Text>;
    const Text value = published->get();
    EXPECT_EQ(value.number, 0u);
    for (const char c : value.filler)
        ASSERT_EQ(c, '\0');
}

TEST(Published, ASmallValue)
{
    Published<char> published;
    EXPECT_EQ(published.get(), '\0');
    published.set('x');
    EXPECT_EQ(published.get(), 'x');
}

TEST(Published, ChangeKeepsTheRest)
{
    Published<Text> published;
    Text text;
    text.fill(7);
    published.set(text);
    published.change([](Text &value) { value.number += 26; });
    EXPECT_EQ(published.get().number, 33u);
    EXPECT_TRUE(published.get().is_whole());
}

/* Whatever a reader sees was written as a whole, and no reader goes back in time. */
TEST(Published, ReadersNeverSeeATornValue)
{
    Published<Text> published;
    Text first;
    first.fill(0);
    published.set(first);

    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> torn{0}, backwards{0}, reads{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; i++)
        readers.emplace_back([&] {
            std::uint64_t last = 0;
            while (!stop) {
                const Text seen = published.get();
                torn += !seen.is_whole();
                backwards += seen.number < last;
                last = seen.number;
                reads++;
            }
        });
    for (std::uint64_t i = 1; i < 20'000 || reads < 1'000; i++) {
        if (i % 2)
            published.change([i](Text &value) { value.fill(i); });
        else {
            Text text;
            text.fill(i);
            published.set(text);
        }
    }
    stop = true;
    for (std::thread &reader : readers)
        reader.join();
    EXPECT_EQ(torn, 0u);
    EXPECT_EQ(backwards, 0u);
}

} // namespace
} // namespace cxone_sync
