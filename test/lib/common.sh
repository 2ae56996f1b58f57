# shellcheck shell=bash
# What every command of test/ shares: a clean environment, a work directory that goes away again, and two ways to run things.

# A PGHOST of the user would lead us to the user's own server, and a MAKEFLAGS to a job server that is not ours.
clean_environment() {
  local name
  for name in "${!PG@}"; do [ "$name" = PG_CONFIG ] || unset "$name"; done
  unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES CDPATH TESTDIR TESTDATADIR TESTLOGDIR
  export LC_ALL=C
  umask 022
}

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# A PostgreSQL server refuses to run as root: then Debian's own user serves, else nobody. Everyone else runs it as themselves.
server_user() {
  if [ "$(id -u)" != 0 ]; then id -un
  elif id postgres >/dev/null 2>&1; then echo postgres
  else echo nobody
  fi
}

# as_server CMD…: as the server's user, in a directory that this user may read, without root's home and without proxies.
as_server() (
  local user become=()
  cd "$work" || return
  user=$(server_user)
  [ "$(id -u)" != 0 ] || become=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups)
  exec "${become[@]}" env -u http_proxy -u https_proxy -u all_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY \
    HOME="$work/home" TMPDIR="$work/tmp" USER="$user" LOGNAME="$user" "$@"
)

# A place which the server's user can reach and where programs may run (some systems mount /tmp with noexec).
make_work_dir() {
  local base
  for base in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
    # a socket's path, some directories below, has room for some 100 characters only
    [ ${#base} -le 40 ] || continue
    work=$(mktemp -d "$base/cxone_sync.XXXXXX" 2>/dev/null) || continue
    chmod 755 "$work"
    mkdir "$work/home" "$work/tmp" "$work/out"
    [ "$(id -u)" != 0 ] || chown "$(server_user)" "$work"/*
    cp /bin/true "$work/home/true"
    if as_server "$work/home/true" 2>/dev/null; then rm "$work/home/true"; return; fi
    rm -rf "$work"
  done
  die 'no directory for temporary files where programs may run: set TMPDIR'
}

# job CMD…: CMD in a process group of its own, so that a signal ends us at once and the group with us, and so does the time limit.
# Its standard input is empty.
running='' watchdog='' time_limit=600
job() {
  local rc=0
  set -m
  "$@" </dev/null &
  running=$!
  (sleep "$time_limit"; echo "cut off after $time_limit s"; kill -TERM -- "-$running"; sleep 10; kill -KILL -- "-$running") </dev/null 2>/dev/null &
  watchdog=$!
  disown "$watchdog"
  set +m
  wait "$running" || rc=$?
  running=
  kill -TERM -- "-$watchdog" 2>/dev/null || true
  watchdog=
  return $rc
}

# Ends servers whose data directories lie below ours, and nobody else's: a test that was cut off can leave some.
stop_servers() {
  local file pid
  [ -d "${work:-}" ] || return 0
  while IFS= read -r file; do
    read -r pid <"$file" || continue
    [[ $pid =~ ^[0-9]+$ ]] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "${file%/*}" ] || continue
    kill -QUIT "$pid" 2>/dev/null || continue
    until_true 20 gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
  done < <(find "$work" -name postmaster.pid 2>/dev/null)
}

# beside NAME CMD…: CMD goes on beside what follows, whenever there is time for it, until wait_beside NAME. What it says goes to NAME.log.
declare -A beside=()
beside() {
  local name=$1; shift
  set -m
  nice timeout "$((2 * time_limit))" "$@" >"$work/$name.log" 2>&1 </dev/null &
  beside[$name]=$!
  set +m
}
wait_beside() {
  local rc=0
  wait "${beside[$1]}" || rc=$?
  unset "beside[$1]"
  return $rc
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# until_true SECONDS CMD…: waits for a condition, not for a time.
until_true() {
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# Everything this run made goes away, however it ends; keep_work=1 leaves the directory for whoever looks into a failure.
keep_work=
clean_up() {
  local pid
  trap '' HUP INT TERM
  [ -z "$watchdog" ] || kill -TERM -- "-$watchdog" 2>/dev/null || true
  if [ -n "$running" ] && kill -TERM -- "-$running" 2>/dev/null; then
    until_true 15 gone "$running" || kill -KILL -- "-$running" 2>/dev/null || true
  fi
  for pid in "${beside[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  stop_servers
  [ -n "$keep_work" ] || rm -rf "${work:?}"
}

# begin demo|tests|judge|compare|citus|installed: the packages for that (or the PostgreSQL that has the extension already), then a work directory with the promise that it goes away. In this order, because the
# server's user may come with the packages.
begin() {
  clean_environment
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if [ "$1" = installed ]; then find_pg_config || die 'no complete PostgreSQL found: set PG_CONFIG'; else install_deps "$1"; fi
  make_work_dir
  trap clean_up EXIT
}

# A copy, so that the checkout gets no file of another owner, no object of another compiler or server, and may be unreadable for the
# server's user. Whatever is there counts, committed or not.
copy_source() {
  mkdir -p "$work/src"
  # 1: a file changed while it was read
  { tar -C "$top" --exclude=./.git --exclude=./build --exclude=./results --exclude=./tmp_check --exclude=./test/bench/results \
    --exclude='*.o' --exclude='*.so' --exclude='*.bc' --exclude='./src/*.d' --exclude='regression.*' -cf - . || [ $? = 1 ]; } |
    tar -C "$work/src" --no-same-owner -xf -
  chmod -R u+w,go+rX "$work/src"
}

# quietly LOG CMD…: what CMD says goes to LOG, and is shown if it fails.
quietly() {
  local log=$1 rc=0; shift
  job "$@" >"$log" 2>&1 || rc=$?
  [ $rc = 0 ] || tail -n 40 "$log" >&2
  return $rc
}

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1; }

# A free TCP port, from a range that the kernel does not hand out by itself and below PostgreSQL's test ports.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    grep -qsi ":$(printf %04X $port) [0-9A-F]*:[0-9A-F]* 0A" /proc/net/tcp /proc/net/tcp6 || { echo $port; return; }
  done
}

# No process of a server may end by a signal or drag the others along, except where a TAP test means it to; those look for themselves.
server_log_is_clean() {
  [ -e "$1" ] && ! grep -n 'was terminated by signal\|PANIC:\|TRAP: \|terminating any other active server processes' "$1"
}
