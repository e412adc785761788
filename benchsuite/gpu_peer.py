"""PyTorch's half of gpu.sh: one configuration a process, one row.

    gpu_peer.py DEVICE PRECISION MODE PAIRS SIDE SECONDS RUN

PRECISION: f32 (no TF32), tf32 (f32 with TF32 products) or bf16 (autocast); MODE: eager or compiled (torch.compile). Channels-last, fused Adam, stochastic
depth as torchvision has it; a step takes its pictures from pinned memory of the host, since ours takes them from the host.
"""

from __future__ import annotations

import sys
import time
from statistics import median

import torch
import torchvision
from torch.nn import functional as F


def main() -> None:
    name, precision, mode, *numbers = sys.argv[1:]
    pairs, side, seconds, run = int(numbers[0]), int(numbers[1]), float(numbers[2]), numbers[3]
    device = torch.device(name)
    on_gpu = device.type == "cuda"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.manual_seed(42)
    features = torchvision.models.convnext_small().features
    model = torch.nn.Sequential(features, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    model = model.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    call = torch.compile(model) if mode == "compiled" else model
    pictures = [torch.randn(pairs, 3, side, side).contiguous(memory_format=torch.channels_last) for _ in range(2)]
    if on_gpu:
        pictures = [batch.pin_memory() for batch in pictures]
    labels = torch.arange(pairs, device=device)

    def step() -> None:
        sketches, photos = (batch.to(device, non_blocking=True) for batch in pictures)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            sketches, photos = (F.normalize(call(batch).float()) for batch in (sketches, photos))
        loss = F.cross_entropy(sketches @ photos.T / 0.05, labels)
        loss.backward()
        optimizer.step()
        # The loss is read in each step, as training does.
        if not torch.isfinite(loss).item():
            raise SystemExit("the loss is not finite")

    for _ in range(3):
        step()
    times, begun = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < seconds:
        called = time.perf_counter()
        step()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - called)
    peak = torch.cuda.max_memory_allocated() >> 20 if on_gpu else ""
    row = ("train", "convnext_small", "pytorch", torch.__version__, precision, "channels_last", mode, pairs, "-", run)
    print(*row, f"{pairs / median(times):.3f}", peak, sep=",")


if __name__ == "__main__":
    main()
