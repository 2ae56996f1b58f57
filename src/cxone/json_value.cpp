#include "cxone/json_value.h"

#include "core/utf8.h"

#include <cstring>

namespace cxone_sync {

namespace {

class TreeBuilder : public JsonHandler {
public:
    void restart() override
    {
        root_ = JsonValue();
        open_.clear();
        values_ = 0;
        problem_ = "";
    }

    bool value(JsonKind kind, std::string_view, std::string_view text, bool) override
    {
        JsonValue *added = add(kind);
        if (added && kind != JsonKind::null)
            added->text = text;
        return added != nullptr;
    }

    bool key(std::string_view, std::string_view text, bool) override
    {
        key_ = text;
        return true;
    }

    bool open(JsonKind kind) override
    {
        JsonValue *added = add(kind);
        if (!added)
            return false;
        if (open_.size() == JsonValue::max_depth)
            return refuse("the JSON is nested too deep");
        open_.push_back(added);
        return true;
    }

    bool close(JsonKind, std::string_view) override
    {
        open_.pop_back();
        return true;
    }

    const char *problem() const noexcept { return problem_; }
    JsonValue take() { return std::move(root_); }

private:
    bool refuse(const char *problem)
    {
        problem_ = problem;
        return false;
    }

    /* What stands in an open array or object stays where it is until that one is closed. */
    JsonValue *add(JsonKind kind)
    {
        JsonValue *added = &root_;

        if (++values_ > JsonValue::max_values) {
            refuse("the JSON has too many values");
            return nullptr;
        }
        if (!open_.empty() && open_.back()->kind == JsonKind::object)
            open_.back()->keys.push_back(key_);
        if (!open_.empty())
            added = &open_.back()->elements.emplace_back();
        added->kind = kind;
        return added;
    }

    JsonValue root_;
    std::vector<JsonValue *> open_;
    std::string key_;
    std::size_t values_ = 0;
    const char *problem_ = "";
};

} // namespace

const JsonValue *JsonValue::find(std::string_view key) const noexcept
{
    /* of several the last one counts, as with most readers */
    for (std::size_t i = keys.size(); i-- > 0;) {
        if (keys[i] == key)
            return &elements[i];
    }
    return nullptr;
}

std::string_view JsonValue::text_of(std::string_view key) const noexcept
{
    const JsonValue *member = find(key);

    return member && (member->kind == JsonKind::string || member->kind == JsonKind::number)
               ? std::string_view(member->text)
               : std::string_view();
}

void JsonValue::wipe() noexcept
{
    explicit_bzero(text.data(), text.size());
    for (JsonValue &value : elements)
        value.wipe();
}

std::string quoted_names(const std::vector<std::string> &names)
{
    std::string list;

    for (const std::string &name : names)
        list += (list.empty() ? "\"" : "\", \"") + name;
    return list + "\"";
}

std::optional<JsonValue> parse_json_value(std::string_view json, std::string &problem)
{
    std::pmr::monotonic_buffer_resource arena;
    TreeBuilder builder;

    if (!is_valid_utf8(json)) {
        problem = "the reply is not valid UTF-8";
        return std::nullopt;
    }
    problem = read_json(json, arena, builder);
    if (problem.empty())
        problem = builder.problem();
    if (!problem.empty())
        return std::nullopt;
    return builder.take();
}

} // namespace cxone_sync
