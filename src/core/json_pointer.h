#pragma once

#include "core/pure_room.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cxone_sync {

/* Paths longer than this are refused: each makes a branch of a tree. */
inline constexpr std::size_t max_json_pointer_size = 1000;
inline constexpr std::size_t max_json_pointer_tokens = 64;

/* The reference tokens of a JSON pointer (RFC 6901), decoded; nothing if `text` is none, or too long. "" has
 * no tokens. */
std::optional<std::vector<std::string>> parse_json_pointer(std::string_view text);

/* `pointer` with one more token, encoded. */
std::string json_pointer_to(std::string_view pointer, std::string_view token);

/* For people: the member's name in quotes, or the pointer to what stands deeper. */
std::string json_pointer_shown(const std::vector<std::string> &tokens);

/* The JSON text of an object in which `json` stands at `pointer`; `json` itself for the empty one. */
std::string json_at_pointer(std::string_view pointer, std::string_view json);

} // namespace cxone_sync
