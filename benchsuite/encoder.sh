#!/usr/bin/env bash
# Times the encoders beside PyTorch, ONNX Runtime and OpenVINO: same weights, same inputs, in alternation.
#
#   PYTHON=venv/bin/python benchsuite/encoder.sh benchsuite/runs/<date>-encoder [REGEX]
#
# The Python needs benchsuite/requirements.txt. Leaves in the folder: raw.csv (a row a process), peak.csv (the
# machine's limit, before each round) and table.md (medians, and shares of the limit). REGEX keeps
# the configurations that match it; `encoder_peer.py plan` lists them. Rounds go through all tools, ROUNDS (3)
# times; a measurement takes SECONDS_EACH (4) s after its warm-up. What stands in raw.csv is not measured again, so a run
# that was stopped goes on where it was; BUDGET=SECONDS stops it in good order.
# The column `others` is the processor time that other programs took meanwhile, as a share of one core: above OTHERS (0.05)
# a measurement is thrown away and repeated.
# WORK keeps weights, inputs, exported graphs and torch.compile's output (1.5 GB).
#
# Ours: the example encoder_speed of sbir-train, or another program $SBIR_SPEED (`none` for none), in the precisions
# $OURS (f32 bf16), called as
#
#   $SBIR_SPEED embed|train --network convnext_small|lite0 --weights FILE.safetensors --inputs FILE.f32 \
#       --precision f32|bf16 --batch N --threads T --seconds S --run R [--out FILE.f32]
#
# `embed` takes the first N pictures, `train` the first N as sketches and the next N as photos. It warms up, repeats for S
# seconds and prints one row like those of encoder_peer.py (tool sbir). `--out` takes the embeddings [N, width], 32-bit
# floats, little-endian; they are compared with the peers', and the run fails where they disagree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. benchsuite/alone.sh
out=$1
only=${2:-.}
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-4}
budget=${BUDGET:-0}
work=${WORK:-$HOME/.cache/sbir/encoder-peers}
ours=${OURS:-f32 bf16}
mkdir -p "$out" "$work"
raw=$out/raw.csv
[[ -e $raw ]] || echo "task,network,tool,version,precision,layout,mode,batch,threads,run,per_second,peak_mib,others" >"$raw"

cargo build --quiet --release --workspace --example peak
examples=${CARGO_TARGET_DIR:-target}/release/examples
peak=$examples/peak
speed=${SBIR_SPEED:-$examples/encoder_speed}
[[ $speed != "$examples"/* ]] || cargo build --quiet --release --workspace --example encoder_speed
"$python" -W ignore benchsuite/encoder_models.py "$work" models/bundled.safetensors

begun=$SECONDS
late() { ((budget > 0 && SECONDS - begun > budget)); }
# done_already task network tool precision layout mode batch threads run
done_already() { grep -q "^$1,$2,$3,[^,]*,$4,$5,$6,$7,$8,$9," "$raw"; }

measure_peer() { # measure_peer CONFIGURATION ROUND
  alone "$work" "$python" -W ignore benchsuite/encoder_peer.py run "$work" "$1" "$2" "$seconds"
  echo "$(tail -n 1 "$work/output"),$others" >>"$raw"
}
measure_ours() { # measure_ours TASK NETWORK PRECISION BATCH THREADS ROUND
  local weights=$work/convnext_small.safetensors check=()
  [[ $2 == lite0 ]] && weights=models/bundled.safetensors
  [[ $1 == embed ]] && check=(--out "$work/ours.f32")
  alone "$work" $speed "$1" --network "$2" --weights "$weights" --inputs "$work/$2.f32" --precision "$3" --batch "$4" --threads "$5" \
    --seconds "$seconds" --run "$6" "${check[@]}"
  [[ $1 != embed ]] || "$python" benchsuite/encoder_peer.py check "$work/ours.f32" "$work" "$2" "$3"
  echo "$(tail -n 1 "$work/output"),$others" >>"$raw"
}

for ((round = 1; round <= rounds; round++)); do
  measured=0
  while read -r configuration; do
    IFS=: read -r task network tool precision layout mode batch threads <<<"$configuration"
    [[ $configuration =~ $only ]] || continue
    if late; then
      echo "stopped after $budget s, in round $round" >&2
      exit 75
    fi
    if ((!measured)) && ! grep -q "^$round," "$out/peak.csv" 2>/dev/null; then
      [[ -e $out/peak.csv ]] || echo "run,precision,instruction,threads,window,gflops" >"$out/peak.csv"
      "$peak" 0.3 5 | sed 1d | sed "s/^/$round,/" >>"$out/peak.csv"
    fi
    measured=1
    if [[ $tool == sbir ]]; then
      [[ $speed != none && " $ours " == *" $precision "* ]] || continue
      done_already "$task" "$network" sbir "$precision" "$layout" "$mode" "$batch" "$threads" "$round" ||
        measure_ours "$task" "$network" "$precision" "$batch" "$threads" "$round"
    elif ! done_already "$task" "$network" "$tool" "$precision" "$layout" "$mode" "$batch" "$threads" "$round"; then
      measure_peer "$configuration" "$round"
    fi
  done < <("$python" benchsuite/encoder_peer.py plan)
done
"$python" benchsuite/encoder_peer.py report "$out" "$work" | tee "$out/table.md"
