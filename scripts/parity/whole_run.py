"""A whole training run in PyTorch, to lay beside `sbir train` on the same pairs, weights and batch order.

    python scripts/parity/whole_run.py --make-init init.pth
    python scripts/parity/whole_run.py ../shared/data/fscoco-mini --init init.pth --out python.jsonl
    python scripts/parity/whole_run.py --init init.pth --update-of model.pth >> runs/…/metrics.jsonl
    python scripts/parity/plot_whole_run.py python.jsonl runs/…/metrics.jsonl --out curves.png

DATA has FS-COCO's layout. The recipe is the origin's (one shared tower, InfoNCE sketch → photo with T = 0.05, Adam 1e-4 with
eps 1e-8, the last smaller batch kept), with a narrow ConvNeXt on small images so that it ends within minutes on one core;
stochastic depth is off. Writes one JSON line for the configuration, one a step, one for the length of the whole update of the
weights, and one for the evaluation. Two options make it wrong on purpose, to see that a comparison can fail:
--adam-eps 1e-5, which hardly shows in so few losses but does in how far the weights went, and --norm-eps 1e-5.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import recall
from encoder import Origin, info_nce, set_norm_eps, splitmix64

# ConvNeXt "atto" (timm's name for these numbers), 3.4 million parameters.
DIMS, DEPTHS = [40, 80, 160, 320], [2, 2, 6, 2]
# At torchvision's 1e-6 the blocks would hardly matter for these few steps.
LAYER_SCALE = 0.1

MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def epoch_order(seed: int, epoch: int, length: int) -> list[int]:
    """The order of `sbir_data::epoch_order`: Fisher–Yates over SplitMix64, started from (seed, epoch)."""
    start = (int(splitmix64(seed, 1)[0]) + epoch * 0xD1342543DE82EF95) % 2**64
    draws = iter(splitmix64(start, max(length - 1, 0)).tolist())
    order = list(range(length))
    for i in range(length - 1, 0, -1):
        j = next(draws) * (i + 1) >> 64
        order[i], order[j] = order[j], order[i]
    return order


def fscoco_pairs(root: Path, split_file: str) -> tuple[list, list]:
    """(sketch, photo) paths of the training and the validation pairs, by user and then id, both as numbers."""
    held_out = {int(line) for line in (root / split_file).read_text().split()}
    training, validation = [], []
    for user in range(1, 101):
        for photo in sorted((root / "images" / str(user)).glob("*.jpg"), key=lambda path: int(path.stem)):
            pair = (root / "raster_sketches" / str(user) / photo.name, photo)
            (validation if int(photo.stem) in held_out else training).append(pair)
    return training, validation


def load(path: Path, side: int) -> Tensor:
    """8-bit RGB [3, side, side], resized as the origin does: Pillow's bilinear filter, before becoming RGB, no EXIF rotation."""
    with Image.open(path) as picture:
        resized = picture.resize((side, side), Image.Resampling.BILINEAR).convert("RGB")
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1).contiguous()


def normalised(pixels: Tensor) -> Tensor:
    return (pixels.float() / 255 - MEAN.view(3, 1, 1)) / DEVIATION.view(3, 1, 1)


def disturb(pixels: Tensor, share: float, seed: int) -> Tensor:
    """±1 in a share of the 8-bit values between 0 and 255: how far apart two JPEG decoders may bring the curves."""
    generator = torch.Generator().manual_seed(seed)
    chosen = (torch.rand(pixels.shape, generator=generator) < share) & (pixels > 0) & (pixels < 255)
    change = torch.randint(0, 2, pixels.shape, generator=generator) * 2 - 1
    return (pixels.int() + chosen * change).to(torch.uint8)


def make_init(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model = Origin(DIMS, DEPTHS, layer_scale=LAYER_SCALE)
    torch.save(model.state_dict(), path)
    print(f"{path}: {sum(p.numel() for p in model.parameters())} parameters, dims {DIMS}, depths {DEPTHS}")


def read_init(path: Path) -> Origin:
    """The model whose widths and depths the checkpoint's keys tell."""
    state = torch.load(path, weights_only=True)
    stages = sorted({int(key.split(".")[1]) for key in state if ".block." in key})
    dims = [len(state[f"embedding_net.{stage}.0.layer_scale"]) for stage in stages]
    depths = [len({key.split(".")[2] for key in state if key.startswith(f"embedding_net.{stage}.")}) for stage in stages]
    model = Origin(dims, depths)
    model.load_state_dict(state)
    return model


def update_norm(before: dict, after: dict) -> float:
    """Length of the way that all weights together went."""
    return math.sqrt(sum(((after[key].double() - value.double()) ** 2).sum().item() for key, value in before.items()))


def evaluate(model: Origin, sketches: Tensor, photos: Tensor, batch: int) -> dict:
    model.eval()
    with torch.no_grad():
        embedded = [torch.cat([model(normalised(part)) for part in pixels.split(batch)]).numpy() for pixels in (sketches, photos)]
    model.train()
    return recall.summary(recall.ranks(*embedded, truth=list(range(len(photos)))), len(photos))


def run(arguments: argparse.Namespace) -> None:
    training, validation = fscoco_pairs(arguments.data, arguments.split)
    side = arguments.image_size
    pixels = {
        (name, kind): torch.stack([load(pair[kind], side) for pair in pairs])
        for name, pairs in (("training", training), ("validation", validation))
        for kind in (0, 1)
    }
    if arguments.pixel_noise:
        pixels = {key: disturb(value, arguments.pixel_noise, seed) for seed, (key, value) in enumerate(pixels.items())}
    model = set_norm_eps(read_init(arguments.init), arguments.norm_eps).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=arguments.lr, betas=(0.9, 0.999), eps=arguments.adam_eps)

    with arguments.out.open("w") as out:

        def write(line: dict) -> None:
            print(json.dumps(line), file=out, flush=True)

        described = {k: str(v) if isinstance(v, Path) else v for k, v in vars(arguments).items() if k != "make_init"}
        write({"config": {**described, "torch": torch.__version__, "training": len(training), "validation": len(validation)}})
        started, step = time.perf_counter(), 0
        for epoch in range(arguments.epochs):
            order = epoch_order(arguments.seed, epoch, len(training))
            for first in range(0, len(order), arguments.batch_size):
                if step == arguments.steps:
                    break
                chosen = order[first : first + arguments.batch_size]
                sketches, photos = (model(normalised(pixels["training", kind][chosen])) for kind in (0, 1))
                loss = info_nce(sketches, photos, arguments.temp)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                step += 1
                write({"step": step, "epoch": epoch, "loss": loss.item(), "seconds": round(time.perf_counter() - started, 3)})
        seconds = time.perf_counter() - started
        write({"update_norm": update_norm(torch.load(arguments.init, weights_only=True), model.state_dict())})
        result = evaluate(model, pixels["validation", 0], pixels["validation", 1], 3 * arguments.batch_size)
        write({"evaluation": result, "seconds": round(seconds, 3)})
    if arguments.save:
        torch.save(model.state_dict(), arguments.save)
    print(recall.origin_lines(result["ranks"]))
    print(f"{step} steps in {seconds:.1f} s, last loss {loss.item():.5f}; written to {arguments.out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="a folder of FS-COCO's layout")
    parser.add_argument("--make-init", type=Path, metavar="FILE", help="write initial weights and end")
    parser.add_argument("--init", type=Path, help="initial weights (.pth, the origin's names)")
    parser.add_argument("--update-of", type=Path, metavar="FILE", help="print how far this checkpoint is from --init, and end")
    parser.add_argument("--out", type=Path, default=Path("metrics.jsonl"))
    parser.add_argument("--save", type=Path, help="write the final weights here")
    parser.add_argument("--split", default="val_normal.txt")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=None, help="end after this many steps")
    parser.add_argument("--batch-size", type=int, default=30)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--temp", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--adam-eps", type=float, default=1e-8)
    parser.add_argument("--norm-eps", type=float, default=1e-6)
    parser.add_argument("--pixel-noise", type=float, default=0.0, metavar="SHARE", help="disturb this share of pixel values by 1")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.update_of and arguments.init:
        before, after = (torch.load(path, weights_only=True) for path in (arguments.init, arguments.update_of))
        print(json.dumps({"update_norm": update_norm(before, after)}))
    elif arguments.make_init:
        make_init(arguments.make_init, arguments.seed)
    elif arguments.data and arguments.init:
        run(arguments)
    else:
        parser.error("give DATA and --init, or --make-init")


if __name__ == "__main__":
    main()
