#include "core/utf8.h"

#include "reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace cxone_sync {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool slowed_down = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool slowed_down = true;
#else
constexpr bool slowed_down = false;
#endif
#else
constexpr bool slowed_down = false;
#endif

/* From a buffer of exactly the text's length, so that the address sanitizer sees a byte read too many. */
bool is_valid(std::string_view text)
{
    const auto exact = std::make_unique<char[]>(text.size());
    std::memcpy(exact.get(), text.data(), text.size());
    return is_valid_utf8({exact.get(), text.size()});
}

TEST(Utf8, TheTablesEdges)
{
    for (const char *text : {"", "a", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                             "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF",
                             "Gr\xC3\xBC\xC3\x9F"
                             "e \xF0\x9F\x91\x8B"})
        EXPECT_TRUE(is_valid(text)) << text;
    for (const char *text :
         {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x7F", "\xC2\xC0", "\xE0\x9F\xBF", "\xE0\xA0",
          "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x90\x80", "\xF4\x90\x80\x80",
          "\xF5\x80\x80\x80", "\xFE", "\xFF", "abcdefgh\x80", "abcdefg\xC3"})
        EXPECT_FALSE(is_valid(text)) << testing::PrintToString(text);
    for (std::size_t size = 1; size < 40; size++) {
        for (std::size_t at = 0; at < size; at++) {
            std::string text(size, 'x');
            EXPECT_TRUE(is_valid(text));
            text[at] = '\x01';
            EXPECT_TRUE(is_valid(text)) << at << " of " << size;
            text[at] = '\0';
            EXPECT_FALSE(is_valid(text)) << at << " of " << size;
        }
    }
    EXPECT_TRUE(is_valid_utf8({}));
}

TEST(Utf8, EveryCodePoint)
{
    for (std::uint32_t point = 1; point <= 0x10FFFF; point++) {
        const std::string text = reference::encode_utf8(point);
        if (!text.empty()) {
            ASSERT_TRUE(is_valid(text)) << point;
        }
    }
}

/*
 * What is well-formed among all sequences of up to four bytes, from the definition alone: a sequence is
 * well-formed if it is made of encoded code points.
 */
class AllSequences {
public:
    AllSequences() : two_(1 << 16), three_(1 << 24), four_(5 << 24)
    {
        for (std::uint32_t point = 0; point <= 0x10FFFF; point++) {
            const std::string text = reference::encode_utf8(point);
            if (text.size() == 2)
                two_[number(text)] = single;
            else if (text.size() == 3)
                three_[number(text)] = single;
            else if (text.size() == 4)
                four_[number(text) - first_four] = true;
        }
        for (std::uint32_t n = 0; n < two_.size(); n++) {
            if (one(n >> 8) && one(n & 0xFF))
                two_[n] = joined;
        }
        for (std::uint32_t n = 0; n < three_.size(); n++) {
            if ((one(n >> 16) && two(n & 0xFFFF)) || (two(n >> 8) && one(n & 0xFF)))
                three_[n] = joined;
        }
    }

    bool one(std::uint32_t n) const { return n != 0 && n < 0x80; }
    bool two(std::uint32_t n) const { return two_[n] != 0; }
    bool three(std::uint32_t n) const { return three_[n] != 0; }

    bool four(std::uint32_t n) const
    {
        return is_single_four(n) || (one(n >> 24) && three(n & 0xFFFFFF)) ||
               (two(n >> 16) && two(n & 0xFFFF)) || (three(n >> 8) && one(n & 0xFF));
    }

private:
    enum : unsigned char { single = 1, joined = 2 };
    static constexpr std::uint32_t first_four = 0xF0000000;

    bool is_single_four(std::uint32_t n) const
    {
        return n >= first_four && n - first_four < four_.size() && four_[n - first_four];
    }

    static std::uint32_t number(const std::string &text)
    {
        std::uint32_t n = 0;
        for (const char c : text)
            n = n << 8 | static_cast<unsigned char>(c);
        return n;
    }

    std::vector<unsigned char> two_;
    std::vector<unsigned char> three_;
    std::vector<bool> four_; /* only of the lead bytes F0 to F4 */
};

bool is_valid_number(std::uint32_t n, std::size_t length)
{
    char bytes[4];
    for (std::size_t i = 0; i < length; i++)
        bytes[i] = static_cast<char>(n >> 8 * (length - 1 - i));
    return is_valid_utf8({bytes, length});
}

TEST(Utf8, EverySequenceOfUpToThreeBytes)
{
    const AllSequences all;
    for (std::uint32_t n = 0; n < 1u << 8; n++)
        ASSERT_EQ(is_valid_number(n, 1), all.one(n)) << std::hex << n;
    for (std::uint32_t n = 0; n < 1u << 16; n++)
        ASSERT_EQ(is_valid_number(n, 2), all.two(n)) << std::hex << n;
    for (std::uint32_t n = 0; n < 1u << 24; n++)
        ASSERT_EQ(is_valid_number(n, 3), all.three(n)) << std::hex << n;
}

TEST(Utf8, EverySequenceOfFourBytes)
{
    if (slowed_down)
        GTEST_SKIP() << "four thousand million sequences are for the build without sanitizers";

    const AllSequences all;
    std::atomic<std::uint32_t> next_lead{0};
    std::atomic<std::uint64_t> checked{0};
    const auto check_leads = [&] {
        for (std::uint32_t lead = next_lead++; lead < 256; lead = next_lead++) {
            std::uint32_t n = lead << 24;
            do {
                if (is_valid_number(n, 4) != all.four(n)) {
                    ADD_FAILURE() << std::hex << n;
                    break;
                }
            } while ((++n & 0xFFFFFF) != 0);
            checked += n - (lead << 24);
        }
    };
    std::vector<std::thread> threads(std::max(1u, std::thread::hardware_concurrency()));
    for (std::thread &thread : threads)
        thread = std::thread(check_leads);
    for (std::thread &thread : threads)
        thread.join();
    EXPECT_EQ(checked, std::uint64_t{1} << 32);
}

/* Runs of ASCII of all lengths around what is not, so that every alignment of the eight-byte steps occurs. */
TEST(Utf8, EveryPositionInAsciiText)
{
    for (const std::string piece :
         {"\xC3\xBC", "\xE2\x82\xAC", "\xF0\x9F\x91\x8B", "\x80", "\xC3", "\xED\xA0\x80", "\xFF"}) {
        for (std::size_t before = 0; before < 40; before++) {
            for (std::size_t after = 0; after < 40; after++) {
                const std::string text = std::string(before, 'x') + piece + std::string(after, '\x7F');
                ASSERT_EQ(is_valid(text), reference::is_valid_utf8(text)) << before << '+' << after;
                ASSERT_EQ(is_valid(text + piece + "y"), reference::is_valid_utf8(text + piece + "y"));
            }
        }
    }
}

TEST(Utf8, RandomTextsAsReference)
{
    std::mt19937_64 random(1);
    int valid = 0;
    for (int i = 0; i < 300'000; i++) {
        std::string text;
        for (std::uint64_t points = random() % 20; points > 0; points--)
            text += reference::encode_utf8(
                static_cast<std::uint32_t>(random() % (random() % 2 ? 0x80 : 0x110000)));
        if (!text.empty() && random() % 2)
            text[random() % text.size()] = static_cast<char>(random());
        if (random() % 4 == 0)
            text.resize(text.size() - (text.empty() ? 0 : 1));
        ASSERT_EQ(is_valid(text), reference::is_valid_utf8(text)) << testing::PrintToString(text);
        valid += is_valid(text);
    }
    EXPECT_GT(valid, 50'000);
    EXPECT_LT(valid, 250'000);
}

} // namespace
} // namespace cxone_sync
