#pragma once

#include <string_view>

#include "db/pg.h"

namespace cxone_sync {

/* What C functions may read: they take no null pointer, not even for no bytes. */
inline const char *bytes_of(std::string_view text)
{
    return text.empty() ? "" : text.data();
}

/* A text of PostgreSQL, in the current memory context, as is the next one. */
inline Datum text_datum(std::string_view text)
{
    return PointerGetDatum(cstring_to_text_with_len(bytes_of(text), static_cast<int>(text.size())));
}

/* The same, up to its first NUL, for C. */
inline char *c_string(std::string_view text)
{
    return pnstrdup(bytes_of(text), text.size());
}

/*
 * Makes the texts of values independent of the session's settings until AtEOXact_GUC(false, <the result>), or
 * the end of the (sub)transaction.
 */
int pin_text_forms();

} // namespace cxone_sync
