#!/usr/bin/env bash
# Times exact search beside FAISS's IndexFlatIP, on the same vectors with the same number of threads, and
# compares what the two find.
#
#   PYTHON=python3 benchsuite/search.sh [rows] [dimension] > benchsuite/runs/<date>-search/raw.csv
#
# The Python needs faiss-cpu and numpy. ROUNDS (3) runs of each tool alternate, each a process of its own;
# a run times 64 queries one by one, then together. Columns: tool, run, opening_s (with a first query), single_ms
# (median), together_ms (median), anonymous_mib (the most memory that is no file's; the vectors are mapped), exact (of
# the 64 queries, how many lists are those of scoring every stored vector in f32, score for score), best (of the 640 of
# those lists, how many were found). FAISS adds up in another order, so near-duplicates with nearly equal scores trade
# places there. The last column, others, is the processor time that other programs took, as a share of one core: see alone.sh.
# The last tenth of the vectors, at most 10,000, are near-duplicates of each other; a quarter of the queries lie
# beside them. Needs 8.5 GB on disk and 7 GB of memory for 1,000,000 x 768.
set -euo pipefail
cd "$(dirname "$0")/.."
. benchsuite/alone.sh
rows="${1:-1000000}"
dimension="${2:-768}"
python="${PYTHON:-python3}"
rounds="${ROUNDS:-3}"
threads="${THREADS:-$(nproc)}"
work="${WORK:-$(mktemp -d)}"
mkdir -p "$work"
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT

cargo build --quiet --release --package sbir-gallery --example search_bench
bench="${CARGO_TARGET_DIR:-target}/release/examples/search_bench"
near=$((rows / 10 < 10000 ? rows / 10 : 10000))
if [ ! -e "$work/vectors.npy" ]; then
    "$bench" make "$work/gallery.sbir" "$rows" "$dimension" "$near"
    "$bench" export "$work/gallery.sbir" "$work/vectors.npy"
    "$python" benchsuite/search_peer.py queries "$work/vectors.npy" "$work/queries.npy"
fi
[ -e "$work/scored.json" ] || "$bench" scored "$work/vectors.npy" "$work/queries.npy" 10 "$work/scored.json"
# FAISS brings an OpenBLAS that takes processors newer than itself for the oldest: told which kernels fit, it is faster.
if grep -q avx512f /proc/cpuinfo; then export OPENBLAS_CORETYPE=SKYLAKEX; else unset OPENBLAS_CORETYPE; fi
unset OPENBLAS_L2_SIZE
export RAYON_NUM_THREADS="$threads" OMP_NUM_THREADS="$threads" OPENBLAS_NUM_THREADS="$threads"
for run in $(seq "$rounds"); do
    alone "$work" "$bench" search "$work/gallery.sbir" "$work/queries.npy" 10 3 "$work/sbir-$run.json"
    echo "$others" >"$work/sbir-$run.others"
    alone "$work" "$python" benchsuite/search_peer.py search "$work/vectors.npy" "$work/queries.npy" 10 3 "$work/faiss-$run.json"
    echo "$others" >"$work/faiss-$run.others"
    cat "$work/log" >&2
done
"$python" benchsuite/search_peer.py report "$work" "$rounds"
