#pragma once

#include "core/growing_delay.h"

#include <algorithm>
#include <cstdint>

namespace cxone_sync {

inline constexpr std::int64_t max_retry_after_s = 86'400; /* a day: what asks for more may be wrong */

/* How long the service asks for, within that bound. */
constexpr std::int64_t retry_after_ms(std::int64_t retry_after_s) noexcept
{
    return std::min(retry_after_s, max_retry_after_s) * 1000;
}

/*
 * How long to wait after so many failures in a row: the growing delay and up to a quarter more by `random` (0
 * to 1), so that servers that failed together do not come back together; and no shorter than the service asks
 * for.
 */
constexpr std::int64_t retry_delay_ms(unsigned failures, std::int64_t retry_after_s, double random) noexcept
{
    const std::int64_t delay = growing_delay_ms(failures);

    return std::max(delay + static_cast<std::int64_t>(static_cast<double>(delay) * random / 4),
                    retry_after_ms(retry_after_s));
}

} // namespace cxone_sync
