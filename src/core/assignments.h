#pragma once

#include "core/pure_room.h"

#include <string_view>

namespace cxone_sync {

/*
 * Whether PL/pgSQL source assigns `record.field`, as in NEW.changed := now(), NEW.changed = now() and
 * SELECT now() INTO NEW.changed. It reads tokens, not the grammar: a comparison is none, and what is
 * assigned as a whole record is not seen. Names without quotes are compared without regard to case. Allocates
 * nothing.
 */
bool assigns_field(std::string_view source, std::string_view record, std::string_view field) noexcept;

} // namespace cxone_sync
