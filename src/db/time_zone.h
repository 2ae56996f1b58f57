#pragma once

#include "core/time_zone.h"

#include <memory>

#include "db/pg.h"

namespace cxone_sync {

/*
 * The transitions of a zone up to the year 2200, for threads that must not ask PostgreSQL; null for null.
 * Built once for a zone until another is asked for. Main thread only; raises no error of PostgreSQL's and
 * throws nothing but std::bad_alloc.
 */
std::shared_ptr<const TimeZone> time_zone_of(pg_tz *zone);

} // namespace cxone_sync
