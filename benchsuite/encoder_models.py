"""The networks, weights and inputs that encoder.sh measures with.

    encoder_models.py WORK BUNDLED.safetensors

writes into WORK, unless it is there already:

    convnext_small.pth, .safetensors   seeded random weights under the origin's names (`embedding_net.…`)
    convnext_small-N.onnx, lite0-N.onnx   the networks for batches of N, as exported
    convnext_small-N-simplified.onnx, …   and simplified by onnxsim
    convnext_small.f32, lite0.f32      64 inputs [64, 3, side, side], 32-bit floats, little-endian, no header
    convnext_small.npy, lite0.npy      what PyTorch makes of them, to compare with
    arithmetic.json                    operations an image, a multiply-add counted as two

Layer scales are drawn from 0.1 to 1 (torchvision's start, 1e-6, would leave the blocks out of the result), and linear weights
so that each block changes its input.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

SIDES = {"convnext_small": 224, "lite0": 176}
IMAGES = 64
# 8 and 32 are halves, for two streams.
BATCHES = {"convnext_small": (1, 8, 16, 32, 64), "lite0": (1, 16)}


class ConvNextSmall(nn.Module):
    """The origin's model: torchvision's features, averaged over the plane, of unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding_net = torchvision.models.convnext_small(weights=None).features

    def forward(self, batch: Tensor) -> Tensor:
        return F.normalize(self.embedding_net(batch).mean(dim=(2, 3)).float(), dim=1)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: the odd line stands after the picture. `side` is fixed, as exports want it."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, groups: int, side: int) -> None:
        whole = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        even = whole % 2 == 0
        super().__init__(channels_in, channels_out, kernel, stride, whole // 2 if even else 0, groups=groups)
        self.around = None if even else (whole // 2, whole - whole // 2) * 2
        self.side = math.ceil(side / stride)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.around is None else F.pad(x, self.around))


class LiteBlock(nn.Module):
    """An inverted bottleneck: expand, depthwise, project."""

    def __init__(self, side: int, kernel: int, stride: int, expansion: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.expand = nn.Conv2d(channels_in, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, inner, side)
        self.project = nn.Conv2d(inner, channels_out, 1)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class Lite0(nn.Module):
    """EfficientNet-Lite0 with BatchNorm folded in, and the embedding head of models/bundled.safetensors."""

    STAGES = [
        # repeats, kernel, stride, expansion, in, out
        (1, 3, 1, 1, 32, 16),
        (2, 3, 2, 6, 16, 24),
        (2, 5, 2, 6, 24, 40),
        (3, 3, 2, 6, 40, 80),
        (3, 5, 1, 6, 80, 112),
        (4, 5, 2, 6, 112, 192),
        (1, 3, 1, 6, 192, 320),
    ]

    def __init__(self, weights: dict[str, Tensor], side: int) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2, 1, side)
        side = self.stem.side
        blocks = []
        for repeats, kernel, stride, expansion, channels_in, channels_out in self.STAGES:
            for repeat in range(repeats):
                step, inputs = (stride, channels_in) if repeat == 0 else (1, channels_out)
                blocks.append(LiteBlock(side, kernel, step, expansion, inputs, channels_out))
                side = blocks[-1].depthwise.side
        self.blocks = nn.Sequential(*blocks)
        self.features = nn.Conv2d(320, 1280, 1)
        projection = weights["head.projection.weight"].float()
        self.projection = nn.Linear(1280, len(projection), bias=False)
        self.projection.weight.data.copy_(projection)
        used = 1
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                weight, scale, shift = (weights[f"{name}.{part}"].float() for part in ("weight", "scale", "shift"))
                module.weight.data.copy_(weight * scale[:, None, None, None])
                module.bias.data.copy_(shift)
                used += 3
        if used != len(weights):
            raise SystemExit(f"the bundled encoder has {len(weights)} tensors, {used} were used")

    def forward(self, batch: Tensor) -> Tensor:
        x = F.relu6(self.features(self.blocks(F.relu6(self.stem(batch)))))
        return F.normalize(self.projection(x.mean(dim=(2, 3))).float(), dim=1)


def random_convnext(seed: int = 20261128) -> ConvNextSmall:
    torch.manual_seed(seed)
    model = ConvNextSmall()
    generator = torch.Generator().manual_seed(seed + 1)
    for name, parameter in model.named_parameters():
        if name.endswith("layer_scale"):
            parameter.data.uniform_(0.1, 1.0, generator=generator)
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0.0, fan_in**-0.5, generator=generator)
            module.bias.data.uniform_(-0.1, 0.1, generator=generator)
    return model


def images(count: int, side: int, seed: int) -> Tensor:
    """Coarse coloured patterns, each of its own, with noise: about −1 to 1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 7, 7, generator=generator) * 2 - 1
    fine = torch.rand(count, 3, side, side, generator=generator) - 0.5
    return (F.interpolate(coarse, side, mode="bilinear") + 0.5 * fine).contiguous()


def load(network: str, work: Path) -> nn.Module:
    if network == "lite0":
        return Lite0(load_file(work / "bundled.safetensors"), SIDES[network])
    model = ConvNextSmall()
    model.load_state_dict(torch.load(work / "convnext_small.pth", weights_only=True))
    return model


def inputs(network: str, work: Path) -> np.ndarray:
    side = SIDES[network]
    return np.fromfile(work / f"{network}.f32", "<f4").reshape(IMAGES, 3, side, side)


def operations(model: nn.Module, side: int) -> int:
    """Of convolutions and linear layers, for one image."""
    total = 0

    def count(module: nn.Module, _: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        places = output.numel() // module.weight.shape[0]
        total += 2 * module.weight.numel() * places

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        model(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return total


def export(model: nn.Module, side: int, batch: int, path: Path) -> None:
    import onnx
    import onnxsim

    example = torch.zeros(batch, 3, side, side)
    names = {"input_names": ["images"], "output_names": ["embeddings"]}
    torch.onnx.export(model, (example,), str(path), opset_version=20, dynamo=False, **names)
    simplified, sound = onnxsim.simplify(onnx.load(path))
    if not sound:
        raise SystemExit(f"{path}: the simplified graph computes something else")
    onnx.save(simplified, path.with_name(f"{path.stem}-simplified.onnx"))


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    if (work / "arithmetic.json").exists():
        return
    (work / "bundled.safetensors").write_bytes(Path(sys.argv[2]).read_bytes())
    state = random_convnext().state_dict()
    torch.save(state, work / "convnext_small.pth")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, work / "convnext_small.safetensors")
    arithmetic = {}
    for network, side in SIDES.items():
        model = load(network, work).eval()
        batch = images(IMAGES, side, seed=side)
        batch.numpy().astype("<f4").tofile(work / f"{network}.f32")
        arithmetic[network] = operations(model, side)
        for size in BATCHES[network]:
            export(model, side, size, work / f"{network}-{size}.onnx")
        with torch.inference_mode():
            found = torch.cat([model(part) for part in batch.split(8)])
        np.save(work / f"{network}.npy", found.numpy())
        cosines = found @ found.T - 2 * torch.eye(IMAGES)
        print(f"{network}: {arithmetic[network] / 1e9:.2f} G operations; two inputs' highest cosine {cosines.max():.4f}")
        if cosines.max() > 0.99:
            raise SystemExit("the embeddings are too much alike for a comparison to notice a wrong one")
    (work / "arithmetic.json").write_text(json.dumps(arithmetic))


if __name__ == "__main__":
    main()
