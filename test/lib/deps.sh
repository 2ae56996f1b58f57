# shellcheck shell=bash
# Finds what building and testing need, and installs what is missing on Debian. Says nothing and needs no root if all is there.

oldest_major=15

has_command() { command -v "$1" >/dev/null; }
has_perl_module() { perl -M"$1" -e1 2>/dev/null; }
has_python_module() { /usr/bin/python3 -c "import importlib.util as u, sys; sys.exit(u.find_spec('$1') is None)" 2>/dev/null; }
has_header() {
  local dir
  for dir in /usr/include /usr/local/include /usr/include/*-linux-*; do [ ! -e "$dir/$1" ] || return 0; done
  return 1
}

# A server, its headers, PGXS and a version we know: all four, or the pg_config is of no use.
complete_pg_config() {
  local dir major
  major=$("$1" --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')
  dir=$("$1" --bindir 2>/dev/null) || return
  [ "${major:-0}" -ge $oldest_major ] && [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] &&
    [ -e "$("$1" --includedir-server)/postgres.h" ] && [ -e "$("$1" --pgxs)" ] && ! has_newer_headers "$1"
}

# Inline functions of a minor release's headers may call what only that release's server has (heap_datum_check, 15.20): a library that is
# built with them does not load into an older server.
has_newer_headers() {
  local headers server
  headers=$(sed -n 's/^#define PG_VERSION "[0-9]*\.\([0-9]*\).*/\1/p' "$("$1" --includedir-server)"/pg_config*.h)
  server=$("$("$1" --bindir)/postgres" --version | sed -n 's/^[^0-9]*[0-9]*\.\([0-9]*\).*/\1/p')
  [ "${headers:-0}" -gt "${server:-0}" ]
}

# Sets pg_config: the caller's choice, else the newest complete PostgreSQL of Debian's layout, else what PATH offers.
find_pg_config() {
  local candidate
  if [ -n "${PG_CONFIG:-}" ]; then
    pg_config=$(command -v "$PG_CONFIG") && complete_pg_config "$pg_config" && return
    die "PG_CONFIG=$PG_CONFIG is no PostgreSQL $oldest_major or newer with a server, its headers (no newer minor version than the server's) and PGXS"
  fi
  while IFS= read -r candidate; do
    ! complete_pg_config "$candidate" || { pg_config=$candidate; return; }
  done < <(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -Vr; command -v pg_config)
  return 1
}

# need PACKAGE CMD…: PACKAGE is missing unless CMD succeeds.
need() {
  local package=$1; shift
  "$@" || missing+=("$package")
}

list_missing() {
  missing=()
  need g++ has_command g++
  need make has_command make
  need pkg-config has_command pkg-config
  need libcpp-httplib-dev has_header httplib.h
  need rapidjson-dev has_header rapidjson/document.h
  need libcurl4-openssl-dev has_header curl/curl.h
  need libssl-dev has_header openssl/evp.h
  need zlib1g-dev has_header zlib.h
  need postgresql find_pg_config
  need curl has_command curl
  need libmojolicious-perl has_perl_module Mojolicious
  if [ "$1" = tests ] || [ "$1" = judge ]; then
    # the judge reads what the database holds with it
    need python3-psycopg2 has_python_module psycopg2
  fi
  if [ "$1" = tests ]; then
    need libgtest-dev has_header gtest/gtest.h
    need libipc-run-perl has_perl_module IPC::Run
    need libio-socket-ssl-perl has_perl_module IO::Socket::SSL
    need openssl has_command openssl
    # promtool comes with it, in the package or as one that it depends on
    need prometheus has_command prometheus
    need python3-prometheus-client has_python_module prometheus_client
    need python3-django-oauth-toolkit has_python_module oauth2_provider
    need python3-djangorestframework has_python_module rest_framework
    need chromium has_command chromium
    need chromium-driver has_command chromedriver
    need npm has_command npm
  fi
  # what the peers of test/bench/compare are written with, and their load generator
  if [ "$1" = compare ]; then
    need golang-go has_command go
    need golang-github-jackc-pgx-v4-dev test -d /usr/share/gocode/src/github.com/jackc/pgx/v4/pgxpool
    need golang-github-json-iterator-go-dev test -d /usr/share/gocode/src/github.com/json-iterator/go
    need npm has_command npm
    need wrk has_command wrk
  fi
  if [ "$1" = citus ]; then
    # a header of PostgreSQL that Citus reads asks for it
    need libkrb5-dev has_header gssapi/gssapi.h
    need libzstd-dev has_header zstd.h
  fi
}

# install_deps demo|tests|judge|compare|citus
install_deps() {
  local missing become=() names
  list_missing "$1"
  [ ${#missing[@]} -gt 0 ] || return 0
  names=${missing[*]/%postgresql/postgresql (server and headers)}
  has_command apt-get || die "this needs: $names; installing is only known for Debian, so please install that"
  if [ "$(id -u)" != 0 ]; then
    { has_command sudo && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; } ||
      die "this needs packages that only root may install: apt-get install --no-install-recommends ${missing[*]/%postgresql/postgresql postgresql-server-dev-all}"
    become=(sudo)
  fi
  say "Installing with apt, to build and run cxone_sync: $names"
  "${become[@]}" bash "$top/test/lib/apt_install" "${missing[@]}" </dev/null || die 'apt could not install that (see above)'
  list_missing "$1"
  [ ${#missing[@]} = 0 ] || die "still missing after the installation: ${missing[*]/%postgresql/postgresql (server, and headers no newer than it: upgrading the server may be all it needs)}"
}
