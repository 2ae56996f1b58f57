# shellcheck shell=bash
# A PostgreSQL of our own: a copy of the installed one, into which the extension can be installed without touching the system's.
# PostgreSQL finds its files relative to its programs, so a copy below $work/pg with the same path names works by itself.

# copy_tree DIR: the copy keeps DIR's path below $work/pg.
copy_tree() {
  [ ! -e "$work/pg$1" ] || return 0
  mkdir -p "$work/pg${1%/*}"
  cp -a --reflink=auto "$1" "$work/pg$1"
}

# link_tree DIR: for what is only read, a link is enough.
link_tree() {
  [ -e "$1" ] && [ ! -e "$work/pg$1" ] || return 0
  mkdir -p "$work/pg${1%/*}"
  ln -s "$1" "$work/pg$1"
}

# Sets pg_config to the copy's.
make_private_pg() {
  local original=$pg_config what
  for what in bindir pkglibdir sharedir; do copy_tree "$(realpath "$("$original" --$what)")"; done
  for what in includedir pkgincludedir includedir-server libdir localedir; do link_tree "$("$original" --$what)"; done
  pg_config=$work/pg$(realpath "$("$original" --bindir)")/pg_config
  for what in bindir pkglibdir sharedir; do
    [[ $("$pg_config" --$what) == "$work"/* ]] || die "the copy of PostgreSQL still reports $("$pg_config" --$what)"
  done
}

# build_extension [MAKE_ARGUMENT…] and install_extension: from the copied source, into the private PostgreSQL. Silent make: what is
# said then is worth reading.
build_extension() { make -s -C "$work/src" -j"$(cores)" PG_CONFIG="$pg_config" "$@"; }
install_extension() { make -s -C "$work/src" PG_CONFIG="$pg_config" install; }
