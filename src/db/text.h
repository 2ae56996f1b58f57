#pragma once

#include <string_view>

#include "db/pg.h"

namespace cxone_sync {

/* A text of PostgreSQL, in the current memory context. */
inline Datum text_datum(std::string_view text)
{
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

/*
 * Makes the texts of values independent of the session's settings until AtEOXact_GUC(false, <the result>), or
 * the end of the (sub)transaction.
 */
int pin_text_forms();

} // namespace cxone_sync
