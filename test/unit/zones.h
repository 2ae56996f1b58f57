#pragma once

#include "core/time_zone.h"

#include <cstdlib>
#include <string_view>

/* Zones for the tests, which know no server that has them. */
namespace zones {

inline cxone_sync::Timestamp at(std::string_view utc)
{
    cxone_sync::Timestamp result = 0;
    if (cxone_sync::parse_timestamp(utc, result) != nullptr)
        std::abort();
    return result;
}

/* From local mean time to the summer of 2024, without those in between. */
inline cxone_sync::TimeZone berlin()
{
    return {"Europe/Berlin",
            3208,
            {{at("1893-03-31T23:06:32Z"), 3600},
             {at("2024-03-31T01:00:00Z"), 7200},
             {at("2024-10-27T01:00:00Z"), 3600}}};
}

} // namespace zones
