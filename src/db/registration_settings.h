#pragma once

#include "cxone/api_settings.h"

#include <string>

/* The settings cxone_sync.* for the registration with CXone: README.md describes each. */
namespace cxone_sync::settings {

/* Bytes, at most: the registration is shown from shared memory. */
inline constexpr std::size_t max_data_action_name = 200;
inline constexpr std::size_t max_endpoint_url = 1000;

inline char *api_url;
inline char *endpoint_url;
inline char *data_action_name;
inline int registration_interval_s;
inline int max_retries;

/* To be called by define(). */
void define_registration_settings();

/* Whether there is anything to be registered anywhere. */
bool registration_is_set_up() noexcept;

/*
 * Fills `api`, secrets from their files included. Returns what is missing or wrong, or an empty string;
 * `hint` may say what to do. Throws nothing but std::bad_alloc.
 */
std::string load_api_settings(ApiSettings &api, std::string &hint);

} // namespace cxone_sync::settings
