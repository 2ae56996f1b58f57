#pragma once

#include "core/pure_room.h"

#include <algorithm>

namespace cxone_sync {

inline constexpr int max_delay_ms = 60'000;

/* How long to wait after so many failures in a row: 1 s, 2 s, 4 s … a minute; not at all after none. */
constexpr int growing_delay_ms(unsigned failures) noexcept
{
    return failures == 0 ? 0 : std::min(1000 << std::min(failures - 1, 10u), max_delay_ms);
}

} // namespace cxone_sync
