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

/* These two take effect at a reload. */

inline void define_string(const char *name, const char *description, char **variable, const char *initial,
                          GucStringCheckHook check = nullptr, int flags = 0)
{
    DefineCustomStringVariable(name, description, nullptr, variable, initial, PGC_SIGHUP, flags, check,
                               nullptr, nullptr);
}

inline void define_enum(const char *name, const char *description, int *variable,
                        const config_enum_entry *values)
{
    DefineCustomEnumVariable(name, description, nullptr, variable, values[0].val, values, PGC_SIGHUP, 0,
                             nullptr, nullptr, nullptr);
}

} // namespace cxone_sync
