# shellcheck shell=bash
# The checks that test/all and test/installcheck share. Each adds to $passed and $failed, and shows what a failure needs.

passed=0 failed=0 SECONDS=0

pass() { passed=$((passed + $1)); }
fail() { failed=$((failed + $1)); }

# heading TEXT: says when a stage began.
heading() { printf '== %3d s  %s\n' "$SECONDS" "$*"; }

# show FILE TITLE: the end of a log.
show() {
  [ -s "$1" ] || return 0
  printf -- '---- %s\n' "$2"
  tail -n "${3:-40}" "$1" | sed 's/^/    /'
}

# stage NAME CMD…: one stage that passes or fails as a whole.
stage() {
  local name=$1; shift
  heading "$name"
  if "$@"; then pass 1; else fail 1; say "FAILED: $name"; return 1; fi
}

pgxs_tests() { echo "$(dirname "$("$pg_config" --pgxs)")/../test"; }

# Takes processors and no locks, while the TAP tests mostly wait. The corpus program comes first, since those need it.
start_unit() {
  build_corpus || true
  beside unit make -s -C "$work/src/test/unit" -j"$(cores)" check BUILD="$work/unit" CXXFLAGS=-O1
}

check_unit() {
  local log=$work/unit.log rc=0 ok bad
  heading 'unit tests'
  wait_beside unit || rc=$?
  ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
  bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
  # a program that crashed or was not built has printed no count
  [ $rc = 0 ] || [ "$bad" != 0 ] || bad=1
  [ $rc != 0 ] || [ "$((ok + bad))" != 0 ] || ok=1
  pass "$ok"; fail "$bad"
  say "   $ok passed, $bad failed"
  [ "$bad" = 0 ] || { show "$log" 'unit tests'; return 1; }
}

# The corpus program is also for the TAP tests, and needs no GoogleTest.
build_corpus() {
  if [ -x "${CXONE_SYNC_BUILD:-}/timestamp_corpus" ]; then corpus=$CXONE_SYNC_BUILD; return; fi
  corpus=$work/unit
  [ -e "$work/src/test/unit/Makefile" ] || return 0
  [ -x "$corpus/timestamp_corpus" ] || quietly "$work/corpus.log" make -s -C "$work/src/test/unit" BUILD="$corpus" "$corpus/timestamp_corpus"
}

# regress_config: what the temporary server of pg_regress needs; ports are free ones unless test/regress.conf names its own.
regress_config() {
  local setting conf=$work/src/test/regress.conf
  if [ -e "$conf" ]; then cat "$conf"; else echo "shared_preload_libraries = 'cxone_sync'"; fi
  for setting in port metrics_port; do
    grep -qs "^ *cxone_sync\.$setting\>" "$conf" || echo "cxone_sync.$setting = $(free_port)"
  done
}

# The same tests where the extension has come up from its first version. What install.sql looks at is the versions themselves.
make_upgraded_tests() {
  local dir=$1 file version script="DO 'BEGIN CREATE EXTENSION cxone_sync VERSION ''1.0'';"
  for file in "$work"/src/sql/cxone_sync--*--*.sql; do
    version=${file##*--}
    script+=" ALTER EXTENSION cxone_sync UPDATE TO ''${version%.sql}'';"
  done
  mkdir -p "$dir/sql" "$dir/expected"
  for file in "$work"/src/sql/*.sql "$work"/src/expected/*.out; do
    case ${file##*/} in cxone_sync--*|install.*) continue ;; esac
    sed "s/^CREATE EXTENSION cxone_sync;\$/$script END';/" "$file" >"$dir/$(basename "$(dirname "$file")")/${file##*/}"
  done
}

check_regress() {
  run_regress pg_regress regress "$work/src"
  make_upgraded_tests "$work/upgraded"
  run_regress 'pg_regress, upgraded from version 1.0' regress-upgraded "$work/upgraded"
}

# run_regress HEADING NAME INPUTDIR
run_regress() {
  local out=$work/out/$2 log=$work/$2.log input=$3 names=() file rc=0 ok bad
  heading "$1"
  for file in "$input"/sql/*.sql; do
    case ${file##*/} in cxone_sync--*|'*.sql') ;; *) names+=("$(basename "$file" .sql)") ;; esac
  done
  [ ${#names[@]} -gt 0 ] || { say '   no tests in sql/'; return 0; }
  as_server mkdir -p "$out"
  regress_config >"$work/regress.conf"
  job as_server "$(pgxs_tests)/regress/pg_regress" --inputdir="$input" --outputdir="$out" --temp-instance="$out/instance" \
    --temp-config="$work/regress.conf" --bindir="$("$pg_config" --bindir)" --no-locale --encoding=UTF8 \
    --dbname=contrib_regression "${names[@]}" >"$log" 2>&1 || rc=$?
  stop_servers
  ok=$(grep -c '^ok \|^\(test \| \).* \.\.\. ok ' "$log") || true
  bad=$(grep -c '^not ok \|^\(test \| \).* \.\.\. FAILED' "$log") || true
  # no server, no results
  [ $rc = 0 ] || [ "$bad" != 0 ] || bad=1
  pass "$ok"; fail "$bad"
  say "   $ok passed, $bad failed"
  if [ "$bad" != 0 ]; then
    show "$log" pg_regress
    show "$out/regression.diffs" regression.diffs 200
    [ -s "$out/regression.diffs" ] || show "$out/log/initdb.log" initdb.log
    show "$out/log/postmaster.log" "the server's log" 20
  fi
  if ! server_log_is_clean "$out/log/postmaster.log"; then fail 1; say "FAILED: the regression server's log"; fi
}

# tap_file FILE: the environment is that of PGXS' own prove_installcheck (of PostgreSQL 15, TESTDIR, and of 16 and later).
tap_file() {
  local dir=$work/out/tap/$1
  as_server mkdir -p "$dir"
  as_server env -C "$work/src" PATH="$("$pg_config" --bindir):$PATH" PG_CONFIG="$pg_config" CXONE_SYNC_BUILD="$corpus" \
    TESTDIR="$dir" TESTDATADIR="$dir/tmp_check" TESTLOGDIR="$dir/tmp_check/log" PGPORT=65432 \
    PG_REGRESS="$(pgxs_tests)/regress/pg_regress" \
    prove -v -I "$(pgxs_tests)/perl" -I test/tap -I test/tap/lib "test/tap/$1.pl"
}

check_tap() {
  local file name log ok bad rc start
  heading 'TAP tests'
  [ -e "$(pgxs_tests)/perl/PostgreSQL/Test/Cluster.pm" ] && has_perl_module IPC::Run && has_perl_module IO::Socket::SSL ||
    { say '   skipped: they need libipc-run-perl and libio-socket-ssl-perl'; return 0; }
  build_corpus || fail 1
  for file in "$work"/src/test/tap/*.pl; do
    [ -e "$file" ] || { say '   no tests in test/tap/'; return 0; }
    name=$(basename "$file" .pl) log=$work/tap-$(basename "$file" .pl).log rc=0 start=$SECONDS
    time_limit=300 job tap_file "$name" >"$log" 2>&1 || rc=$?
    stop_servers
    ok=$(grep -c '^ok ' "$log") || true
    bad=$(grep -c '^not ok ' "$log") || true
    # died, cut off, or of another number than planned
    [ $rc = 0 ] || [ "$bad" != 0 ] || bad=1
    [ $rc != 0 ] || bad=0   # a TODO is no failure
    pass "$ok"; fail "$bad"
    printf '   %-28s %4d passed, %d failed  %3d s\n' "$name" "$ok" "$bad" $((SECONDS - start))
    if [ "$bad" = 0 ]; then rm -rf "$work/out/tap/$name"; continue; fi
    grep -A 12 '^not ok ' "$log" | head -n 60 | sed 's/^/    /' || true
    show "$log" "$name"
    while IFS= read -r log; do show "$log" "${log##*/}" 20; done < <(find "$work/out/tap/$name" -name '*.log' ! -name 'regress_log_*')
  done
}

# What the extension does with random cases, against a model of the rules that knows nothing of its code.
check_judge() {
  local log=$work/judge.log rc=0 ok bad
  heading 'judge'
  PG_CONFIG=$pg_config job "$top/test/judge/run" --installed --cases 2000 --seed 1 >"$log" 2>&1 || rc=$?
  ok=$(sed -n 's/^\([0-9]*\) passed, .*/\1/p' "$log") bad=$(sed -n 's/.* passed, \([0-9]*\) failed$/\1/p' "$log")
  # it ended before its last line
  [ $rc = 0 ] || [ "${bad:-0}" != 0 ] || bad=1
  pass "${ok:-0}"; fail "${bad:-0}"
  say "   ${ok:-0} passed, ${bad:-0} failed"
  [ "${bad:-0}" = 0 ] || show "$log" judge 200
}

# summary: the closing line, and an honest exit status. After a failure the logs stay for whoever looks.
summary() {
  [ "$failed" = 0 ] || {
    keep_work=1
    rm -rf "$work/pg" "$work/src" "$work/home"
    say "The logs are in $work"
  }
  say "$SECONDS s"
  say "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
