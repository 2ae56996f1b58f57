#pragma once

#include "core/delivery.h"

#include "db/guard.h"

namespace cxone_sync {

/* A delivery with this body, received now, that lives as long as the current memory context. */
Delivery *make_delivery(const char *body);

/* Parses and maps it by the catalog last opened; raises 22023 with the reason if the whole body is refused.
 */
void parse_or_refuse(Delivery *delivery);

} // namespace cxone_sync
