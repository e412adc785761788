#!/usr/bin/env bash
# Runs every test of the default build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
need cargo "Rust 1.95 or newer"
need cc "a C compiler, e.g. Debian's gcc"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
set +e
cargo test --release --workspace --locked "$@" -- --show-output 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
set -e
echo "skipped tests: $(grep -c '^skipped: ' "$log" || true)"
exit "$status"
