#pragma once

#include "core/pure_room.h"

#include <cstdint>
#include <string_view>

/*
 * The default profile: the names and numbers of CXone's contract. No public page of NICE
 * confirms them (tutorials disagree), so nothing outside this file spells them out.
 */
namespace cxone_sync::contract {

inline constexpr std::string_view webhook_path = "/webhook";
inline constexpr std::string_view metrics_path = "/metrics";

/* The member of the request's object that holds the array of events. */
inline constexpr std::string_view events_key = "events";

/* The member with an event's time, in any target that does not say otherwise. */
inline constexpr std::string_view time_key = "timestamp";

/* Columns with a meaning of their own in every target: members that no column takes, times of fields. */
inline constexpr const char *extra_column = "extra";
inline constexpr const char *field_times_column = "field_times";

/* The buckets of cxone_sync_lag_seconds: 0.1 s x 2^i for i = 0 to 7. We expose these and more. */
inline constexpr int lag_bucket_count = 8;
constexpr std::int64_t lag_bucket_us(int i) noexcept
{
    return std::int64_t{100'000} << i;
}

/* ---- the service's own API ---- */

inline constexpr const char *token_path = "/oauth2/token";
inline constexpr const char *data_actions_path = "/api/v2/dataactions";
inline constexpr const char *scope = "dataaction:read dataaction:write";
inline constexpr const char *token_fields = "access_token, token";
inline constexpr const char *expiry_fields = "expires_in, expiresIn, tokenExpirationTimeSec";
inline constexpr const char *list_fields =
    "dataActions, items, data, entities, results, resultSet, _embedded";
inline constexpr std::int64_t token_lifetime_s = 3600; /* of a token whose reply does not say */
inline constexpr std::int64_t max_token_lifetime_s = 86400;
inline constexpr std::size_t max_token_size = 8192;
inline constexpr int token_timeout_ms = 10'000;
inline constexpr int api_timeout_ms = 15'000;
inline constexpr int max_retries = 3;
inline constexpr const char *data_action_name = "PostgresSyncConsumer";
inline constexpr std::string_view data_action_format = "json";

} // namespace cxone_sync::contract
