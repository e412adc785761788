#!/usr/bin/env bash
# Times `sbir embed --manifest` beside plain `sbir embed` and `sbir index` on the same photos, in alternation.
#
#   SBIR_BIN=… benchsuite/shards.sh PHOTOS benchsuite/runs/<date>-shards
#
# Leaves raw.csv (a row a run) and table.md (medians and ratios) in the folder; processor seconds are
# those of all threads, which other programs disturb less. ROUNDS (5) rounds go through all three.
# Plain `embed` decodes in full, as the origin does; index and pieces may decode JPEGs at reduced scale.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. benchsuite/alone.sh
photos=$1
out=$2
rounds=${ROUNDS:-5}
given=${SBIR_BIN:-}
. scripts/env.sh
sbir=${given:-$SBIR_BIN}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
raw=$out/raw.csv
echo "what,run,seconds,processor_seconds,photos,others" >"$raw"
"$sbir" manifest "$photos" --out "$work/m.jsonl" --json >"$work/manifest.json"
count=$(sed 's/.*"photos":\([0-9]*\).*/\1/' "$work/manifest.json")
measure() { # measure WHAT RUN COMMAND...
  local what=$1 run=$2
  shift 2
  # Each try begins without what an earlier one made, which it would find. The last times count, should `alone` run it
  # again.
  alone "$work" bash -c 'rm -rf "$1"/v.* "$1/pieces" "$1"/g.sbir*
    TIMEFORMAT="%R %U %S"; exec 3>&2; { time "${@:2}" 2>&3; } 2>"$1/times"' - "$work" "$@"
  echo "$what,$run,$(awk '{ printf "%.3f,%.3f", $1, $2 + $3 }' "$work/times"),$count,$others" >>"$raw"
}
for run in $(seq 0 "$rounds"); do
  # The first round warms the files up, and is not kept.
  [[ $run != 1 ]] || sed -i 2,\$d "$raw"
  measure embed "$run" "$sbir" embed "$photos" --model bundled --no-cuda --skip-bad --out "$work/v.npy"
  measure pieces "$run" "$sbir" embed --manifest "$work/m.jsonl" --no-cuda --out "$work/pieces"
  measure index "$run" "$sbir" index "$photos" --gallery "$work/g.sbir"
done
median() { # median WHAT COLUMN
  awk -F, -v what="$1" -v column="$2" '$1 == what { print $column }' "$raw" | sort -n |
    awk '{ t[NR] = $1 } END { print (t[int((NR + 1) / 2)] + t[int(NR / 2) + 1]) / 2 }'
}
{
  echo "| | median s | over embed | over index | median processor s | over embed | over index |"
  echo "|---|---|---|---|---|---|---|"
  for what in embed pieces index; do
    row="| $what |"
    for column in 3 4; do
      row+=$(awk -v t="$(median $what $column)" -v e="$(median embed $column)" -v i="$(median index $column)" \
        'BEGIN { printf " %.2f | %.3f | %.3f |", t, t / e, t / i }')
    done
    echo "$row"
  done
} >"$out/table.md"
{ uname -srm; grep -m1 'model name' /proc/cpuinfo; nproc; "$sbir" --version; git rev-parse --short HEAD; echo "$count photos of $(basename "$photos")"; } >"$out/machine.txt"
cat "$out/table.md"
