# shellcheck shell=bash
# What run, compare and overload_run share: the build, a private server with durable settings, the table with half of the ids in it, the
# upsert by itself, rounds and medians. Needs test/lib; $http_threads, if not empty, is their number.

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
${http_threads:+cxone_sync.http_threads = $http_threads}
CONF
  } | as_server tee -a "$work/out/data/postgresql.conf" >/dev/null
  server start
  sql -c 'CREATE EXTENSION cxone_sync' || failure 'CREATE EXTENSION'
  until_true 30 is_running || failure 'the worker does not run'
}

# $preload goes into the server alone.
server() { quietly "$work/pg_ctl.log" as_server env ${preload:+"LD_PRELOAD=$preload"} "$bindir/pg_ctl" -D "$work/out/data" -l "$work/out/server.log" -w -t 120 "$@" || failure "pg_ctl $*"; }
sql() { as_server "$bindir/psql" -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=terse -h "$socket" -U postgres -d postgres "$@"; }
is_running() { worker=$(sql -c "SELECT pid FROM cxone_sync.sync_status WHERE worker = 1 AND state = 'running'") && [ -n "$worker" ]; }

restart_server() {
  server restart
  until_true 30 is_running || failure 'the worker does not run'
}

# The random order of ids is kept in a table, so that a reset is a plain copy.
prepare_tables() {
  sql <<'SQL' || failure 'the tables of the bench'
CREATE SCHEMA bench;
CREATE PROCEDURE bench.spi_rate(statement text, columns text[], batch integer, warm_up float8, seconds float8, rows bigint, first bigint,
    bits integer)
    LANGUAGE c AS 'spi_rate';
CREATE FUNCTION bench.nth_id(n bigint) RETURNS integer LANGUAGE c STRICT IMMUTABLE AS 'spi_rate';
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

# ---- the same upsert by itself ----

# Sees the extension's statement at work: a trigger's error context quotes it.
capture_statement() {
  sql <<'SQL' || failure 'the trigger that looks at the statement'
CREATE TABLE bench.seen (context text);
GRANT USAGE ON SCHEMA bench TO PUBLIC;
GRANT INSERT ON bench.seen TO PUBLIC;
CREATE FUNCTION bench.see() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE seen text;
BEGIN
    GET DIAGNOSTICS seen = PG_CONTEXT;
    INSERT INTO bench.seen VALUES (seen);
    RETURN NULL;
END $$;
CREATE TRIGGER see BEFORE INSERT ON cxone_sync.contact_records FOR EACH STATEMENT EXECUTE FUNCTION bench.see();
SQL
  "$bench/load" -c 1 -e 1 -n 1 "$port" >/dev/null || failure 'the first delivery'
  sql -c 'DROP TRIGGER see ON cxone_sync.contact_records'
  statement=$(sql -c "SELECT substring(context FROM 'SQL statement \"(INSERT INTO .*)\"') FROM bench.seen LIMIT 1")
  columns=$(sql -v s="$statement" <<<"SELECT substring(:'s' FROM ' AS t \((.*?)\)')")
  [ -n "$columns" ] || failure "the extension's statement could not be seen"
  # a new worker, without PL/pgSQL in it
  restart_server
}

# call_spi BATCH WARM_UP SECONDS ROWS [BITS]: psql's input.
call_spi() {
  printf "CALL bench.spi_rate(:'statement', string_to_array(replace(:'columns', ' ', ''), ','), %s, %s, %s, %s, 0, %s);\n" "$1" "$2" "$3" "$4" "${5:-20}"
}
spi() { sql -v statement="$statement" -v columns="$columns"; }

measure_spi() {
  reset_tables
  call_spi "$1" $warm_up "$seconds" 0 | spi >"$work/spi.log" 2>&1 || { cat "$work/spi.log"; return 1; }
  sed -n 's/^.*INFO: *//p' "$work/spi.log"
}

# ---- rounds and their medians ----

show_machine() {
  say "cxone_sync bench, $(date -u +%FT%TZ), commit $(git -C "$top" describe --always --dirty 2>/dev/null || echo unknown)"
  say "CPU            $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(cores) cores"
  say "memory         $(awk '/^MemTotal/ { printf "%.1f GB", $2 / 1e6 }' /proc/meminfo)"
  say "kernel         $(uname -sr), data on $(stat -f -c %T "$work/out")"
  say "load average   $(cut -d' ' -f1-3 /proc/loadavg) before the first round"
  say "settings       $(server_settings | tr '\n' ';' | sed 's/;$//; s/;/; /g; s/ = /=/g')"
}

measure() {
  local round contender contenders result
  mapfile -t contenders < <(list_contenders | grep -E -- "$filter")
  for ((round = 1; round <= rounds; round++)); do
    for contender in "${contenders[@]}"; do
      "measure_${contender%%-*}" "${contender#*-}" >"$work/result" || failure "$contender: $(<"$work/result")"
      result=$(tr '\n' ' ' <"$work/result")
      [[ $result == seconds=* ]] || failure "$contender: $result"
      echo "contender=$contender round=$round $result" >>"$work/raw"
      progress "round $round  $contender  $(grep -o ' rate=[0-9]*' <<<"$result")/s"
    done
  done
}

# awk's part of the tables: reads the rounds, lines of name=value.
# shellcheck disable=SC2034,SC2016
tables_awk='
  function median(name, key,   n, i, j, t, v) {
    n = split(all[name, key], v, " ")
    for (i = 2; i <= n; i++)
      for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n % 2 ? v[(n + 1) / 2] : n ? (v[n / 2] + v[n / 2 + 1]) / 2 : 0
  }
  function known(name) { return (name, "rate") in all }
  function us(name, key) { return median(name, key "_per_event") }
  function spread(name,   middle) { middle = median(name, "rate"); return middle ? (most[name] - least[name]) / 2 / middle * 100 : 0 }
  function target(text, value, wanted, good) { printf "  %-66s %8.2f   target %s%s\n", text, value, wanted, good ? "" : "   MISSED" }
  {
    delete field
    for (i = 1; i <= NF; i++) { split($i, pair, "="); field[pair[1]] = pair[2] }
    name = field["contender"]; kind = name; sub(/-.*/, "", kind); has[kind] = 1
    if (field["conn_mean"] > 0) field["fair"] = field["conn_min"] / field["conn_mean"]
    for (key in field) {
      all[name, key] = all[name, key] " " field[key]; sum[name, key] += field[key]
      if (key ~ /^cpu_/ && field["events"] > 0) all[name, key "_per_event"] = all[name, key "_per_event"] " " field[key] / field["events"] * 1e6
    }
    if (!(name in least) || field["rate"] + 0 < least[name]) least[name] = field["rate"] + 0
    if (field["rate"] + 0 > most[name]) most[name] = field["rate"] + 0
    if (field["event_bytes"] && kind != "large") bytes = field["event_bytes"]
  }
'

keep_results() {
  local dir=$top/test/bench/results stamp
  stamp=$(date -u +%Y%m%dT%H%M%SZ)
  if ! { mkdir -p "$dir" && cp "$work/report" "$dir/$stamp.txt" && cp "$work/raw" "$dir/$stamp.raw"; } 2>/dev/null; then
    progress "the results could not be kept in $dir"; return
  fi
  say; say "kept in test/bench/results/$stamp.txt, every round in $stamp.raw"
}

stop_others() { [ ${#others[@]} = 0 ] || kill "${others[@]}" 2>/dev/null || true; }

listens() { grep -qi ":$(printf %04X "$1") [0-9A-F]*:[0-9A-F]* 0A" /proc/net/tcp; }
