#!/usr/bin/env bash
# Times one picture through the bundled EfficientNet-Lite0 beside ONNX Runtime and OpenVINO, in short rounds in turn, also where others use
# the machine: what is compared is each tool's fastest call, and the quickest quarter of its calls.
#
#   PYTHON=venv/bin/python benchsuite/lite_latency.sh benchsuite/runs/<date>-lite [ROUNDS]
#
# With BUILT=1 what is built already is measured. encoder.sh must have made its graphs ($WORK; encoder_models.py alone will do). Leaves raw.csv in the folder: a row a round and tool, times in ms.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1
rounds=${2:-5}
python=${PYTHON:-python3}
work=${WORK:-$HOME/.cache/sbir/encoder-peers}
seconds=${SECONDS_EACH:-1.5}
mkdir -p "$out"
[[ -n ${BUILT:-} ]] || cargo build --quiet --release --workspace --example encoder_speed
speed=${CARGO_TARGET_DIR:-target}/release/examples/encoder_speed
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
raw=$out/raw.csv
[[ -e $raw ]] || echo "round,tool,side,threads,least_ms,quarter_ms,per_second" >"$raw"

measure() { # measure ROUND TOOL THREADS COMMAND...
  local round=$1 tool=$2 threads=$3 rate times
  shift 3
  rate=$("$@" 2>"$scratch/log" | tail -n 1 | cut -d, -f 11) || { cat "$scratch/log" >&2; return 1; }
  times=$(sed -n 's/^least \([0-9.]*\) ms, quarter \([0-9.]*\) ms$/\1,\2/p' "$scratch/log")
  echo "$round,$tool,176,$threads,$times,$rate" | tee -a "$raw"
}

for ((round = 1; round <= rounds; round++)); do
  for threads in 2 1; do
    measure "$round" sbir "$threads" "$speed" embed --network lite0 --weights models/bundled.safetensors --inputs "$work/lite0.f32" \
      --batch 1 --threads "$threads" --seconds "$seconds" --run "$round" --out "$scratch/ours.f32"
    "$python" benchsuite/encoder_peer.py check "$scratch/ours.f32" "$work" lite0 f32 2>/dev/null
    for peer in openvino:f32:nchw:latency onnxruntime:f32:nchw:simplified; do
      measure "$round" "${peer%%:*}" "$threads" "$python" -W ignore benchsuite/encoder_peer.py run "$work" "embed:lite0:$peer:1:$threads" \
        "$round" "$seconds"
    done
  done
done
