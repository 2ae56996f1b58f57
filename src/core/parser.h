#pragma once

#include "core/delivery.h"
#include "core/time_zone.h"

#include <string>
#include <vector>

namespace cxone_sync {

struct ParseLimits {
    Envelope envelope;
    unsigned max_depth = 64;                       /* nesting of the whole body */
    unsigned max_events = 1000;                    /* in one delivery */
    std::int64_t max_future_skew_us = 300'000'000; /* how far an event's time may be ahead of its arrival */
    std::shared_ptr<const TimeZone> time_zone;     /* of times without an offset; null: they are refused */
};

/* Why a whole body can never be accepted (an HTTP status and one plain line); status 0: it was accepted. */
struct BodyRefusal {
    int status = 0;
    std::string reason;
};

/*
 * Parses delivery.body and maps each event by `mapping`, filling delivery.mapping and delivery.events.
 * Without a mapping only the envelope is checked and no events are kept: the writer calls again once it has
 * one. May be called again with another mapping. A refused body has no events.
 *
 * An event that cannot be applied gets a refusal and harms no neighbour, nor does a line that is no JSON
 * among others, and a dead letter is read as such a line; only what makes the whole body unreadable (RFC 8259
 * grammar, UTF-8, limits, no events) is a BodyRefusal. Throws nothing but std::bad_alloc.
 */
BodyRefusal parse_delivery(Delivery &delivery, std::shared_ptr<const Mapping> mapping,
                           const ParseLimits &limits);

} // namespace cxone_sync
