#include "db/settings.h"

#include "core/json_pointer.h"
#include "core/loopback.h"
#include "core/monitoring.h"
#include "db/authentication_settings.h"
#include "db/registration_settings.h"
#include "db/tls_settings.h"

#include "db/define_setting.h"
#include "db/time_zone.h"

namespace cxone_sync::settings {

namespace {

char *time_zone_name;
pg_tz *time_zone; /* null: none is set */

/*
 * A name would need a look-up that can hang. That an address for all needs authentication only the worker can
 * tell, as one setting's check knows nothing of another setting.
 */
bool check_listen_address(char **value, void **, GucSource)
{
    if (is_numeric_address(*value))
        return true;
    GUC_check_errdetail("\"%s\" is not a numeric address such as 127.0.0.1, 0.0.0.0 or ::1.", *value);
    return false;
}

/* Whoever reaches that port may read. */
bool check_metrics_address(char **value, void **, GucSource)
{
    if (is_loopback_address(*value))
        return true;
    GUC_check_errdetail("\"%s\" is not a numeric loopback address such as 127.0.0.1 or ::1.", *value);
    GUC_check_errhint(
        "Readers are not authenticated here. Let a reverse proxy on this machine authenticate them "
        "and pass their requests on.");
    return false;
}

bool check_database(char **value, void **, GucSource)
{
    if (**value != '\0' && strlen(*value) < NAMEDATALEN)
        return true;
    GUC_check_errdetail("A database name has 1 to %d bytes.", NAMEDATALEN - 1);
    return false;
}

const config_enum_entry body_formats[] = {
    {"json", body_format_json, false}, {"ndjson", body_format_ndjson, false}, {nullptr, 0, false}};

/* Also called by the postmaster, and outside of any transaction. */
bool check_events_path(char **value, void **, GucSource)
{
    bool is_pointer = false;

    try {
        is_pointer = parse_json_pointer(*value).has_value();
    } catch (...) {
        GUC_check_errdetail("Out of memory.");
    }
    if (is_pointer)
        return true;
    GUC_check_errdetail("\"%s\" is not a JSON pointer.", *value);
    GUC_check_errhint("JSON pointers (RFC 6901) look like /events. An empty one stands for the whole body.");
    return false;
}

bool check_time_zone(char **value, void **, GucSource)
{
    if (**value == '\0')
        return true;

    pg_tz *zone = pg_tzset(*value);
    if (!zone) {
        GUC_check_errdetail("\"%s\" is not a time zone that this server knows.", *value);
        GUC_check_errhint("pg_timezone_names lists those it knows.");
        return false;
    }
    if (!pg_tz_acceptable(zone)) {
        GUC_check_errdetail("\"%s\" counts leap seconds, which PostgreSQL does not.", *value);
        return false;
    }
    return true;
}

/* The check has had the zone loaded, so this finds it in memory and cannot fail. */
void assign_time_zone(const char *value, void *)
{
    time_zone = *value == '\0' ? nullptr : pg_tzset(value);
}

void define_restart_settings()
{
    DefineCustomStringVariable("cxone_sync.database", "Database that the worker writes to.", nullptr,
                               &database, "postgres", PGC_POSTMASTER, 0, check_database, nullptr, nullptr);
    define_int("cxone_sync.workers", "Number of processes that take and write deliveries.", &workers, 1, 1,
               max_workers, PGC_POSTMASTER, 0);
    define_int("cxone_sync.http_threads", "Number of network threads of a worker.", &http_threads, 2, 1, 64,
               PGC_POSTMASTER, 0);
}

void define_reload_settings()
{
    define_string("cxone_sync.listen_address",
                  "Numeric address that webhooks are taken on; any but a loopback address needs "
                  "cxone_sync.authentication.",
                  &listen_address, "127.0.0.1", check_listen_address);
    define_string("cxone_sync.metrics_address",
                  "Numeric loopback address of the status page, /metrics and health.", &metrics_address,
                  "127.0.0.1", check_metrics_address);
    define_int("cxone_sync.port", "TCP port that webhooks are taken on.", &port, 8080, 1, 65535, PGC_SIGHUP,
               0);
    define_int("cxone_sync.metrics_port", "TCP port of the status page, /metrics and health; 0 turns it off.",
               &metrics_port, 9090, 0, 65535, PGC_SIGHUP, 0);
    DefineCustomBoolVariable("cxone_sync.auto_upgrade",
                             "Runs ALTER EXTENSION UPDATE when the library is newer than the extension.",
                             nullptr, &auto_upgrade, true, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    define_int("cxone_sync.batch_size",
               "Most events that are written in one transaction; a larger delivery is written alone.",
               &batch_size, 1000, 1, 100000, PGC_SIGHUP, 0);
    define_int("cxone_sync.flush_interval", "How long a batch that is not full waits for more events.",
               &flush_interval_ms, 0, 0, 10000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("cxone_sync.queue_size", "Memory for requests that arrive or wait for their commit.",
               &queue_size_kb, 32 * 1024, 1024, 16 * 1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB);
    define_int("cxone_sync.max_queued_events", "Most events that wait for their commit.", &max_queued_events,
               100000, 1, INT_MAX, PGC_SIGHUP, 0);
    define_int("cxone_sync.max_queue_wait",
               "How long the oldest delivery that waits may have waited; then more are answered with 503.",
               &max_queue_wait_ms, 5000, 1, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("cxone_sync.max_header_size", "Largest head of a request: request line and header lines.",
               &max_header_size_kb, 16, 1, 1024, PGC_SIGHUP, GUC_UNIT_KB);
    define_int("cxone_sync.max_header_lines", "Most header lines of a request.", &max_header_lines, 100, 1,
               10000, PGC_SIGHUP, 0);
    define_int("cxone_sync.max_body_size", "Largest body of a request.", &max_body_size_kb, 4 * 1024, 1,
               1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB);
    DefineCustomStringVariable("cxone_sync.events_path", "JSON pointer to the array of events in a body.",
                               "Empty: the body itself is that array, or is one event.", &events_path,
                               "/events", PGC_SIGHUP, 0, check_events_path, nullptr, nullptr);
    DefineCustomEnumVariable(
        "cxone_sync.body_format", "What a body consists of: one JSON text or lines of them.", nullptr,
        &body_format, body_format_json, body_formats, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    define_int("cxone_sync.max_events", "Most events of a delivery.", &max_events, 1000, 1, 1000000,
               PGC_SIGHUP, 0);
    define_int("cxone_sync.max_json_depth", "Deepest nesting of a body's JSON.", &max_json_depth, 64, 3, 1000,
               PGC_SIGHUP, 0);
    define_int("cxone_sync.max_connections", "Most open connections of senders.", &max_connections, 512, 1,
               100000, PGC_SIGHUP, 0);
    define_int("cxone_sync.max_connections_per_address",
               "Most open connections from one IPv4 address or one IPv6 network of 64 bits.",
               &max_connections_per_address, 256, 1, 100000, PGC_SIGHUP, 0);
    define_int("cxone_sync.request_timeout", "Longest time from a request's first byte to its last.",
               &request_timeout_ms, 10000, 100, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("cxone_sync.idle_timeout", "How long a connection may stay open without a request.",
               &idle_timeout_ms, 60000, 100, 86400000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("cxone_sync.max_future_skew", "How far an event's time may be ahead of its arrival.",
               &max_future_skew_s, 300, 0, 86400 * 365, PGC_SIGHUP, GUC_UNIT_S);
    DefineCustomStringVariable(
        "cxone_sync.time_zone", "Time zone that times without an offset are in; empty: they are refused.",
        nullptr, &time_zone_name, "", PGC_SIGHUP, 0, check_time_zone, assign_time_zone, nullptr);
    define_int("cxone_sync.lock_timeout",
               "Longest wait of the worker for a lock, after which a delivery is answered with 503.",
               &lock_timeout_ms, 1000, 1, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("cxone_sync.statement_timeout",
               "Longest time the worker writes at a batch, after which it is answered with 503.",
               &statement_timeout_ms, 30000, 1, 3600000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("cxone_sync.drain_timeout",
               "How long a worker that is told to stop may go on writing what waits.", &drain_timeout_ms,
               5000, 1, 600000, PGC_SIGHUP, GUC_UNIT_MS);
}

} // namespace

void define(bool preloaded)
{
    if (preloaded)
        define_restart_settings();
    define_reload_settings();
    define_authentication_settings();
    define_tls_settings();
    define_registration_settings();
    compat::reserve_setting_prefix("cxone_sync");
}

ParseLimits parse_limits()
{
    ParseLimits limits;

    limits.envelope.path = events_path;
    limits.envelope.is_lines = body_format == body_format_ndjson;
    limits.max_depth = max_json_depth;
    limits.max_events = max_events;
    limits.max_future_skew_us = static_cast<std::int64_t>(max_future_skew_s) * USECS_PER_SEC;
    limits.time_zone = time_zone_of(time_zone);
    return limits;
}

} // namespace cxone_sync::settings
