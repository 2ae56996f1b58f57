#pragma once

#include "core/json_text.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* A small JSON text as a tree. Replies of the service are read with it; events never are. */
struct JsonValue {
    static constexpr unsigned max_depth = 32;
    static constexpr std::size_t max_values = 100'000;

    JsonKind kind = JsonKind::null;
    std::string text; /* of a string; of a number or boolean its JSON text, so that ids keep all digits */
    std::vector<std::string> keys; /* of an object, one for each element */
    std::vector<JsonValue> elements;

    bool is_object() const noexcept { return kind == JsonKind::object; }
    /* Null if there is no such member, or if this is no object. */
    const JsonValue *find(std::string_view key) const noexcept;
    /* The text of a member that is a string or a number and not empty; else an empty one. */
    std::string_view text_of(std::string_view key) const noexcept;
    /* Overwrites every text in it: one of them is a secret. */
    void wipe() noexcept;
};

/* "a", "b": names of members, for messages. */
std::string quoted_names(const std::vector<std::string> &names);

/* None if `json` is not one JSON text, or is too deep or too large; then `problem` says so. */
std::optional<JsonValue> parse_json_value(std::string_view json, std::string &problem);

} // namespace cxone_sync
