#include "core/base64.h"
#include "core/secret.h"
#include "core/secret_file.h"
#include "cxone/encoding.h"
#include "cxone/redactor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <type_traits>
#include <unistd.h>

/* Memory that can still be looked at when it has been given back. */
struct WatchedByte {
    char value;
};
static WatchedByte watched_memory[64];
static bool was_wiped;

template <> struct std::allocator<WatchedByte> {
    using value_type = WatchedByte;

    WatchedByte *allocate(std::size_t) { return watched_memory; }
    void deallocate(WatchedByte *memory, std::size_t count)
    {
        was_wiped = std::all_of(memory, memory + count, [](WatchedByte byte) { return byte.value == 0; });
    }
};

namespace cxone_sync {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::string all_bytes()
{
    std::string text;
    for (int i = 0; i < 256; i++)
        text += static_cast<char>(i);
    return text;
}

/* ---- Secret ---- */

TEST(CxoneSecret, TheAllocatorWipesWhatItGivesBack)
{
    WipingAllocator<WatchedByte> allocator;
    WatchedByte *memory = allocator.allocate(std::size(watched_memory));

    std::fill_n(memory, std::size(watched_memory), WatchedByte{'s'});
    was_wiped = false;
    allocator.deallocate(memory, std::size(watched_memory));
    EXPECT_TRUE(was_wiped);
}

TEST(CxoneSecret, ATextThatGrowsLeavesNothingBehind)
{
    std::vector<WatchedByte, WipingAllocator<WatchedByte>> bytes(5, WatchedByte{'s'});
    was_wiped = false;
    bytes.clear();
    EXPECT_FALSE(was_wiped);
    bytes.shrink_to_fit();
    EXPECT_TRUE(was_wiped);
}

TEST(CxoneSecret, AppendAndView)
{
    Secret secret;
    EXPECT_TRUE(secret.empty());
    EXPECT_EQ(secret.view(), "");
    secret += "";
    EXPECT_TRUE(secret.empty());
    (secret += "ab") += "\0c"sv;
    EXPECT_FALSE(secret.empty());
    EXPECT_EQ(secret.view(), "ab\0c"sv);
    EXPECT_EQ(Secret("").view(), "");
    EXPECT_EQ(Secret(all_bytes()).view(), all_bytes());
    for (int i = 0; i < 10'000; i++)
        secret += "x";
    EXPECT_EQ(secret.view().size(), 10'004u);
}

TEST(CxoneSecret, ACopyIsOneOfItsOwn)
{
    static_assert(!std::is_convertible_v<std::string_view, Secret>, "no text becomes one by accident");
    Secret first("one");
    Secret second = first;
    first += " more";
    EXPECT_EQ(second.view(), "one");
    second = first;
    EXPECT_EQ(second.view(), "one more");
    EXPECT_NE(second.view().data(), first.view().data());
    const Secret third = std::move(first);
    EXPECT_EQ(third.view(), "one more");
}

/* ---- encodings ---- */

std::string percent(std::string_view text)
{
    return std::string(percent_encoded(text).view());
}
std::string in_base64(std::string_view text)
{
    return std::string(base64(text).view());
}
std::string in_json(std::string_view text)
{
    return std::string(json_string(text).view());
}

TEST(CxoneEncoding, PercentEncoded)
{
    EXPECT_EQ(percent(""), "");
    EXPECT_EQ(percent("abcXYZ019-._~"), "abcXYZ019-._~");
    EXPECT_EQ(percent("a+b&c%/===="), "a%2Bb%26c%25%2F%3D%3D%3D%3D");
    EXPECT_EQ(percent("a b"), "a%20b");
    EXPECT_EQ(percent("!*'()"), "%21%2A%27%28%29");
    EXPECT_EQ(percent("ü€😀"), "%C3%BC%E2%82%AC%F0%9F%98%80");
    EXPECT_EQ(percent("\0x"sv), "%00x");
    EXPECT_EQ(percent("..\r\n"), "..%0D%0A");
}

TEST(CxoneEncoding, PercentEncodedOfEveryByte)
{
    constexpr std::string_view unreserved =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string expected;
    for (const char c : all_bytes()) {
        char encoded[4];
        std::snprintf(encoded, sizeof(encoded), "%%%02X", static_cast<unsigned char>(c));
        expected += unreserved.find(c) != unreserved.npos ? std::string(1, c) : encoded;
    }
    EXPECT_EQ(percent(all_bytes()), expected);
}

/* RFC 4648 section 10 */
TEST(CxoneEncoding, Base64)
{
    EXPECT_EQ(in_base64(""), "");
    EXPECT_EQ(in_base64("f"), "Zg==");
    EXPECT_EQ(in_base64("fo"), "Zm8=");
    EXPECT_EQ(in_base64("foo"), "Zm9v");
    EXPECT_EQ(in_base64("foob"), "Zm9vYg==");
    EXPECT_EQ(in_base64("fooba"), "Zm9vYmE=");
    EXPECT_EQ(in_base64("foobar"), "Zm9vYmFy");
    EXPECT_EQ(in_base64("\xFB\xEF\xBE\xFF"), "++++/w==");
    EXPECT_EQ(in_base64("\0\0\0"sv), "AAAA");
    EXPECT_EQ(in_base64("a+b&c%/===="), "YStiJmMlLz09PT0=");
}

TEST(CxoneEncoding, Base64OfEveryByte)
{
    const std::string encoded = in_base64(all_bytes());
    EXPECT_EQ(encoded.size(), 344u);
    EXPECT_TRUE(encoded.starts_with("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIj"));
    EXPECT_TRUE(encoded.ends_with("8PHy8/T19vf4+fr7/P3+/w=="));
    EXPECT_EQ(in_base64(std::string(100'000, 'a')).size(), 133'336u);
}

TEST(CxoneEncoding, JsonString)
{
    EXPECT_EQ(in_json(""), "\"\"");
    EXPECT_EQ(in_json("a+b&c%/===="), "\"a+b&c%/====\"");
    EXPECT_EQ(in_json("a\"b\\c"), "\"a\\\"b\\\\c\"");
    EXPECT_EQ(in_json("\0\x1F\n\x7F"sv), "\"\\u0000\\u001f\\u000a\x7F\"");
    EXPECT_EQ(in_json("ü€😀"), "\"ü€😀\"");
}

/* ---- Redactor ---- */

std::string redacted(std::string_view secret, std::string_view text)
{
    Redactor redactor;
    redactor.hide(secret);
    return redactor(text);
}

TEST(CxoneRedactor, Plain)
{
    EXPECT_EQ(redacted("s3cret", "the s3cret is s3cret"), "the *** is ***");
    EXPECT_EQ(redacted("s3cret", "s3crets3cret"), "******");
    EXPECT_EQ(redacted("s3cret", "S3CRET s3cre"), "S3CRET s3cre");
    EXPECT_EQ(redacted("s3cret", ""), "");
    EXPECT_EQ(redacted("aa", "aaaaa"), "***");
    EXPECT_EQ(redacted("\0\xFF"sv, "x\0\xFFy"sv), "x***y");
}

TEST(CxoneRedactor, WithoutASecretNothingChanges)
{
    EXPECT_EQ(Redactor()("text"), "text");
    EXPECT_EQ(redacted("", "text"), "text");
    EXPECT_EQ(redacted("", ""), "");
}

TEST(CxoneRedactor, PercentEncoded)
{
    EXPECT_EQ(redacted("a+b&c%/====", "?s=a%2Bb%26c%25%2F%3D%3D%3D%3D&x"), "?s=***&x");
    EXPECT_EQ(redacted("a+b&c%/====", "?s=a%2bb%26c%25%2f%3d%3d%3d%3d&x"), "?s=***&x");
    EXPECT_EQ(redacted("two words", "?s=two+words&t=two%20words"), "?s=***&t=***");
    /* in small hex no other letter changes */
    EXPECT_EQ(redacted("%ABC/", "%25ABC%2f"), "***");
    EXPECT_EQ(redacted("%ABC/", "%25abc%2f"), "%25abc%2f");
}

TEST(CxoneRedactor, PlusForSpaceBesideOtherEncodedCharacters)
{
    EXPECT_EQ(redacted("a b/c", "a+b%2Fc"), "***");
    EXPECT_EQ(redacted("a b+c", "a+b%2Bc"), "***");
}

TEST(CxoneRedactor, Json)
{
    EXPECT_EQ(redacted("a\"b\\c/d", R"({"s":"a\"b\\c/d"})"), R"({"s":"***"})");
    EXPECT_EQ(redacted("a\"b\\c/d", R"({"s":"a\"b\\c\/d"})"), R"({"s":"***"})");
    EXPECT_EQ(redacted("tab\there", R"(tab\u0009here)"), "***");
}

TEST(CxoneRedactor, Html)
{
    EXPECT_EQ(redacted("a&b<c>d\"e", "<p>a&amp;b&lt;c&gt;d&quot;e</p>"), "<p>***</p>");
}

/* Encoders that are in wide use: .NET, Go, JavaScript, Java, ASP.NET and Mustache. */
TEST(CxoneRedactor, WhatOtherEncodersMakeOfIt)
{
    EXPECT_EQ(redacted("a+b&c/==", R"(a\u002Bb\u0026c/==)"), "***");
    EXPECT_EQ(redacted("a<b&c", R"(a\u003cb\u0026c)"), "***");
    EXPECT_EQ(redacted("tab\there", R"(tab\there)"), "***");
    EXPECT_EQ(redacted("ü=", R"(\u00fc=)"), "***");
    EXPECT_EQ(redacted("a+b!/==", "a%2Bb!%2F%3D%3D"), "***");
    EXPECT_EQ(redacted("a~b/", "a%7Eb%2F"), "***");
    EXPECT_EQ(redacted("a b/c", "a+b%2fc"), "***");
    EXPECT_EQ(redacted("a'b&c", "a&#39;b&amp;c"), "***");
    EXPECT_EQ(redacted("a/b==", "a&#x2F;b&#x3D;&#x3D;"), "***");
}

TEST(CxoneRedactor, OneSecretInAnother)
{
    for (const bool long_first : {false, true}) {
        Redactor redactor;
        redactor.hide(long_first ? "pass-word" : "pass");
        redactor.hide(long_first ? "pass" : "pass-word");
        redactor.hide("word");
        EXPECT_EQ(redactor("pass-word pass word password"), "*** *** *** ******");
    }
}

TEST(CxoneRedactor, OverlappingSecrets)
{
    Redactor redactor;
    redactor.hide("abc");
    redactor.hide("bcd");
    EXPECT_EQ(redactor("bcdabc abc bcd"), "****** *** ***");
    EXPECT_EQ(redactor("abcd").find("abc"), std::string::npos);
}

TEST(CxoneRedactor, OverlappingSecretsLeaveNoRest)
{
    Redactor redactor;
    redactor.hide("xx");
    redactor.hide("xsecret");
    EXPECT_EQ(redactor("xxsecret").find("secret"), std::string::npos);
}

TEST(CxoneRedactor, ATextThatEndsWithinASecretStays)
{
    EXPECT_EQ(redacted("s3cret", "it is s3cre"), "it is s3cre");
    EXPECT_EQ(redacted("a/b", "a%2"), "a%2");
}

TEST(CxoneRedactor, EveryByte)
{
    const std::string secret = all_bytes();
    EXPECT_EQ(redacted(secret, "<" + secret + ">"), "<***>");
    EXPECT_EQ(redacted(secret, "<" + percent(secret) + ">"), "<***>");
}

/* ---- files with secrets ---- */

class CxoneSecretFile : public testing::Test {
protected:
    CxoneSecretFile()
    {
        char name[] = "/tmp/cxone_secret.XXXXXX";
        directory_ = mkdtemp(name);
        path_ = directory_ + "/secret";
    }
    ~CxoneSecretFile() override
    {
        for (const char *name : {"/secret", "/link"})
            unlink((directory_ + name).c_str());
        rmdir(directory_.c_str());
    }

    void write(std::string_view text, mode_t mode = 0600)
    {
        unlink(path_.c_str());
        const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
        ASSERT_GE(fd, 0);
        EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        EXPECT_EQ(fchmod(fd, mode), 0);
        close(fd);
    }
    std::string read()
    {
        secret_ = Secret();
        hint_.clear();
        return read_secret_file(path_, secret_, hint_);
    }
    /* The secret, or why there is none. */
    std::string read_of(std::string_view text)
    {
        write(text);
        const std::string problem = read();
        EXPECT_EQ(problem.empty(), !secret_.empty());
        return problem.empty() ? std::string(secret_.view()) : problem;
    }

    std::string directory_;
    std::string path_;
    Secret secret_;
    std::string hint_;
};

TEST_F(CxoneSecretFile, NewlineAtItsEnd)
{
    EXPECT_EQ(read_of("a+b&c%/===="), "a+b&c%/====");
    EXPECT_EQ(read_of("secret\n"), "secret");
    EXPECT_EQ(read_of("secret\r\n"), "secret");
    EXPECT_EQ(read_of("secret\n\n"), "secret\n");
    EXPECT_EQ(read_of(" secret \n"), " secret ");
    EXPECT_EQ(read_of("ü\n"), "ü");
}

TEST_F(CxoneSecretFile, EmptyOrWithANul)
{
    EXPECT_EQ(read_of(""), "it is empty");
    EXPECT_EQ(read_of("\n"), "it is empty");
    EXPECT_EQ(read_of("\r\n"), "it is empty");
    EXPECT_EQ(read_of("a\0b"s), "it holds a zero byte");
    EXPECT_EQ(read_of("\0"s), "it holds a zero byte");
}

TEST_F(CxoneSecretFile, Size)
{
    EXPECT_EQ(read_of(std::string(8192, 'x')), std::string(8192, 'x'));
    EXPECT_EQ(read_of(std::string(8191, 'x') + "\n"), std::string(8191, 'x'));
    EXPECT_EQ(read_of(std::string(8193, 'x')), "it is larger than 8192 bytes");
    EXPECT_EQ(read_of(std::string(1 << 20, 'x')), "it is larger than 8192 bytes");
}

TEST_F(CxoneSecretFile, Permissions)
{
    /* a file of root, as one of this test is if root runs it, may be read by a group */
    const bool is_root = geteuid() == 0;

    for (const mode_t mode : {0600, 0400, 0700, 0640, 0440, 0660, 0620, 0610, 0604, 0602, 0601, 0644}) {
        write("secret", mode);
        /* 0700 too: PostgreSQL takes it for a key */
        const bool is_private = (mode & (is_root ? 037 : 077)) == 0;
        const std::string problem = read();
        EXPECT_EQ(problem, is_private ? "" : "group or others have access to it") << std::oct << mode;
        EXPECT_EQ(hint_.empty(), is_private) << std::oct << mode;
        EXPECT_EQ(secret_.view(), is_private ? "secret" : "") << std::oct << mode;
    }
}

TEST_F(CxoneSecretFile, OfSomebodyElse)
{
    if (geteuid() != 0)
        GTEST_SKIP() << "only root can give files away";
    write("secret");
    ASSERT_EQ(chown(path_.c_str(), 54321, 54321), 0);
    EXPECT_EQ(read(), "it belongs to somebody else");
    EXPECT_FALSE(hint_.empty());
    EXPECT_TRUE(secret_.empty());
}

TEST_F(CxoneSecretFile, MissingOrNoFile)
{
    EXPECT_EQ(read(), "it could not be opened: " + std::generic_category().message(ENOENT));
    path_ = directory_;
    EXPECT_EQ(read(), "it is no regular file");
    path_ = "/dev/null";
    EXPECT_EQ(read(), "it is no regular file");
    path_ = "";
    EXPECT_NE(read(), "");
}

TEST_F(CxoneSecretFile, ANamedPipeDoesNotHang)
{
    ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
    EXPECT_EQ(read(), "it is no regular file");
}

/* What counts is the file that it leads to. */
TEST_F(CxoneSecretFile, ASymbolicLink)
{
    const std::string link = directory_ + "/link";
    write("secret");
    ASSERT_EQ(symlink(path_.c_str(), link.c_str()), 0);
    path_ = link;
    EXPECT_EQ(read(), "");
    EXPECT_EQ(secret_.view(), "secret");
    ASSERT_EQ(chmod(link.c_str(), 0644), 0);
    EXPECT_EQ(read(), "group or others have access to it");
    ASSERT_EQ(unlink((directory_ + "/secret").c_str()), 0);
    EXPECT_NE(read(), "");
}

} // namespace
} // namespace cxone_sync
