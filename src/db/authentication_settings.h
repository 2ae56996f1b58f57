#pragma once

#include "http/authentication.h"

#include <string>

/* The settings cxone_sync.* that say how senders prove who they are: README.md describes each. */
namespace cxone_sync::settings {

/* To be called by define(). */
void define_authentication_settings();

/*
 * Fills `config`, secrets from their file included. Returns what is missing or wrong, or an empty string;
 * `hint` may say what to do. Throws nothing but std::bad_alloc.
 */
std::string load_authentication(AuthenticationConfig &config, std::string &hint);

} // namespace cxone_sync::settings
