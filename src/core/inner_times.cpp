#include "core/inner_times.h"

#include <algorithm>

namespace cxone_sync {

namespace {

class TimeRewriter : public JsonHandler {
public:
    TimeRewriter(const InnerTimes &times, const TimeZone *zone) : times_(times), zone_(zone) {}

    void restart() override
    {
        text.clear();
        frames_.clear();
        time_level_ = 0;
        time_ = nullptr;
    }

    bool value(JsonKind kind, std::string_view raw, std::string_view decoded, bool) override
    {
        if (time_level_ > 0)
            return true;
        const InnerTimes *times = next();
        if (times && times->kind && kind != JsonKind::null)
            return put_time(*times, kind, raw, decoded);
        text += raw;
        return true;
    }

    bool key(std::string_view raw, std::string_view decoded, bool) override
    {
        if (time_level_ > 0)
            return true;
        Frame &object = frames_.back();
        separate(object);
        text += raw;
        text += ':';
        object.next = nullptr;
        if (object.times) {
            const std::vector<InnerTimes> &fields = object.times->fields;
            const auto found = std::find_if(fields.begin(), fields.end(),
                                            [decoded](const InnerTimes &f) { return f.name == decoded; });
            object.next = found == fields.end() ? nullptr : &*found;
        }
        return true;
    }

    bool open(JsonKind kind) override
    {
        if (time_level_ > 0) {
            time_level_++;
            return true;
        }
        const InnerTimes *times = next();
        if (times && times->kind && kind == JsonKind::object) {
            time_ = times;
            time_level_ = 1;
            return true;
        }
        text += kind == JsonKind::array ? '[' : '{';
        frames_.push_back({.times = times, .is_array = kind == JsonKind::array});
        return true;
    }

    bool close(JsonKind kind, std::string_view raw) override
    {
        if (time_level_ > 0)
            return --time_level_ > 0 || put_time(*time_, kind, raw, raw);
        text += kind == JsonKind::array ? ']' : '}';
        frames_.pop_back();
        return true;
    }

    std::string text;
    const char *problem = nullptr;
    std::string_view field;

private:
    struct Frame {
        const InnerTimes *times; /* in its elements or members; null: none */
        bool is_array;
        bool is_empty = true;
        const InnerTimes *next = nullptr; /* where the object's last key leads */
    };

    /* What is known of the value that comes now. */
    const InnerTimes *next()
    {
        if (frames_.empty())
            return &times_;
        Frame &frame = frames_.back();
        if (!frame.is_array)
            return frame.next;
        separate(frame);
        return frame.times;
    }

    void separate(Frame &frame)
    {
        if (!frame.is_empty)
            text += ',';
        frame.is_empty = false;
    }

    bool put_time(const InnerTimes &times, JsonKind kind, std::string_view raw, std::string_view decoded)
    {
        char buffer[32];
        std::int64_t time = 0;

        problem = read_time(kind, raw, decoded, *times.kind, zone_, time);
        if (problem) {
            field = times.name;
            return false;
        }
        text += '"';
        text.append(buffer, format_time(*times.kind, time, buffer));
        text += '"';
        return true;
    }

    const InnerTimes &times_;
    const TimeZone *zone_;
    std::vector<Frame> frames_;
    unsigned time_level_ = 0; /* open arrays and objects of an object that is a time */
    const InnerTimes *time_ = nullptr;
};

} // namespace

const char *rewrite_times(std::string_view json, const InnerTimes &times, const TimeZone *zone,
                          std::string &result, std::string &field)
{
    std::pmr::monotonic_buffer_resource arena;
    TimeRewriter rewriter(times, zone);

    (void)read_json(json, arena, rewriter);
    result = std::move(rewriter.text);
    field = rewriter.field;
    return rewriter.problem;
}

} // namespace cxone_sync
