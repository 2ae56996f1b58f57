#pragma once

#include "core/secret.h"

#include <string>

namespace cxone_sync {

/*
 * Reads a secret from a file of its own; an end of line at its end is no part of it. The file has to be as
 * private as PostgreSQL wants its TLS key (check_ssl_key_file_permissions(), be-secure-common.c): a regular
 * file, of this user with no rights for group and others, or of root with at most reading for the group.
 * Returns what is wrong, or an empty string; `hint` may say what to do.
 */
std::string read_secret_file(const std::string &path, Secret &secret, std::string &hint);

} // namespace cxone_sync
