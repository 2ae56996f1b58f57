#pragma once

#include "core/parser.h"

/* The settings cxone_sync.*: README.md describes each. Read by the main thread only. */
namespace cxone_sync::settings {

inline char *database;
inline char *listen_address;
inline char *metrics_address;
inline int port;
inline int metrics_port;
inline int workers;
inline int http_threads;
inline int batch_size;
inline int flush_interval_ms;
inline bool auto_upgrade;
inline int queue_size_kb;
inline int max_body_size_kb;
inline char *events_path;
inline int body_format; /* a BodyFormat */
inline int max_events;
inline int max_json_depth;
inline int max_connections;
inline int max_connections_per_address;
inline int max_header_size_kb;
inline int max_header_lines;
inline int max_queued_events;
inline int max_queue_wait_ms;
inline int request_timeout_ms;
inline int idle_timeout_ms;
inline int max_future_skew_s;
inline int lock_timeout_ms;
inline int statement_timeout_ms;
inline int drain_timeout_ms;

enum BodyFormat { body_format_json, body_format_ndjson };

/* Defines them; those that take effect at server start only exist when the library is preloaded. */
void define(bool preloaded);

/* Throws nothing but std::bad_alloc. */
ParseLimits parse_limits();

} // namespace cxone_sync::settings
