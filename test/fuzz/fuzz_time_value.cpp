#include "core/time_value.h"

#include "zones.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory_resource>
#include <optional>
#include <string_view>

namespace {

using namespace cxone_sync;

void require(bool condition, const char *what, std::string_view text)
{
    if (condition)
        return;
    std::fprintf(stderr, "%s: \"%.*s\"\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
}

std::optional<std::int64_t> read(JsonKind kind, std::string_view raw, std::string_view text, TimeKind wanted,
                                 const TimeZone *zone)
{
    constexpr std::int64_t untouched = std::numeric_limits<std::int64_t>::min();
    std::int64_t value = untouched;
    const char *const wrong = read_time(kind, raw, text, wanted, zone, value);

    require((wrong == nullptr) == (value != untouched), "result and reason disagree", raw);
    if (!wrong)
        return value;
    require(std::strlen(wrong) > 0, "no reason given", raw);
    return std::nullopt;
}

void require_same_when_written(TimeKind kind, std::int64_t value, std::string_view raw)
{
    char buffer[32];
    const std::size_t size = format_time(kind, value, buffer);

    require(size < sizeof(buffer) && buffer[size] == '\0', "written too long", raw);
    require(read(JsonKind::string, {}, {buffer, size}, kind, nullptr) == value, "written as another value",
            raw);
}

void look_at(JsonKind kind, std::string_view raw, std::string_view text)
{
    static const TimeZone berlin = zones::berlin();

    for (const TimeKind wanted : {TimeKind::instant, TimeKind::local, TimeKind::date}) {
        const auto in_zone = read(kind, raw, text, wanted, &berlin);
        const auto without = read(kind, raw, text, wanted, nullptr);

        require(!without || without == in_zone, "the zone changes what does not need it", raw);
        if (in_zone)
            require_same_when_written(wanted, *in_zone, raw);
    }
}

/* Looks at the outermost value. */
class TopValue : public JsonHandler {
public:
    void restart() override { depth_ = 0; }
    bool value(JsonKind kind, std::string_view raw, std::string_view text, bool) override
    {
        if (depth_ == 0)
            look_at(kind, raw, text);
        return true;
    }
    bool key(std::string_view, std::string_view, bool) override { return true; }
    bool open(JsonKind) override
    {
        depth_++;
        return true;
    }
    bool close(JsonKind kind, std::string_view raw) override
    {
        if (--depth_ == 0)
            look_at(kind, raw, raw);
        return true;
    }

private:
    unsigned depth_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    std::pmr::monotonic_buffer_resource arena;
    TopValue handler;

    /* as the text of a string, and as the JSON value that it may be */
    look_at(JsonKind::string, {}, text);
    read_json(text, arena, handler);
    return 0;
}
