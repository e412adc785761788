#!/usr/bin/env bash
# Runs every test of the default build. Chromium (the report in a browser, and the software Vulkan driver that
# it brings) is installed where that takes no password; without it those tests are skipped, in CI they fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
need cargo "Rust 1.95 or newer"
need cc "a C compiler, e.g. Debian's gcc"
browser

log=$(mktemp)
trap 'rm -f "$log"' EXIT
set +e
cargo test --release --workspace --locked "$@" -- --show-output 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
# Once more what is compared with PyTorch, on every path of the kernels that this processor has; built already.
if [[ $status == 0 && $# == 0 ]]; then
  for simd in $("$SBIR_BIN" doctor | sed -n 's/^simd: .*(there are: \(.*\))$/\1/p' | tr -d ,); do
    echo "SBIR_SIMD=$simd"
    SBIR_SIMD=$simd cargo test --release --workspace --locked --test main --quiet -- parity:: steps:: 2>&1 | tee -a "$log"
    status=$((status | PIPESTATUS[0]))
  done
fi
set -e
echo "skipped tests: $(grep -c '^skipped: ' "$log" || true)"
exit "$status"
