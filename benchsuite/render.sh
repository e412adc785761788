#!/usr/bin/env bash
# Times the renderer beside OpenCV's antialiased lines, on one thread, over Chair-V2's strokes.
#
#   PYTHON=python3 benchsuite/render.sh [strokes.ndjson] > benchsuite/runs/<date>-render/raw.csv
#
# The Python needs opencv-python-headless and numpy. Each row is one run: tool, run, sketches per second of
# processor time, and a checksum that keeps the work from being left out. The runs of the two tools
# alternate; each takes RUN_SECONDS (1) of processor time.
set -euo pipefail
cd "$(dirname "$0")/.."
strokes="${1:-${SBIR_DATA:-../shared/data}/chairv2/strokes.ndjson}"
python="${PYTHON:-python3}"
seconds="${RUN_SECONDS:-1}"

cargo build --quiet --release --package sbir-sketch --example render_speed
speed="${CARGO_TARGET_DIR:-target}/release/examples/render_speed"
for side in 224 512; do
    for _ in 1 2; do
        "$speed" "$strokes" "$side" 0.01171875 "$seconds"
        "$python" benchsuite/render_peer.py "$strokes" "$side" --seconds "$seconds"
    done
done
"$speed" "$strokes" 256 fscoco "$seconds"
"$python" benchsuite/render_peer.py "$strokes" 256 --fscoco --seconds "$seconds"
