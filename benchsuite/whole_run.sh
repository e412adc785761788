#!/usr/bin/env bash
# One whole training run, PyTorch's and ours: same initial weights, same batches, same pairs.
#
#   PYTHON=venv/bin/python benchsuite/whole_run.sh benchsuite/runs/<date>-whole-run MODEL [fscoco folder]
#
# MODEL is a narrow ConvNeXt that has learnt something, so that a few hundred pairs teach it more: the one that
# scripts/demo.sh leaves in ~/.cache/sbir/demo/run/model.safetensors. From random weights 200 pairs keep PyTorch
# itself at chance. The Python needs scripts/parity/requirements.txt. Writes both metrics, the plot and the
# checks, and the same checks for runs that are wrong on purpose (Adam's and LayerNorm's epsilon 1e-5), which
# must fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
out=$1
model=$2
data=${3:-${SBIR_DATA:-../shared/data}/fscoco-mini}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

recipe=(--image-size 64 --batch-size 30 --epochs 16 --lr 1e-4)
encoder=$("$SBIR_BIN" convert "$model" "$work/init.pth" --names origin --json | "$python" -c 'import json, sys; print(json.load(sys.stdin)["encoder"])')
"$python" scripts/parity/whole_run.py "$data" --init "$work/init.pth" --out "$out/pytorch.jsonl" --threads 1 "${recipe[@]}"
ours() { # ours NAME [option value]: a run, its evaluation, and how far the weights went, as JSON lines
  local name=$1
  shift
  "$SBIR_BIN" train "$data" --encoder "$encoder" --init "$work/init.pth" --stochastic-depth 0 --no-cuda --precision f32 \
    --html "$work/result.html" --run-dir "$work/$name" "${recipe[@]}" "$@" >/dev/null
  "$SBIR_BIN" convert "$work/$name/model.safetensors" "$work/$name.pth" --names origin >/dev/null
  cp "$work/$name/metrics.jsonl" "$out/$name.jsonl"
  "$python" scripts/parity/whole_run.py --init "$work/init.pth" --update-of "$work/$name.pth" >>"$out/$name.jsonl"
}
ours sbir
ours wrong-adam-eps --adam-eps 1e-5
ours wrong-norm-eps --norm-eps 1e-5
plot() { "$python" scripts/parity/plot_whole_run.py "$out/pytorch.jsonl" "$@"; }
plot "$out/sbir.jsonl" --control "$out/wrong-adam-eps.jsonl" --control "$out/wrong-norm-eps.jsonl" \
  --out "$out/curves.png" | tee "$out/checks.txt"
for wrong in wrong-adam-eps wrong-norm-eps; do
  if plot "$out/$wrong.jsonl" --out "$work/$wrong.png" >/dev/null; then
    echo "the comparison did not notice $wrong" >&2
    exit 1
  fi
done
