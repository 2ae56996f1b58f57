#pragma once

#include "core/parser.h"

/* The settings cxone_sync.*: README.md describes each. Read by the main thread only. */
namespace cxone_sync::settings {

extern char *database;
extern char *listen_address;
extern char *metrics_address;
extern int port;
extern int metrics_port;
extern int workers;
extern int http_threads;
extern int batch_size;
extern int flush_interval_ms;
extern bool auto_upgrade;
extern int queue_size_kb;
extern int max_body_size_kb;
extern char *events_path;
extern int body_format; /* a BodyFormat */
extern int max_events;
extern int max_json_depth;
extern int max_connections;
extern int max_connections_per_address;
extern int max_header_size_kb;
extern int max_header_lines;
extern int max_queued_events;
extern int max_queue_wait_ms;
extern int request_timeout_ms;
extern int idle_timeout_ms;
extern int max_future_skew_s;
extern int lock_timeout_ms;
extern int statement_timeout_ms;
extern int drain_timeout_ms;

enum BodyFormat { body_format_json, body_format_ndjson };

/* Defines them; those that take effect at server start only exist when the library is preloaded. */
void define(bool preloaded);

/* Throws nothing but std::bad_alloc. */
ParseLimits parse_limits();

} // namespace cxone_sync::settings
