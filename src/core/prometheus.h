#pragma once

#include "core/counters.h"

#include <string>

namespace cxone_sync {

/*
 * The counters as Prometheus text format 0.0.4. cxone_sync_lag_seconds{status="success"|"failure"} has
 * exactly the name, label and buckets of the contract (CXONE.md, Metrics): 0.1 x 2^i seconds for i = 0..7,
 * and +Inf.
 */
std::string prometheus_text(const Counters &counters);

} // namespace cxone_sync
