#pragma once

#include "core/monitoring.h"

#include <string>

namespace cxone_sync {

/*
 * What the status page shows: all figures as one JSON object. Times are Unix seconds or null, durations are
 * seconds. URLs are left out: who may reach the page need not be who may read them.
 */
std::string status_json(const Overview &overview);

/* Whether deliveries are taken, and why not: {"ready":…,"workers":[{"worker":1,"ready":…,"checks":{…}}]}. */
std::string readiness_json(const Overview &overview);

} // namespace cxone_sync
