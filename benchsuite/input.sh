#!/usr/bin/env bash
# Shows whether encoders wait for pictures: training and embedding by the program beside the encoder alone, on pictures in memory.
#
#   benchsuite/input.sh benchsuite/runs/<date>-input PHOTOS PAIRS WEIGHTS.safetensors
#
# PHOTOS is a folder of JPEGs, PAIRS a dataset that `sbir train` takes, WEIGHTS a ConvNeXt's. Leaves raw.csv, a row a run:
#
#   task,encoder,pictures,seconds,per_second,alone,waited,cores
#
# alone: what the encoder reaches with pictures in memory. waited: the share of the time that training steps waited for their pictures. cores: processors kept busy; where that is
# all of them, the encoder is slowed by decoding's work, not by waiting for it. ROUNDS (3), SECONDS_EACH (40) s of training.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
out=$1 photos=$2 pairs=$3 weights=$4
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-40}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
cargo build --quiet --release --locked --workspace --bins
cargo build --quiet --release --locked --workspace --example encoder_speed
speed=$CARGO_TARGET_DIR/release/examples/encoder_speed
head -c $((64 * 3 * 224 * 224 * 4)) /dev/zero >"$work/224.f32"
head -c $((64 * 3 * 176 * 176 * 4)) /dev/zero >"$work/176.f32"
last() { tail -n 1 | cut -d, -f11; }

# timed COMMAND…: sets $wall and $busy, processor seconds, of COMMAND.
timed() {
  local TIMEFORMAT='%R %U %S' times
  local code=0
  times=$({ time "$@" >"$work/output" 2>"$work/log"; } 2>&1) || code=$?
  # 130: stopped on purpose.
  ((code == 0 || code == 130)) || { cat "$work/log" >&2; return "$code"; }
  read -r wall user system <<<"$times"
  busy=$(awk -v u="$user" -v s="$system" 'BEGIN { print u + s }')
}
row() { # row TASK ENCODER PICTURES ALONE WAITED
  awk -v task="$1" -v encoder="$2" -v n="$3" -v alone="$4" -v waited="$5" -v wall="$wall" -v busy="$busy" \
    'BEGIN { printf "%s,%s,%d,%.2f,%.2f,%s,%s,%.2f\n", task, encoder, n, wall, n / wall, alone, waited, busy / wall }' | tee -a "$out/raw.csv"
}

echo "task,encoder,pictures,seconds,per_second,alone,waited,cores" | tee "$out/raw.csv"
count=$(find "$photos" -type f | wc -l)
for ((round = 1; round <= rounds; round++)); do
  # Training: stopped after a while as by Ctrl-C; the steps say what they took and what they waited.
  alone=$("$speed" train --weights "$weights" --inputs "$work/224.f32" --batch 8 --seconds 10 2>/dev/null | last)
  timed timeout --signal INT --preserve-status "$seconds" "$SBIR_BIN" train "$pairs" --init "$weights" --batch-size 8 --precision f32 --no-cuda \
    --run-dir "$work/run-$round" --html "$work/result.html"
  read -r wall pictures waited < <(awk 'match($0, /"seconds":[0-9.e-]+/) { s += substr($0, RSTART + 10, RLENGTH - 10); n += 16 }
    match($0, /"waited":[0-9.e-]+/) { w += substr($0, RSTART + 9, RLENGTH - 9) } END { printf "%.3f %d %.4f\n", s + w, n, w / (s + w) }' "$work/run-$round/metrics.jsonl")
  row train convnext_small "$pictures" "$(awk -v a="$alone" 'BEGIN { print 2 * a }')" "$waited"

  alone=$("$speed" embed --weights "$weights" --inputs "$work/224.f32" --batch 16 --seconds 5 2>/dev/null | last)
  timed "$SBIR_BIN" embed "$photos" --model "$weights" --precision f32 --no-cuda --out "$work/vectors.npy"
  row embed convnext_small "$count" "$alone" ""

  alone=$("$speed" embed --weights models/bundled.safetensors --inputs "$work/176.f32" --batch 16 --seconds 5 2>/dev/null | last)
  timed "$SBIR_BIN" embed "$photos" --model bundled --precision f32 --no-cuda --out "$work/vectors.npy"
  row embed bundled "$count" "$alone" ""
  rm -f "$work/gallery.sbir"
  timed "$SBIR_BIN" index "$photos" --precision f32 --no-cuda --gallery "$work/gallery.sbir"
  row index bundled "$count" "$alone" ""
done
