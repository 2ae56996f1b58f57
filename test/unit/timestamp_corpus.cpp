#include "core/timestamp.h"
#include "timestamp_texts.h"

#include <cstdio>
#include <cstdlib>
#include <string>

/*
 * Writes texts and what parse_timestamp makes of them, for test/tap/010_timestamp.pl to ask PostgreSQL the
 * same: text, tab, microseconds since 2000 or nothing if refused, tab, the reason of the refusal or nothing.
 */
namespace {

void write_line(const std::string &text)
{
    cxone_sync::Timestamp us = 0;
    const char *const wrong = cxone_sync::parse_timestamp(text, us);

    if (wrong != nullptr)
        std::printf("%s\t\t%s\n", text.c_str(), wrong);
    else
        std::printf("%s\t%lld\t\n", text.c_str(), static_cast<long long>(us));
}

void write_texts_at_the_length_limit()
{
    const std::string second = "2026-01-02T03:04:05.";
    for (std::size_t digits = 1; digits <= 140; digits++) {
        write_line(second + std::string(digits, '1') + "Z");
        write_line(second + std::string(digits, '9') + "-15:59");
    }
}

} // namespace

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 200'000;
    TimestampTexts texts(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 20'260'102);

    write_texts_at_the_length_limit();
    for (long i = 0; i < rounds; i++) {
        write_line(texts.valid());
        write_line(texts.mutated());
        write_line(texts.wrong());
    }
    return std::ferror(stdout) != 0 || std::fclose(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
