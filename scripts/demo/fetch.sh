#!/usr/bin/env bash
# Fetches the two pinned emoji packages into CACHE/node_modules; nothing from them is run.
# Usage: scripts/demo/fetch.sh CACHE
#
# A second call does nothing. After an interrupted one the next starts over: `.fetched`, a copy of the
# lock file, is written only once `npm ci` has checked every integrity hash.
set -euo pipefail

if [[ $# -ne 1 ]]; then
  echo "usage: scripts/demo/fetch.sh CACHE" >&2
  exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$1

if cmp -s "$here/package-lock.json" "$cache/.fetched" && [[ -d $cache/node_modules ]]; then
  exit 0
fi
if ! command -v npm >/dev/null; then
  echo "error: npm is not on the PATH: install Node.js 20 or newer (npm 9 or newer comes with it)" >&2
  exit 1
fi
mkdir -p "$cache"
rm -f "$cache/.fetched"
cp "$here/package.json" "$here/package-lock.json" "$cache/"
# The lock names versions and hashes but no registry, so npm asks whichever registry it is configured for.
if ! npm ci --prefix "$cache" --ignore-scripts --no-audit --no-fund --loglevel=error >&2; then
  echo "error: $cache: npm could not fetch the emoji packages: check the network or npm's registry, then run this again" >&2
  exit 1
fi
cp "$here/package-lock.json" "$cache/.fetched.part"
mv "$cache/.fetched.part" "$cache/.fetched"
