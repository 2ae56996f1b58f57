#pragma once

#include "core/pure_room.h"

#include <string>

namespace cxone_sync {

/* URLs as libcurl reads them. All throw std::bad_alloc. */

/*
 * Empty if `url` can be used for calls that carry secrets, else why not: it has to be absolute and https (or
 * http to a numeric loopback address or localhost), and may hold neither credentials nor a fragment.
 */
std::string problem_of_secret_url(const std::string &url);

/* Empty if `url` can be an endpoint that the service sends to, else why not: http or https, with a host. */
std::string problem_of_endpoint_url(const std::string &url);

/* Whether both mean the same: scheme and host in any case, a default port, a slash at the end do not count.
 */
bool is_same_url(const std::string &a, const std::string &b);

/* `reference` as found in a reply to `base`; empty if it leads to another scheme, host or port. */
std::string resolved_at_origin(const std::string &base, const std::string &reference);

} // namespace cxone_sync
