#pragma once

#include <string_view>

#include "db/pg.h"

namespace cxone_sync {

/* A text of PostgreSQL, in the current memory context. */
inline Datum text_datum(std::string_view text)
{
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

} // namespace cxone_sync
