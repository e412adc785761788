"""Reference values of a narrow ConvNeXt: embeddings, loss, gradients and ten Adam steps, as PyTorch computes them.

    python scripts/parity/encoder.py

writes (from the repository's root; another root with --root)

    crates/sbir-encoder/tests/golden/parity/narrow.pth               weights, under the origin's names (`embedding_net.…`)
    crates/sbir-encoder/tests/golden/parity/open_clip_head.safetensors  the extra weights of an open_clip tower
    crates/sbir-encoder/tests/golden/parity/embeddings.safetensors
    crates/sbir-encoder/tests/golden/parity/gradients.safetensors
    crates/sbir-encoder/tests/golden/parity/expected.json
    crates/sbir-train/tests/golden/ten_steps.safetensors             the weights after ten steps
    crates/sbir-train/tests/golden/ten_steps.json
    crates/sbir-train/tests/golden/adam.json

and prints how far each deliberately wrong constant is from the reference, beside how far PyTorch is from itself in double
precision. README.md describes the files and the input generator.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.convnext import CNBlockConfig, ConvNeXt

TEMPERATURE = 0.05
NORM_EPS = 1e-6
DIMS = [8, 16, 24, 32]
DEPTHS = [1, 1, 2, 1]
PROJECTION = 16
WEIGHT_SEED = 1

# Ten steps: lr and batch as in the bar, everything else as the origin trains.
STEPS, BATCH, STEP_SIDE, FIRST_STEP_PAIR = 10, 8, 64, 100
LEARNING_RATE, ADAM_EPS = 1e-4, 1e-8

MAIN_PAIRS, MAIN_SIDE = 6, 128
# Photos only: (first pair, count, height, width). Odd sizes leave a rest at the stem and at the down-sampling layers.
SIZES = [(200, 2, 64, 48), (210, 2, 33, 47), (220, 1, 224, 224)]


# ---- inputs -------------------------------------------------------------------------------------------------------


def splitmix64(seed: int, count: int) -> np.ndarray:
    """The first `count` outputs of SplitMix64 (Steele, Lea, Flood 2014) whose state starts at `seed`, as uint64."""
    state = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def signed20(seed: int, count: int) -> np.ndarray:
    """`count` integers in [-2^19, 2^19): the upper 20 bits of each output, less 2^19."""
    return (splitmix64(seed, count) >> np.uint64(44)).astype(np.int64) - (1 << 19)


SKETCH, PHOTO = 0, 1


def image(pair: int, kind: int, height: int, width: int) -> Tensor:
    """A made-up image [3, height, width] in [-2, 2), exact in f32. README.md states the rule for other languages.

    Sketch and photo of a pair share a coarse 8×8 pattern (so that there is something to learn), and each has noise of its
    own. The sketch's pattern is the same in all three channels, the photo's is not.
    """
    coarse = signed20(1000 + pair, 3 * 8 * 8).reshape(3, 8, 8)
    if kind == SKETCH:
        coarse = coarse[[0, 0, 0]]
    fine = signed20(2_000_000 + 2 * pair + kind, 3 * height * width).reshape(3, height, width)
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    pixels = 3 * coarse[:, rows][:, :, columns] + fine
    return torch.from_numpy((pixels / (1 << 20)).astype(np.float32))


def images(first_pair: int, count: int, kind: int, height: int, width: int) -> Tensor:
    return torch.stack([image(pair, kind, height, width) for pair in range(first_pair, first_pair + count)])


# ---- model --------------------------------------------------------------------------------------------------------


class Origin(nn.Module):
    """The origin's model: a ConvNeXt's features, averaged over the plane and normalised to unit length."""

    def __init__(self, dims: list[int], depths: list[int], layer_scale: float = 1e-6):
        super().__init__()
        stages = [CNBlockConfig(d, o, n) for d, o, n in zip(dims, [*dims[1:], None], depths)]
        self.embedding_net = ConvNeXt(stages, stochastic_depth_prob=0.0, layer_scale=layer_scale).features

    def pooled(self, batch: Tensor) -> Tensor:
        return self.embedding_net(batch).mean(dim=(2, 3))

    def forward(self, batch: Tensor) -> Tensor:
        return F.normalize(self.pooled(batch), dim=1)


def info_nce(sketches: Tensor, photos: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """InfoNCE, sketch → photo only, mean over the batch."""
    return F.cross_entropy(sketches @ photos.T / temperature, torch.arange(len(sketches)))


def norm_place(name: str) -> str:
    """Which of the three kinds of LayerNorm a module of `embedding_net` is."""
    return "stem" if name == "0.1" else "block" if ".block." in name else "downsample"


def set_norm_eps(model: Origin, eps: float, place: str | None = None) -> Origin:
    """Sets the eps of every LayerNorm, or only of those of one kind (`stem`, `block`, `downsample`)."""
    for name, module in model.embedding_net.named_modules():
        if isinstance(module, nn.LayerNorm) and place in (None, norm_place(name)):
            module.eps = eps
    return model


def set_tanh_gelu(model: Origin) -> Origin:
    for module in model.modules():
        if isinstance(module, nn.GELU):
            module.approximate = "tanh"
    return model


def narrow_model() -> Origin:
    """Weights at which every part of the network matters.

    Layer scales lie in 0.8–1.2 (at torchvision's 1e-6 a wrong block would pass) and every bias is random. The stream is
    kept near 0.01 and the depthwise outputs small, so that the variance that each LayerNorm divides by is not far above
    its eps of 1e-6: with 1e-5 at any one kind of LayerNorm the embeddings leave the bar.
    """
    model = Origin(DIMS, DEPTHS)
    generator = torch.Generator().manual_seed(WEIGHT_SEED)
    stream = 0.01

    def uniform(tensor: Tensor, low: float, high: float) -> None:
        tensor.data.copy_(torch.empty(tensor.shape).uniform_(low, high, generator=generator))

    def normal(tensor: Tensor, deviation: float) -> None:
        tensor.data.copy_(torch.empty(tensor.shape).normal_(0.0, deviation, generator=generator))

    for name, module in model.embedding_net.named_modules():
        if isinstance(module, nn.LayerNorm):
            size = stream if norm_place(name) == "stem" else 1.0
            uniform(module.weight, 0.8 * size, 1.2 * size)
            uniform(module.bias, -0.2 * size, 0.2 * size)
        elif isinstance(module, nn.Conv2d) and module.groups > 1:
            normal(module.weight, 0.3)
            uniform(module.bias, -0.02, 0.02)
        elif isinstance(module, nn.Conv2d):
            deviation = 0.005 if name == "0.0" else stream / math.sqrt(module.weight[0].numel())
            normal(module.weight, deviation)
            uniform(module.bias, -deviation, deviation)
        elif isinstance(module, nn.Linear):
            gain = 1.5 if module.out_features > module.in_features else 2 * stream
            deviation = gain / math.sqrt(module.in_features)
            normal(module.weight, deviation)
            uniform(module.bias, -deviation, deviation)
    for name, parameter in model.named_parameters():
        if name.endswith("layer_scale"):
            uniform(parameter, 0.8, 1.2)
    return model


def open_clip_head(seed: int = WEIGHT_SEED + 1) -> dict[str, Tensor]:
    """The weights that an open_clip ConvNeXt tower has beyond the trunk: a LayerNorm after pooling, a bias-free projection."""
    generator = torch.Generator().manual_seed(seed)
    dim = DIMS[-1]
    return {
        "visual.trunk.head.norm.weight": torch.empty(dim).uniform_(0.8, 1.2, generator=generator),
        "visual.trunk.head.norm.bias": torch.empty(dim).uniform_(-0.2, 0.2, generator=generator),
        "visual.head.proj.weight": torch.empty(PROJECTION, dim).normal_(0.0, dim**-0.5, generator=generator),
    }


def open_clip_embed(model: Origin, head: dict[str, Tensor], batch: Tensor, eps: float = NORM_EPS) -> Tensor:
    """open_clip's convnext towers on the same features: timm's head normalises after pooling, then a Linear without bias."""
    weight, bias, projection = head.values()
    pooled = F.layer_norm(model.pooled(batch), weight.shape, weight, bias, eps)
    return F.normalize(F.linear(pooled, projection), dim=1)


# ---- comparison ---------------------------------------------------------------------------------------------------


def embedding_difference(found: Tensor, expected: Tensor) -> dict[str, float]:
    cosine = F.cosine_similarity(found.double(), expected.double()).min().item()
    return {"one_minus_cosine": max(0.0, 1.0 - cosine), "largest": (found.double() - expected.double()).abs().max().item()}


def largest_relative(found: list[float], expected: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(found, expected))


def per_parameter(found: dict[str, Tensor], expected: dict[str, Tensor]) -> tuple[float, float]:
    """‖found − expected‖ / ‖expected‖: the largest of all parameters, and over all of them together."""
    gaps = {k: (found[k].double() - expected[k].double()).norm().item() for k in expected}
    sizes = {k: expected[k].double().norm().item() for k in expected}
    total = math.hypot(*gaps.values()) / math.hypot(*sizes.values())
    return max(gaps[k] / sizes[k] for k in expected), total


def gradients(model: Origin, sketches: Tensor, photos: Tensor) -> dict[str, Tensor]:
    """Loss, embeddings and every gradient. Gradients at the embeddings are named `sketches` and `photos`."""
    model.zero_grad()
    a, b = model(sketches), model(photos)
    a.retain_grad(), b.retain_grad()
    loss = info_nce(a, b)
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    return {"loss": loss.detach(), "sketches": a.grad.clone(), "photos": b.grad.clone(), **found}


def ten_steps(model: Origin, adam_eps: float = ADAM_EPS, dtype: torch.dtype = torch.float32) -> tuple[list[float], dict]:
    """Losses before each of ten Adam steps, and how each parameter moved."""
    model = copy.deepcopy(model).to(dtype)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=adam_eps)
    losses = []
    for step in range(STEPS):
        first = FIRST_STEP_PAIR + step * BATCH
        sketches, photos = (images(first, BATCH, kind, STEP_SIDE, STEP_SIDE).to(dtype) for kind in (SKETCH, PHOTO))
        loss = info_nce(model(sketches), model(photos))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    end = {name: p.detach().clone() for name, p in model.named_parameters()}
    return losses, {"end": end, "update": {name: end[name].double() - start[name].double() for name in end}}


# ---- files --------------------------------------------------------------------------------------------------------


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def made_by() -> dict:
    return {"made_by": "scripts/parity/encoder.py", "torch": torch.__version__, "torchvision": torchvision.__version__}


def config() -> dict:
    return {"dims": DIMS, "depths": DEPTHS, "norm_eps": NORM_EPS, "temperature": TEMPERATURE}


def write_encoder(folder: Path, model: Origin) -> None:
    head = open_clip_head()
    sketches, photos = (images(0, MAIN_PAIRS, kind, MAIN_SIDE, MAIN_SIDE) for kind in (SKETCH, PHOTO))
    wrong = {"norm_eps_1e-5": set_norm_eps(copy.deepcopy(model), 1e-5), "gelu_tanh": set_tanh_gelu(copy.deepcopy(model))}
    for place in ("stem", "block", "downsample"):
        wrong[f"norm_eps_1e-5_{place}"] = set_norm_eps(copy.deepcopy(model), 1e-5, place)
    double = copy.deepcopy(model).double()

    with torch.no_grad():
        embeddings = {"sketches": model(sketches), "photos": model(photos)}
        for first, count, height, width in SIZES:
            embeddings[f"{height}x{width}"] = model(images(first, count, PHOTO, height, width))
        for kind, batch in (("sketches", sketches), ("photos", photos)):
            embeddings[f"open_clip.{kind}"] = open_clip_embed(model, head, batch)
            embeddings[f"norm_eps_1e-5.{kind}"] = wrong["norm_eps_1e-5"](batch)
            embeddings[f"gelu_tanh.{kind}"] = wrong["gelu_tanh"](batch)
    expected = gradients(model, sketches, photos)
    loss = expected.pop("loss").item()

    def differences(other: Origin, dtype: torch.dtype) -> dict:
        with torch.no_grad():
            found = torch.cat([other(sketches.to(dtype)), other(photos.to(dtype))])
        found_gradients = gradients(other, sketches.to(dtype), photos.to(dtype))
        found_loss = found_gradients.pop("loss").item()
        return {
            "embeddings": embedding_difference(found, torch.cat([embeddings["sketches"], embeddings["photos"]])),
            "loss": found_loss,
            "loss_relative": abs(found_loss - loss) / loss,
            "largest_gradient_difference": per_parameter(found_gradients, expected)[0],
        }

    summary = {
        **made_by(),
        "config": config(),
        "inputs": {
            "first_pair": 0,
            "pairs": MAIN_PAIRS,
            "height": MAIN_SIDE,
            "width": MAIN_SIDE,
            "samples": {
                "sketch_0_64x64": image(0, SKETCH, 64, 64)[0, 0, :4].tolist(),
                "photo_0_64x64": image(0, PHOTO, 64, 64)[2, 63, -4:].tolist(),
                "photo_200_64x48_sum": image(200, PHOTO, 64, 48).double().sum().item(),
            },
        },
        "sizes": [
            {"key": f"{h}x{w}", "first_pair": first, "count": count, "height": h, "width": w} for first, count, h, w in SIZES
        ],
        "open_clip": {"norm_eps": NORM_EPS, "projection": PROJECTION},
        "loss": loss,
        "smallest_gradient_norm": min(g.norm().item() for g in expected.values()),
        "bars": {"one_minus_cosine": 1e-5, "largest": 1e-4, "loss_relative": 1e-3, "gradient_difference": 1e-3},
        "double_precision": differences(double, torch.float64),
        "wrong": {name: differences(other, torch.float32) for name, other in wrong.items()},
    }
    with torch.no_grad():
        summary["wrong"]["open_clip_norm_eps_1e-5"] = {
            "embeddings": embedding_difference(open_clip_embed(model, head, sketches, 1e-5), embeddings["open_clip.sketches"])
        }
        summary["wrong"]["open_clip_without_norm"] = {
            "embeddings": embedding_difference(
                F.normalize(F.linear(model.pooled(sketches), head["visual.head.proj.weight"]), dim=1),
                embeddings["open_clip.sketches"],
            )
        }

    torch.save(model.state_dict(), folder / "narrow.pth")
    save_file(head, folder / "open_clip_head.safetensors")
    save_file(embeddings, folder / "embeddings.safetensors")
    save_file(expected, folder / "gradients.safetensors")
    write_json(folder / "expected.json", summary)
    print(json.dumps({k: summary[k] for k in ("loss", "smallest_gradient_norm", "double_precision", "wrong")}, indent=1))


def write_training(folder: Path, model: Origin) -> None:
    losses, moved = ten_steps(model)
    runs = {
        "adam_eps_1e-5": ten_steps(model, adam_eps=1e-5),
        "norm_eps_1e-5": ten_steps(set_norm_eps(copy.deepcopy(model), 1e-5)),
        "double_precision": ten_steps(model, dtype=torch.float64),
    }
    with torch.backends.mkldnn.flags(enabled=False):
        runs["other_kernels"] = ten_steps(model)

    def difference(run: tuple) -> dict:
        largest, total = per_parameter(run[1]["update"], moved["update"])
        return {
            "losses": run[0],
            "loss_relative": largest_relative(run[0], losses),
            "update_difference": total,
            "largest_update_difference": largest,
        }

    described = {name: difference(run) for name, run in runs.items()}
    summary = {
        **made_by(),
        "config": config(),
        "lr": LEARNING_RATE,
        "betas": [0.9, 0.999],
        "adam_eps": ADAM_EPS,
        "inputs": {"first_pair": FIRST_STEP_PAIR, "batch": BATCH, "height": STEP_SIDE, "width": STEP_SIDE},
        "losses": losses,
        "update_norm": math.hypot(*(u.norm().item() for u in moved["update"].values())),
        "bars": {"loss_relative": 1e-3, "update_difference": 1e-3},
        "noise": {name: described[name] for name in ("double_precision", "other_kernels")},
        "wrong": {name: described[name] for name in ("adam_eps_1e-5", "norm_eps_1e-5")},
    }
    save_file(moved["end"], folder / "ten_steps.safetensors")
    write_json(folder / "ten_steps.json", summary)
    print(json.dumps({k: summary[k] for k in ("losses", "noise", "wrong")}, indent=1))


def write_adam(folder: Path) -> None:
    """Adam alone, on given gradients from 1 down to 1e-8: where eps shows, without a network around it."""
    sizes = [1.0, 1e-2, 1e-4, 1e-5, 1e-6, 1e-8]
    table = [[size * (1 - 2 * ((step + column) % 3 == 0)) * (1 + step / 4) for column, size in enumerate(sizes)] for step in range(8)]

    def run(eps: float) -> list[list[float]]:
        parameter = nn.Parameter(torch.zeros(len(sizes)))
        optimiser = torch.optim.Adam([parameter], lr=1e-3, betas=(0.9, 0.999), eps=eps)
        values = []
        for row in table:
            parameter.grad = torch.tensor(row)
            optimiser.step()
            values.append(parameter.tolist())
        return values

    right, wrong = run(1e-8), run(1e-5)
    summary = {
        **made_by(),
        "lr": 1e-3,
        "betas": [0.9, 0.999],
        "adam_eps": 1e-8,
        "start": [0.0] * len(sizes),
        "gradients": table,
        "values": right,
        "bars": {"value_relative_to_lr": 1e-3},
        "wrong": {"adam_eps_1e-5": wrong},
    }
    write_json(folder / "adam.json", summary)
    print("Adam alone, after the last step:", right[-1], "with eps 1e-5:", wrong[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2], help="the repository")
    root = parser.parse_args().root
    # One thread: sums in one order, so that a second run writes the same bytes.
    torch.set_num_threads(1)
    folders = root / "crates/sbir-encoder/tests/golden/parity", root / "crates/sbir-train/tests/golden"
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    model = narrow_model()
    write_encoder(folders[0], model)
    write_training(folders[1], model)
    write_adam(folders[1])


if __name__ == "__main__":
    main()
