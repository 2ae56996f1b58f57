#pragma once

#include "db/pg.h"

namespace cxone_sync {

/* The integer setting `name`, from `low` to `high`; `flags` has its unit. */
inline void define_int(const char *name, const char *description, int *variable, int initial, int low,
                       int high, GucContext context, int flags)
{
    DefineCustomIntVariable(name, description, nullptr, variable, initial, low, high, context, flags, nullptr,
                            nullptr, nullptr);
}

} // namespace cxone_sync
