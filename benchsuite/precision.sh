#!/usr/bin/env bash
# What bf16 costs in quality: evaluates one ConvNeXt in f32 and in bf16 on the same queries.
#
#   benchsuite/precision.sh MODEL DATA [OPTION…] > benchsuite/runs/<date>-precision/<name>.txt
#
# OPTIONs go to `sbir eval`, such as --holdout 0.9999, which makes queries of a whole set that has no split. Fails where
# recall@1 differs by more than 0.3 points, or on fewer than 900 queries. Needs a CPU with AVX-512 BF16.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
model=$1
data=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --quiet --release --locked --workspace --bins
cargo build --quiet --release --locked --workspace --example compare_ranks
for precision in f32 bf16; do
  "$SBIR_BIN" eval "$data" --no-cuda --model "$model" --precision "$precision" --json --ranks "$work/$precision.jsonl" \
    --html "$work/result.html" "$@" >"$work/$precision.json"
  echo "$precision: $(cat "$work/$precision.json")"
done
"$CARGO_TARGET_DIR/release/examples/compare_ranks" "$work/f32.jsonl" "$work/bf16.jsonl" | tee "$work/compared.txt"
awk '/^queries/ { if ($2 < 900) { print "error: fewer than 900 queries" > "/dev/stderr"; exit 1 } }
     /^difference/ { if ($2 > 0.3 || $2 < -0.3) { print "error: more than 0.3 points apart" > "/dev/stderr"; exit 1 } }' "$work/compared.txt"
