"""A full ConvNeXt-Small with layer scales near 1, against `sbir embed`. By hand; nothing that it writes is committed.

    python scripts/parity/small.py FOLDER PHOTO…            # writes small.pth, expected.npy, files.txt and resized/
    sbir embed --model FOLDER/small.pth --out FOLDER/files.npy $(cat FOLDER/files.txt)
    sbir embed --model FOLDER/small.pth --out FOLDER/resized.npy FOLDER/resized/*.png
    python scripts/parity/small.py FOLDER --check FOLDER/files.npy               # the whole path: cosine ≥ 0.9999
    python scripts/parity/small.py FOLDER --check FOLDER/resized.npy --exact     # the same tensor: 0.99999 and 1e-4

FOLDER/resized holds each photo as Pillow resized it, a PNG of 224×224: there decoding and resizing change nothing more, so
that both sides embed the same tensor. Use photos without EXIF rotation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.models.convnext import LayerNorm2d

from encoder import Origin
from whole_run import load, normalised

DIMS, DEPTHS, SIDE = [96, 192, 384, 768], [3, 3, 27, 3], 224


def make_model(seed: int) -> Origin:
    """torchvision's initialiser, then layer scales of 0.8–1.2, random biases, and LayerNorm weights of 0.8–1.2."""
    torch.manual_seed(seed)
    model = Origin(DIMS, DEPTHS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("layer_scale"):
                parameter.uniform_(0.8, 1.2)
        for module in model.modules():
            if isinstance(module, (nn.LayerNorm, LayerNorm2d)):
                module.weight.uniform_(0.8, 1.2)
                module.bias.uniform_(-0.1, 0.1)
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                module.bias.uniform_(-0.1, 0.1)
    return model.eval()


def make(folder: Path, files: list[Path], seed: int) -> None:
    (folder / "resized").mkdir(parents=True, exist_ok=True)
    model = make_model(seed)
    torch.save(model.state_dict(), folder / "small.pth")
    expected = []
    with torch.no_grad():
        for place, file in enumerate(files):
            pixels = load(file, SIDE)
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / "resized" / f"{place:04}.png")
            expected.append(model(normalised(pixels)[None])[0].numpy())
    np.save(folder / "expected.npy", np.stack(expected))
    (folder / "files.txt").write_text("".join(f"{file.resolve()}\n" for file in files))
    spread = np.stack(expected) @ np.stack(expected).T
    print(f"{len(files)} embeddings in {folder / 'expected.npy'}; cosines among them {spread.min():.4f} to 1")


def check(folder: Path, found: Path, exact: bool) -> bool:
    expected, found = np.load(folder / "expected.npy").astype(np.float64), np.load(found).astype(np.float64)
    if expected.shape != found.shape:
        print(f"FAIL expected shape {expected.shape}, found {found.shape}")
        return False
    cosine = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    largest = np.abs(expected - found).max()
    held = cosine.min() >= (0.99999 if exact else 0.9999) and (not exact or largest <= 1e-4)
    print(f"{'ok  ' if held else 'FAIL'} smallest cosine {cosine.min():.8f}, largest difference {largest:.2e}")
    return bool(held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", type=Path, nargs="*", help="photos to embed")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", type=Path, metavar="X.npy", help="compare with what `sbir embed` wrote")
    parser.add_argument("--exact", action="store_true", help="check against the bars of the same tensor")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.check:
        sys.exit(0 if check(arguments.folder, arguments.check, arguments.exact) else 1)
    if not arguments.files:
        parser.error("give photos to embed, or --check")
    make(arguments.folder, arguments.files, arguments.seed)


if __name__ == "__main__":
    main()
