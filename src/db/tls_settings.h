#pragma once

#include "http/tls.h"

namespace cxone_sync::settings {

/* cxone_sync.tls_*: README.md describes each. */
void define_tls_settings();

/* Whether TLS is asked for, if perhaps not completely. */
bool wants_tls();

/* Null if it cannot be had: then `problem` says what is wrong, and `hint` may say what to do. Reads the
 * files. */
std::shared_ptr<const TlsContext> load_tls(std::string &problem, std::string &hint);

} // namespace cxone_sync::settings
