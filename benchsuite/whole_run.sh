#!/usr/bin/env bash
# One whole training run, PyTorch's and ours: same initial weights, same batches, same pairs.
#
#   PYTHON=venv/bin/python benchsuite/whole_run.sh benchsuite/runs/<date>-whole-run [fscoco folder]
#
# The Python needs scripts/parity/requirements.txt. Writes both metrics, the plot, and the checks; then
# the same checks for runs that are wrong on purpose (Adam's and LayerNorm's epsilon 1e-5), which must fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/env.sh
out=$1
data=${2:-${SBIR_DATA:-../shared/data}/fscoco-mini}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

recipe=(--encoder convnext_atto --init "$work/init.pth" --image-size 96 --batch-size 30 --epochs 16
  --stochastic-depth 0 --no-cuda --html "$work/result.html")
"$python" scripts/parity/whole_run.py --make-init "$work/init.pth"
if [[ ! -f $out/pytorch.jsonl ]]; then
  "$python" scripts/parity/whole_run.py "$data" --init "$work/init.pth" --out "$out/pytorch.jsonl" --threads 2
fi
ours() { # ours NAME [option value]: a run and its evaluation as one list of JSON lines
  local name=$1
  shift
  "$SBIR_BIN" train "$data" "${recipe[@]}" --run-dir "$work/$name" "$@" >/dev/null
  cp "$work/$name/metrics.jsonl" "$out/$name.jsonl"
}
check() { "$python" scripts/parity/plot_whole_run.py "$out/pytorch.jsonl" "$out/$1.jsonl" --out "$out/$1.png" | tee "$out/$1.txt"; }

ours sbir
check sbir
for wrong in "adam-eps" "norm-eps"; do
  ours "wrong-$wrong" "--$wrong" 1e-5
  if check "wrong-$wrong"; then echo "the comparison did not notice --$wrong 1e-5" >&2; exit 1; fi
done
