#!/usr/bin/env bash
# The main job on real input, from nothing: fetches emoji drawings and renders, builds, trains a small
# encoder from random weights, evaluates it on emoji that it has never seen, and opens the report.
# Results go to ~/.cache/sbir/demo, or to the folder given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
need cargo "Rust 1.95 or newer"
need cc "a C compiler, e.g. Debian's gcc"
need node "Node.js 20 or newer"
need npm "npm 9 or newer"

started=$SECONDS
work=${1:-$HOME/.cache/sbir/demo}
mkdir -p "$work"
work=$(cd "$work" && pwd)

scripts/demo/fetch.sh "$work/packages" &
fetching=$!
cargo build --release --workspace --locked
wait "$fetching"
node scripts/demo/pairs.mjs "$work/packages" "$work/emoji"
sbir=$CARGO_TARGET_DIR/release/sbir

cd "$work"
rm -rf run result.html
"$sbir" train emoji --no-cuda --run-dir run --encoder convnext:1-1-2-1:24-48-96-192 --init random \
  --layer-scale 1 --image-size 48 --batch-size 30 --lr 3e-4 --temp 0.05 --stochastic-depth 0 \
  --line 0.028 --augment light --epochs 28
echo "== held-out emoji =="
"$sbir" eval emoji --no-cuda --model run/model.safetensors
"$sbir" eval emoji --no-cuda --model run/model.safetensors --json --html result.html >result.json
node -e '
  const { gallery, recall } = JSON.parse(require("fs").readFileSync("result.json", "utf8"));
  const chance = 10 / gallery;
  const times = recall["10"] / chance;
  console.log(`recall@10 is ${times.toFixed(1)} times chance (${(100 * recall["10"]).toFixed(1)} % of ${gallery} emoji)`);
  if (times < 10) process.exit(1);
'
echo "report: $work/result.html ($((SECONDS - started)) s in all)"
if [[ -t 1 ]] && command -v xdg-open >/dev/null; then xdg-open "$work/result.html" || true; fi
