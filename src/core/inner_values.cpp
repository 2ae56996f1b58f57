#include "core/inner_values.h"

#include "core/integer_text.h"
#include "core/range_text.h"

#include <algorithm>

namespace cxone_sync {

namespace {

class InnerRewriter : public JsonHandler {
public:
    InnerRewriter(const InnerValues &values, const TimeZone *zone) : values_(values), zone_(zone) {}

    void restart() override
    {
        text.clear();
        frames_.clear();
        object_level_ = 0;
        object_ = nullptr;
    }

    bool value(JsonKind kind, std::string_view raw, std::string_view decoded, bool) override
    {
        if (object_level_ > 0)
            return true;
        const InnerValues *values = next();
        if (values && kind != JsonKind::null)
            return put(*values, kind, raw, decoded);
        text += raw;
        return true;
    }

    bool key(std::string_view raw, std::string_view decoded, bool) override
    {
        if (object_level_ > 0)
            return true;
        Frame &object = frames_.back();
        separate(object);
        text += raw;
        text += ':';
        object.next = nullptr;
        if (object.values) {
            const std::vector<InnerValues> &fields = object.values->fields;
            const auto found = std::find_if(fields.begin(), fields.end(),
                                            [decoded](const InnerValues &f) { return f.name == decoded; });
            object.next = found == fields.end() ? nullptr : &*found;
        }
        return true;
    }

    bool open(JsonKind kind) override
    {
        if (object_level_ > 0) {
            object_level_++;
            return true;
        }
        const InnerValues *values = next();
        if (values && is_of_times(values->shape) && kind == JsonKind::object) {
            object_ = values;
            object_level_ = 1;
            return true;
        }
        text += kind == JsonKind::array ? '[' : '{';
        frames_.push_back({.values = values, .is_array = kind == JsonKind::array});
        return true;
    }

    bool close(JsonKind kind, std::string_view raw) override
    {
        if (object_level_ > 0)
            return --object_level_ > 0 || put(*object_, kind, raw, raw);
        text += kind == JsonKind::array ? ']' : '}';
        frames_.pop_back();
        return true;
    }

    std::string text;
    const char *problem = nullptr;
    std::string_view field;

private:
    struct Frame {
        const InnerValues *values; /* in its elements or members; null: none */
        bool is_array;
        bool is_empty = true;
        const InnerValues *next = nullptr; /* where the object's last key leads */
    };

    /* What is known of the value that comes now. */
    const InnerValues *next()
    {
        if (frames_.empty())
            return &values_;
        Frame &frame = frames_.back();
        if (!frame.is_array)
            return frame.next;
        separate(frame);
        return frame.values;
    }

    void separate(Frame &frame)
    {
        if (!frame.is_empty)
            text += ',';
        frame.is_empty = false;
    }

    bool put(const InnerValues &values, JsonKind kind, std::string_view raw, std::string_view decoded)
    {
        if (const auto time = time_kind(values.shape))
            problem = put_time(*time, kind, raw, decoded);
        else if (const auto bounds = bound_kind(values.shape))
            problem = put_range(*bounds, decoded);
        else if (values.shape == Shape::integer && kind == JsonKind::number)
            text += integer_text(raw, integer_);
        else
            text += raw;
        if (problem)
            field = values.name;
        return !problem;
    }

    const char *put_time(TimeKind wanted, JsonKind kind, std::string_view raw, std::string_view decoded)
    {
        char buffer[32];
        std::int64_t time = 0;

        if (const char *wrong = read_time(kind, raw, decoded, wanted, zone_, time))
            return wrong;
        text += '"';
        text.append(buffer, format_time(wanted, time, buffer));
        text += '"';
        return nullptr;
    }

    const char *put_range(TimeKind bounds, std::string_view decoded)
    {
        text += '"';
        const char *wrong = rewrite_range(decoded, bounds, zone_, text);
        text += '"';
        return wrong;
    }

    const InnerValues &values_;
    const TimeZone *zone_;
    std::vector<Frame> frames_;
    unsigned object_level_ = 0; /* open arrays and objects of an object that is a time */
    const InnerValues *object_ = nullptr;
    IntegerText integer_;
};

} // namespace

bool InnerValues::hold_times() const noexcept
{
    return is_of_times(shape) ||
           std::any_of(fields.begin(), fields.end(), [](const InnerValues &f) { return f.hold_times(); });
}

const char *rewrite_inner_values(std::string_view json, const InnerValues &values, const TimeZone *zone,
                                 std::string &result, std::string &field)
{
    std::pmr::monotonic_buffer_resource arena;
    InnerRewriter rewriter(values, zone);

    (void)read_json(json, arena, rewriter);
    result = std::move(rewriter.text);
    field = rewriter.field;
    return rewriter.problem;
}

} // namespace cxone_sync
