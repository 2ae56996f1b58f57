#pragma once

#include "core/pure_room.h"

#include <string_view>

/*
 * The default profile: the names and numbers of CXone's contract for webhooks. No public page of NICE
 * confirms them (tutorials disagree), so nothing outside this file spells them out.
 */
namespace cxone_sync::contract {

inline constexpr std::string_view webhook_path = "/webhook";
inline constexpr std::string_view metrics_path = "/metrics";

/* The member of the request's object that holds the array of events. */
inline constexpr std::string_view events_key = "events";

/* The event's time, and the column of the target that it feeds and that orders updates. */
inline constexpr std::string_view time_key = "timestamp";
inline constexpr const char *order_column = "updated_ts";

/* The target, its key column, and the column that belongs to the user's downstream job: never written here.
 */
inline constexpr const char *target_table = "contact_records";
inline constexpr const char *key_column = "id";
inline constexpr const char *downstream_column = "sync_status";

} // namespace cxone_sync::contract
