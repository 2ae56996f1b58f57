#pragma once

#include "core/monitoring.h"

#include <string>

namespace cxone_sync {

enum class MetricsFormat {
    text,        /* Prometheus text format 0.0.4 */
    open_metrics /* OpenMetrics 1.0.0 */
};

/*
 * All figures for Prometheus. The number of series is fixed: no label's value comes from data.
 * cxone_sync_lag_seconds{status="success"|"failure"} has exactly the name and label of the contract
 * (CXONE.md, Metrics), and its buckets and more.
 */
std::string prometheus_text(const Overview &overview, MetricsFormat format);

} // namespace cxone_sync
