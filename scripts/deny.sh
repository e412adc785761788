#!/usr/bin/env bash
# Runs cargo-deny, pinned, built once into ~/.cache/sbir.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.20.2
root=$HOME/.cache/sbir/cargo-deny-$version
if [[ ! -x $root/bin/cargo-deny ]]; then
  CARGO_TARGET_DIR=$root/target cargo install --quiet --locked --root "$root" "cargo-deny@$version"
  rm -rf "$root/target"
fi
exec "$root/bin/cargo-deny" "$@"
