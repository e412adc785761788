"""Checkpoints and PyTorch: fixtures that PyTorch wrote, key lists of real models, and a check that PyTorch reads ours.

Run by hand from the repository's root, with torch 2.11.0, torchvision 0.26.0 and numpy (timm 1.0.31 and
open_clip_torch 3.3.0 besides for `names`):

    python scripts/parity/checkpoints.py fixtures   # writes crates/sbir-encoder/tests/golden/weights/*.pth
    python scripts/parity/checkpoints.py names      # writes crates/sbir-encoder/tests/golden/weights/names/*.txt
    SBIR_PARITY_OUT=/tmp/parity cargo test --release -p sbir-encoder --test main weights::writing
    python scripts/parity/checkpoints.py check /tmp/parity

`check` loads with weights_only=True what the Rust writers wrote, compares it value by value, and loads it into a
torchvision ConvNeXt and into a model shaped as the origin's.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

GOLDEN = Path("crates/sbir-encoder/tests/golden/weights")
DEPTHS = [1, 1, 2, 1]
DIMS = [2, 3, 4, 5]


def torchvision_model() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    stages = [CNBlockConfig(d, n, b) for d, n, b in zip(DIMS, [*DIMS[1:], None], DEPTHS)]
    return ConvNeXt(stages, num_classes=3)


def known_value(name: str, index: int) -> float:
    """A value that every f32, f16 and bf16 holds exactly; the Rust tests have the same formula."""
    return ((sum(name.encode()) + index) % 17 - 8) / 8


def known(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    count = torch.Size(shape).numel()
    return torch.tensor([known_value(name, i) for i in range(count)], dtype=dtype).reshape(shape)


def fixtures() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)

    def save(name: str, value: object, **options: object) -> None:
        # Through a buffer: to a path, PyTorch would name the entries after the file.
        buffer = io.BytesIO()
        torch.save(value, buffer, **options)
        (GOLDEN / name).write_bytes(buffer.getvalue())

    plain = OrderedDict(
        [
            ("a.weight", known("a.weight", 2, 3)),
            ("a.bias", known("a.bias", 2)),
            ("steps", torch.tensor(7)),
        ]
    )
    save("zip.pth", plain)
    save("legacy.pth", plain, _use_new_zipfile_serialization=False)
    save("protocol4.pth", plain, pickle_protocol=4)

    # As SketchScape writes: config, state, type, timestamp. An optimiser beside it must not be taken for weights.
    module = nn.Linear(3, 2)
    module.load_state_dict({"weight": known("a.weight", 2, 3), "bias": known("a.bias", 2)})
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    nested = {
        "config": {"model": "convnext_base", "size": 224, "ratio": 0.5, "tags": ["a", None, True]},
        "state": plain,
        "type": "model.CLIP_SBIRModel",
        "timestamp": "2025-01-02T03:04:05",
        "optimizer": optimizer.state_dict(),
    }
    save("sketchscape.pth", nested)
    for wrapper in ("state_dict", "model", "model_state_dict"):
        save(f"{wrapper}.pth", {"epoch": 3, "rng": torch.arange(4, dtype=torch.uint8), wrapper: plain})

    # What a trainer may keep beside the weights, inert but not plain.
    import numpy
    from argparse import Namespace

    extras = {
        "args": Namespace(lr=1e-4),
        "best": numpy.float64(0.5),
        "shape": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "dtype": torch.bfloat16,
        "big": 2**70,
        "seen": {1, 2},
        "state_dict": {"w": nn.Parameter(known("w", 2, 2))},
    }
    save("trainer.pth", extras)

    base = known("base", 4, 6)
    conv = known("conv", 2, 3, 2, 2).to(memory_format=torch.channels_last)
    strided = {
        "transposed": base.T,
        "sliced": base[1:, ::2],
        "expanded": known("one", 3, 1).expand(3, 4),
        "conv": conv,
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 5),
        "whole": base,
    }
    save("strided.pth", strided)
    save("strided_legacy.pth", strided, _use_new_zipfile_serialization=False)
    halves = {
        "f16": known("f16", 5, dtype=torch.float16),
        "bf16": known("bf16", 5, dtype=torch.bfloat16),
        "f64": known("f64", 5, dtype=torch.float64),
        "u16": torch.tensor([0, 1, 2], dtype=torch.uint16),
    }
    save("halves.pth", halves)

    class Evil:
        def __reduce__(self) -> tuple:
            import os

            return os.system, ("true",)

    save("evil.pth", {"epoch": Evil(), "state_dict": plain})
    save("whole_model.pth", nn.Linear(2, 1))
    save("not_finite.pth", {"w": torch.tensor([1.0, float("nan"), 2.0])})
    # 2^31 floats through a stride of 0, and through a storage that is declared but not there.
    save("eight_gib_view.pth", {"w": torch.zeros(1).expand(2**31)})
    patch("eight_gib_storage.pth", lambda pickle: resize_storage(pickle, 2**31))
    patch("short_storage.pth", lambda pickle: resize_storage(pickle, 60))
    sizes = {path.name: path.stat().st_size for path in sorted(GOLDEN.glob("*.pth"))}
    print("\n".join(f"{size:6} {name}" for name, size in sizes.items()))


def resize_storage(pickle: bytes, count: int) -> bytes:
    """Declares another element count for the storage of `a.weight`, the first one with six elements."""
    before = b"X\x03\x00\x00\x00cpuq"
    at = pickle.index(before) + len(before) + 1
    assert pickle[at : at + 2] == b"K\x06"
    return pickle[:at] + b"\x8a\x05" + struct.pack("<q", count)[:5] + pickle[at + 2 :]


def patch(name: str, change) -> None:
    """Writes zip.pth again with another data.pkl."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(GOLDEN / "zip.pth") as source, zipfile.ZipFile(buffer, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            target.writestr(zipfile.ZipInfo(entry.filename), change(content) if entry.filename.endswith("data.pkl") else content)
    (GOLDEN / name).write_bytes(buffer.getvalue())


def names() -> None:
    from open_clip.timm_model import TimmModel
    from timm.models.convnext import ConvNeXt, checkpoint_filter_fn

    folder = GOLDEN / "names"
    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, state: dict[str, torch.Tensor]) -> None:
        lines = [f"{key} {','.join(map(str, tensor.shape))}".rstrip() for key, tensor in state.items()]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")

    state = torchvision_model().state_dict()
    write("torchvision", state)
    features = {k.replace("features.", "embedding_net."): v for k, v in state.items() if k.startswith("features.")}
    write("origin", features)
    timm_model = ConvNeXt(depths=DEPTHS, dims=DIMS, num_classes=3)
    write("timm", timm_model.state_dict())
    write("timm_conv_mlp", ConvNeXt(depths=DEPTHS, dims=DIMS, num_classes=0, conv_mlp=True).state_dict())

    # Their names, from models/convnext.py; timm's own conversion of their checkpoints is the judge.
    state = facebookresearch_model().state_dict()
    converted = checkpoint_filter_fn({"model": dict(state)}, timm_model)
    timm_model.load_state_dict(converted, strict=True)
    write("facebookresearch", state)

    tower = TimmModel("convnext_atto", embed_dim=6, pool="", proj="linear", pretrained=False)
    text = ["positional_embedding", "logit_scale", "transformer.resblocks.0.ln_1.weight", "token_embedding.weight"]
    state = {key: torch.zeros(2) for key in text}
    state |= {f"visual.{key}": value for key, value in tower.state_dict().items()}
    write("open_clip", state)
    tower = TimmModel("convnext_atto", embed_dim=6, pool="", proj="mlp", pretrained=False)
    write("open_clip_mlp", {f"visual.{key}": value for key, value in tower.state_dict().items()})


def facebookresearch_model() -> nn.Module:
    """Modules with the attribute names of facebookresearch/ConvNeXt, enough for a state dict."""

    def block(dim: int) -> nn.Module:
        module = nn.Module()
        module.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        module.norm = nn.LayerNorm(dim)
        module.pwconv1 = nn.Linear(dim, 4 * dim)
        module.pwconv2 = nn.Linear(4 * dim, dim)
        module.gamma = nn.Parameter(torch.ones(dim))
        return module

    model = nn.Module()
    stem = nn.Sequential(nn.Conv2d(3, DIMS[0], 4, 4), nn.LayerNorm(DIMS[0]))
    pairs = zip(DIMS, DIMS[1:])
    model.downsample_layers = nn.ModuleList([stem, *(nn.Sequential(nn.LayerNorm(a), nn.Conv2d(a, b, 2, 2)) for a, b in pairs)])
    model.stages = nn.ModuleList([nn.Sequential(*(block(d) for _ in range(n))) for d, n in zip(DIMS, DEPTHS)])
    model.norm = nn.LayerNorm(DIMS[-1])
    model.head = nn.Linear(DIMS[-1], 3)
    return model


def check(folder: Path) -> None:
    model = torchvision_model()
    for mmap in (False, True):
        state = torch.load(folder / "torchvision.pth", weights_only=True, mmap=mmap)
        assert type(state) is OrderedDict, type(state)
        for name, tensor in state.items():
            assert tensor.dtype == torch.float32 and not tensor.requires_grad
            assert torch.equal(tensor, known(name, *tensor.shape)), name
        assert list(state) == [name for name in model.state_dict() if name in state], "the order is not the model's"
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert (missing, unexpected) == (["classifier.2.weight", "classifier.2.bias"], []), (missing, unexpected)

    # The origin's model: the features under `embedding_net`, loaded strictly.
    origin = nn.Module()
    origin.embedding_net = torchvision_model().features
    state = torch.load(folder / "origin.pth", weights_only=True)
    origin.load_state_dict(state, strict=True)

    edges = torch.load(folder / "edges.pth", weights_only=True)
    assert list(edges) == ["scalar", "empty", "one", "naïve"], list(edges)
    assert edges["scalar"].shape == () and edges["scalar"].item() == 1.5
    assert edges["empty"].shape == (0, 3) and edges["one"].shape == (1, 1, 1) and edges["naïve"].shape == (2, 3)
    with zipfile.ZipFile(folder / "torchvision.pth") as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            with open(folder / "torchvision.pth", "rb") as file:
                file.seek(entry.header_offset + 26)
                name_length, extra_length = struct.unpack("<HH", file.read(4))
            assert (entry.header_offset + 30 + name_length + extra_length) % 64 == 0, entry.filename

    try:
        from safetensors.torch import load_file
    except ImportError:
        print("safetensors is not installed; its file was not checked", file=sys.stderr)
    else:
        for name, tensor in load_file(folder / "torchvision.safetensors").items():
            assert torch.equal(tensor, known(name, *tensor.shape)), name
    print(f"torch {torch.__version__} reads all of it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fixtures")
    commands.add_parser("names")
    commands.add_parser("check").add_argument("folder", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    match arguments.command:
        case "fixtures":
            fixtures()
        case "names":
            names()
        case "check":
            check(arguments.folder)


if __name__ == "__main__":
    main()
