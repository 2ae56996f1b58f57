#pragma once

#include "core/memory_budget.h"
#include "http/framing.h"
#include "http/reply.h"

#include <optional>
#include <string>

namespace cxone_sync {

/*
 * Replaces a gzip file (RFC 1952, all its members) by what it holds, at most limits.max_body bytes. `memory`,
 * which has the file already, grows before the memory is used. Returns the reply that refuses the body, if
 * any. Throws only std::bad_alloc.
 */
std::optional<Reply> inflate_body(std::string &body, const Framing::Limits &limits, MemoryShare &memory);

} // namespace cxone_sync
