#!/usr/bin/env bash
# Times a training step of ConvNeXt-Small on a GPU beside PyTorch, in alternation, and the operations that there are kernels of our own for beside
# Burn's.
#
#   PYTHON=venv/bin/python benchsuite/gpu.sh benchsuite/runs/<date>-gpu
#
# The Python needs torch with CUDA and torchvision (benchsuite/requirements.txt). Leaves in the folder: raw.csv (a row a process), operations.csv and
# machine.txt. ROUNDS (3) times through all tools, SECONDS_EACH (20) s a measurement; PAIRS (60) of SIDE (224) pixels; DEVICE (vulkan:0), and
# PEER_DEVICE (cuda) for PyTorch.
#
# Ours computes in f32, by kernels of our own and by Burn's operations alone; PyTorch in f32, in f32 with TF32 products, and in bf16 by autocast,
# channels-last, with and without torch.compile. A form that fails (its memory, say) has the row `failed`, with the reason in log/.
#
# For a machine that cannot build, SBIR_GPU_SPEED names the example gpu_speed of sbir-train, built elsewhere for the same system. Without a GPU the
# script can be tried with ENCODER=convnext_atto PAIRS=1 SIDE=32 PEER_DEVICE=cpu, and SwiftShader as the driver (VK_DRIVER_FILES).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-20}
pairs=${PAIRS:-60}
side=${SIDE:-224}
device=${DEVICE:-vulkan:0}
peer_device=${PEER_DEVICE:-cuda}
mkdir -p "$out/log"
speed=${SBIR_GPU_SPEED:-}
if [[ -z $speed ]]; then
  cargo build --quiet --release --locked --workspace --example gpu_speed
  speed=${CARGO_TARGET_DIR:-target}/release/examples/gpu_speed
fi

{
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
  "$python" -c 'import torch, torchvision; print("torch", torch.__version__, "torchvision", torchvision.__version__)'
  uname -sr
} >"$out/machine.txt"

# attempt NAME ROUND COMMAND…: the last line that COMMAND prints, or that it failed.
attempt() {
  local name=$1 round=$2
  shift 2
  if "$@" >"$out/log/$name-$round" 2>&1; then
    tail -n 1 "$out/log/$name-$round" >>"$out/raw.csv"
  else
    echo "failed,$name,,,,,,,,$round,," >>"$out/raw.csv"
    echo "$name failed: $out/log/$name-$round" >&2
  fi
}

echo "task,network,tool,version,precision,layout,mode,batch,threads,run,per_second,peak_mib" >"$out/raw.csv"
for ((round = 1; round <= rounds; round++)); do
  for kernels in own burn; do
    attempt "sbir-$kernels" "$round" "$speed" step --device "$device" --batch "$pairs" --side "$side" --kernels "$kernels" \
      --encoder "${ENCODER:-convnext_small}" \
      --seconds "$seconds" --run "$round"
  done
  for precision in f32 tf32 bf16; do
    for mode in eager compiled; do
      attempt "pytorch-$precision-$mode" "$round" "$python" -W ignore benchsuite/gpu_peer.py "$peer_device" "$precision" "$mode" \
        "$pairs" "$side" "$seconds" "$round"
    done
  done
done
"$speed" operations --device "$device" --batch $((2 * pairs)) --side "$side" --seconds 1 >"$out/operations.csv"
column -s, -t "$out/raw.csv"
