#!/usr/bin/env bash
# Times indexing of 500 distinct JPEGs of 12 megapixels beside a Python loop with Pillow (decoding in full, and with
# `draft`) and ONNX Runtime on the same encoder, and compares the embeddings. Then indexing again with nothing changed,
# and memory, over folders of 20,000 and 200,000 small pictures.
#
#   PYTHON=python3 benchsuite/index.sh PHOTOS benchsuite/runs/<date>-index
#
# PHOTOS is a folder of some hundred JPEGs that the large ones are made of. The Python needs numpy, onnx, onnxruntime,
# pillow and safetensors. RUNS (1 2 3) of each tool alternate and are added to raw.csv, each a process of its own, with the files in the page
# cache. The peer's seconds are its loop's alone; ours are the whole run's but for the process's start. `cores_busy` is
# processor time over wall time, of the whole process. `sbir-without-encoder` gives every photo a constant vector: what
# reading and decoding cost; it indexes the small pictures too (first, and again with nothing changed). WORK keeps the
# files (2 GB, and 220,000 small ones).
set -euo pipefail
cd "$(dirname "$0")/.."
photos="$1"
runs="$2"
python="${PYTHON:-python3}"
work="${WORK:-$(mktemp -d)}"
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work" "$runs"
peer() { "$python" benchsuite/index_peer.py "$@"; }

cargo build --quiet --release --package sbir --package sbir-gallery --example index_bench --bins
bin="${CARGO_TARGET_DIR:-target}/release"
peer make "$work/photos" 500 "$photos"
[ -d "$work/many" ] || peer many "$work/many" 200000
[ -d "$work/few" ] || peer many "$work/few" 20000
peer graph models/bundled.safetensors "$work/lite0.onnx"
cat "$work"/photos/*.jpg >/dev/null

raw="$runs/raw.csv"
for run in ${RUNS:-1 2 3}; do
    rm -f "$work"/*.sbir*
    peer timed sbir "$run" "$raw" "$bin/sbir" index "$work/photos" --gallery "$work/photos.sbir" --device cpu --json
    peer timed pillow-draft "$run" "$raw" "$python" benchsuite/index_peer.py embed "$work/photos" "$work/lite0.onnx" draft "$work/draft.npz"
    peer timed pillow-full "$run" "$raw" "$python" benchsuite/index_peer.py embed "$work/photos" "$work/lite0.onnx" full "$work/full.npz"
    peer timed sbir-without-encoder "$run" "$raw" "$bin/examples/index_bench" "$work/bare.sbir" "$work/photos" 176
    for folder in few many; do
        peer timed "sbir-first-$folder" "$run" "$raw" "$bin/examples/index_bench" "$work/$folder.sbir" "$work/$folder"
        peer timed "sbir-again-$folder" "$run" "$raw" "$bin/examples/index_bench" "$work/$folder.sbir" "$work/$folder"
    done
done
"$bin/sbir" gallery export "$work/ours.npy" --gallery "$work/photos.sbir" >/dev/null
for way in full draft; do
    echo "sbir and pillow-$way, $(peer agree "$work/$way.npz" "$work/ours.npy" "$work/ours.jsonl")"
done | tee "$runs/agreement.txt"
