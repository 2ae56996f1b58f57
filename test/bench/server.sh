# shellcheck shell=bash
# What run and overload share: the build, a private server with durable settings, and the table with half of the ids in it.
# Needs test/lib, and $http_threads.

progress() { printf '%5d s  %s\n' "$SECONDS" "$*" >&2; }
failure() {
  say "FAILED: $*" >&2
  [ ! -s "$work/out/server.log" ] || tail -n 20 "$work/out/server.log" >&2
  exit 1
}

build() {
  progress "building for $("$pg_config" --version)"
  make_private_pg
  copy_source
  quietly "$work/build.log" build_extension || failure 'the extension does not build'
  quietly "$work/install.log" install_extension || failure 'the extension does not install'
  quietly "$work/bench.log" make -C "$work/src/test/bench" PG_CONFIG="$pg_config" all install || failure 'the bench does not build'
  bench=$work/src/test/bench
}

server_settings() {
  cat <<'CONF'
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 1GB
max_wal_size = 8GB
checkpoint_timeout = 1h
autovacuum = off
listen_addresses = ''
CONF
}

start_server() {
  bindir=$("$pg_config" --bindir) socket=$work/out/socket port=$(free_port) metrics_port=$(free_port)
  as_server mkdir -m 700 "$socket"
  quietly "$work/initdb.log" as_server "$bindir/initdb" -D "$work/out/data" -A trust -U postgres -E UTF8 --no-locale || failure initdb
  { server_settings
    cat <<CONF
unix_socket_directories = '$socket'
shared_preload_libraries = 'cxone_sync'
cxone_sync.port = $port
cxone_sync.metrics_port = $metrics_port
cxone_sync.http_threads = $http_threads
CONF
  } | as_server tee -a "$work/out/data/postgresql.conf" >/dev/null
  server start
  sql -c 'CREATE EXTENSION cxone_sync' || failure 'CREATE EXTENSION'
  until_true 30 is_running || failure 'the worker does not run'
}

server() { quietly "$work/pg_ctl.log" as_server "$bindir/pg_ctl" -D "$work/out/data" -l "$work/out/server.log" -w -t 120 "$@" || failure "pg_ctl $*"; }
sql() { as_server "$bindir/psql" -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=terse -h "$socket" -U postgres -d postgres "$@"; }
is_running() { worker=$(sql -c "SELECT pid FROM cxone_sync.sync_status WHERE state = 'running'") && [ -n "$worker" ]; }

restart_server() {
  server restart
  until_true 30 is_running || failure 'the worker does not run'
}

# The random order of ids is kept in a table, so that a reset is a plain copy.
prepare_tables() {
  sql <<'SQL' || failure 'the tables of the bench'
CREATE SCHEMA bench;
CREATE PROCEDURE bench.spi_rate(statement text, columns text[], batch integer, warm_up float8, seconds float8, rows bigint, first bigint)
    LANGUAGE c AS 'spi_rate';
SELECT setseed(0.5);
CREATE TABLE bench.half AS
    SELECT 'contact-' || n AS id, 'crm-account-' || n AS external_id, 'Alexandra' AS first_name, 'Abernathy' AS last_name,
           'customer.' || n || '@mail.example.com' AS email, now() - interval '1 day' AS updated_ts
    FROM (SELECT lpad(i::text, 7, '0') AS n FROM generate_series(0, 1048575, 2) AS i ORDER BY random()) AS ids;
SQL
}

reset_tables() {
  sql <<'SQL' || failure 'the reset'
TRUNCATE cxone_sync.contact_records, cxone_sync.dead_letters;
INSERT INTO cxone_sync.contact_records (id, external_id, first_name, last_name, email, updated_ts) TABLE bench.half;
VACUUM (ANALYZE) cxone_sync.contact_records;
CHECKPOINT;
SQL
}
