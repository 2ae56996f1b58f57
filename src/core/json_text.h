#pragma once

#include "core/pure_room.h"

#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>

namespace cxone_sync {

enum class JsonKind : std::uint8_t { null, boolean, number, string, array, object };

/* Called for each token of a JSON text, in its order. Returning false ends the reading. */
class JsonHandler {
public:
    virtual ~JsonHandler() = default;

    /* The text is read once more from its start: forget what was seen. */
    virtual void restart() = 0;

    /*
     * A scalar. `raw` is its JSON text, a slice of what is read; `text` the decoded string, or `raw` for
     * other kinds. `has_nul`: the string holds \u0000 or half of a surrogate pair, which PostgreSQL's text
     * cannot.
     */
    virtual bool value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul) = 0;
    /* The key of the member that comes next; `raw` is its JSON text. */
    virtual bool key(std::string_view raw, std::string_view text, bool has_nul) = 0;
    virtual bool open(JsonKind kind) = 0;
    /* The end of an array or object; `raw` is all of its JSON text. */
    virtual bool close(JsonKind kind, std::string_view raw) = 0;
};

/*
 * Reads `json` (valid UTF-8) without recursion, so that no nesting can exhaust the stack; a limit on depth is
 * the handler's. Decoded strings that differ from their JSON text are kept in `arena`. Every text that RFC
 * 8259 allows is read, also numbers that no double can hold and halves of surrogate pairs.
 *
 * Returns an empty string, or what is wrong and at which byte; also empty if the handler ended the reading.
 */
std::string read_json(std::string_view json, std::pmr::memory_resource &arena, JsonHandler &handler);

/*
 * A JSON array as PostgreSQL's array literal: ["a", null, [1]] becomes {"a",NULL,{"1"}}. Objects stay JSON,
 * and so do strings if the elements are to be JSON.
 */
std::string array_literal(std::string_view json_array, bool json_elements = false);

/* Appends `text`, which is valid UTF-8, as a JSON string. */
template <typename Text> void append_json_string(Text &json, std::string_view text)
{
    static constexpr char hex[] = "0123456789abcdef";

    json += "\"";
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (code < 0x20) {
            const char escape[] = {'\\', 'u', '0', '0', hex[code >> 4], hex[code & 15]};
            json += std::string_view(escape, sizeof(escape));
        } else {
            if (c == '"' || c == '\\')
                json += "\\";
            json += std::string_view(&c, 1);
        }
    }
    json += "\"";
}

/* The same, alone. */
std::string json_quoted(std::string_view text);

std::string_view arena_copy(std::pmr::memory_resource &arena, std::string_view text);

} // namespace cxone_sync
