#!/usr/bin/env bash
# Loads photos' embeddings into galleries of every kind and asks for drawings there: load rate, time until the index
# is built, recall@10 against exact search, latency, queries a second, memory and disk; beside FAISS's HNSW.
#
#   PYTHON=python3 benchsuite/scale.sh FOLDER 10000 100000 1000000 > benchsuite/runs/<date>-scale/raw.jsonl
#
# FOLDER keeps the data between runs. With BUILT=1 what is built already is measured. The queries are drawings embedded by the bundled encoder (chairs, shoes,
# PACS, BSDS), the vectors photos of the same sets (a few thousand), and beside them synthetic neighbours up to the number
# wanted: see scale_data.py. STORES (local qdrant cluster postgres faiss) says what is measured. The cluster has three nodes,
# three shards and two replicas. The servers run on this machine, and share its processors with the client. The Python needs
# numpy and faiss-cpu. 1,000,000 x 512 need 12 GB on disk and 10 GB of memory.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh
work=$1
shift
python=${PYTHON:-python3} data=${SBIR_DATA:-../shared/data} k=10 threads=${THREADS:-$(nproc)}
largest=$(printf '%s\n' "$@" | sort -n | tail -1)
mkdir -p "$work"
[[ -n ${BUILT:-} ]] || cargo build --quiet --release --workspace --bins --examples >&2
bench=$CARGO_TARGET_DIR/release/examples/store_bench
if [[ ! -e $work/sketches.npy ]]; then
    "$SBIR_BIN" embed "$data"/{chairv2/photo,shoe304/photo,bsds500/train/photo,bsds500/val/photo,pacs/photo,photos1000} \
        --model bundled --skip-bad --out "$work/photos.npy" >&2
    "$SBIR_BIN" embed "$data"/{fscoco-mini/raster_sketches,shoe304/sketch,bsds500/val/contour,pacs/sketch} \
        --model bundled --skip-bad --out "$work/sketches.npy" >&2
fi
[[ -e $work/queries.npy ]] || "$python" benchsuite/scale_data.py pick "$work/sketches.npy" "$work/queries.npy" 500
[[ -e $work/vectors.npy ]] || "$python" benchsuite/scale_data.py make "$work/photos.npy" "$work/vectors.npy" "$largest"
for rows in "$@"; do
    [[ -e $work/truth-$rows.npy ]] ||
        "$python" benchsuite/scale_data.py truth "$work/vectors.npy" "$rows" "$work/queries.npy" "$work/truth-$rows.npy"
done
mib() { awk -v pages="$(getconf PAGESIZE)" '{ sum += $2 } END { printf "%.0f", sum * pages / 1048576 }' "$@"; }
server_memory() { # of the processes that listen for the gallery: resident MiB, and MiB on disk
    [[ ${#pids[@]} == 0 ]] && return
    local rss disk
    rss=$(mib $(printf '/proc/%s/statm ' "${pids[@]}"))
    disk=$(du -sm "${folders[@]}" | awk '{ sum += $1 } END { print sum }')
    echo "{\"what\": \"server\", \"gallery\": \"$GALLERY\", \"resident_mib\": $rss, \"disk_mib\": $disk}"
}
measure() { # measure ROWS... in the gallery $GALLERY
    local rows
    for rows in "$@"; do
        "$bench" load "$GALLERY" "$work/vectors.npy" "$rows" ${create:-}
        "$bench" settle "$GALLERY" "${SETTLE:-3600}"
        server_memory
        "$bench" search "$GALLERY" "$work/queries.npy" "$work/truth-$rows.npy" $k "$threads"
    done
}
for store in ${STORES:-local qdrant cluster postgres faiss}; do
    pids=() folders=() create=
    case $store in
    local) GALLERY=$work/bench.sbir measure "$@" ;;
    faiss)
        for rows in "$@"; do
            "$python" benchsuite/scale_data.py faiss "$work/vectors.npy" "$rows" "$work/queries.npy" "$work/truth-$rows.npy" $k "$threads"
        done
        ;;
    *)
        [[ $store == cluster ]] && create="3 2"
        coproc SERVER { exec "$CARGO_TARGET_DIR/release/examples/run_server" "$store"; }
        while read -r line <&"${SERVER[0]}" && [[ $line != ready ]]; do
            case $line in
            pids=*) pids+=("${line#*=}") ;;
            folder=*) folders+=("${line#*=}") ;;
            GALLERY=*) GALLERY=${line#*=} ;;
            PGPASSWORD=*) eval "export $line" ;;
            esac
        done
        measure "$@"
        server=$SERVER_PID
        eval "exec ${SERVER[1]}>&-"
        wait "$server"
        ;;
    esac
done
