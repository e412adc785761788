#!/usr/bin/env bash
# Runs every test. Chromium brings SwiftShader, a software Vulkan driver, on which the GPU path is
# tested; where it is missing and apt-get can install it, it is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
need cargo "Rust 1.95 or newer"
need cc "a C compiler, e.g. Debian's gcc"

if ! command -v chromium >/dev/null || ! ldconfig -p | grep -q libvulkan.so.1; then
  if command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      chromium libvulkan1 >/dev/null
  else
    echo "note: chromium and libvulkan1 are not installed; tests that need them are skipped" >&2
  fi
fi
command -v chromium >/dev/null && chromium --version 2>/dev/null || true

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --release --workspace --locked "$@" -- --show-output 2>&1 | tee "$log" |
  grep -vE '^(successes:|---- .* stdout ----|    [a-z_:]+|)$' || true
status=${PIPESTATUS[0]}
echo "skipped tests: $(grep -c '^skipped: ' "$log" || true)"
exit "$status"
