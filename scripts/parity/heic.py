"""Small HEIC files and what libheif decodes of them, for crates/sbir-data/tests/main/heic.rs.

    pip install pillow-heif==1.8.1 numpy==2.4.6 pillow==13.0.0   # libheif 1.23.6, x265, libde265
    python scripts/parity/heic.py

Writes crates/sbir-data/tests/golden/*.heic and *.heic.png.
"""

import pathlib
import struct

import numpy as np
import pillow_heif
from PIL import Image

GOLDEN = pathlib.Path(__file__).parents[2] / "crates/sbir-data/tests/golden"


def boxes(data, start, end):
    while start < end:
        size, name = struct.unpack(">I4s", data[start : start + 8])
        yield name, start, size
        start += size


def find(data, path):
    """Where the boxes of a path begin."""
    start, end, found = 0, len(data), []
    for wanted in path:
        at, size = next((at, size) for name, at, size in boxes(data, start, end) if name == wanted)
        found.append(at)
        start, end = at + 8 + (4 if wanted == b"meta" else 0), at + size
    return found


def grow(data, at, by):
    struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + by)


def turned(data):
    """The file with the property that turns its one picture by 270 degrees counter-clockwise."""
    data = bytearray(data)
    at = find(data, [b"meta", b"iloc"])[-1]
    # Version 0, offsets and lengths of 4 bytes and a base of 4: one item of one part, which moves back by what is put in.
    assert data[at + 8] == 0 and data[at + 12 : at + 16] == bytes([0x44, 0x40, 0, 1])
    grow(data, at + 26, 10)
    meta, iprp, ipma = find(data, [b"meta", b"iprp", b"ipma"])
    ipco = find(data, [b"meta", b"iprp", b"ipco"])[-1]
    size = struct.unpack_from(">I", data, ipco)[0]
    count = len(list(boxes(data, ipco + 8, ipco + size)))
    known = data[ipma + 18]
    data[ipma + 18] += 1
    data[ipma + 19 + known : ipma + 19 + known] = bytes([0x80 | (count + 1)])
    for at in (meta, iprp, ipma):
        grow(data, at, 1)
    data[ipco + size : ipco + size] = struct.pack(">I4sB", 9, b"irot", 3)
    for at in (meta, iprp, ipco):
        grow(data, at, 9)
    return data


def main():
    y, x = np.mgrid[0:90, 0:117]
    waves = [128 + 100 * np.sin(x / 9 + y / 17), 128 + 90 * np.cos(x / 23 - y / 11), (2 * x + y) % 256 * 0.5 + 60]
    rgb = np.stack(waves, -1).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(rgb)
    picture.save(GOLDEN / "photo.heic", quality=80)
    picture.convert("L").save(GOLDEN / "grey.heic", quality=80)
    disc = np.where((x - 58) ** 2 + (y - 45) ** 2 < 1500, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([rgb, disc])).save(GOLDEN / "clear.heic", quality=80)
    deep = (rgb.astype(np.uint16) * 257).tobytes()
    pillow_heif.from_bytes(mode="RGB;16", size=(117, 90), data=deep).save(GOLDEN / "deep.heic", quality=80)
    (GOLDEN / "turned.heic").write_bytes(turned((GOLDEN / "photo.heic").read_bytes()))
    for name in ["photo", "turned", "clear", "deep", "grey"]:
        seen = Image.open(GOLDEN / f"{name}.heic")
        if seen.mode == "RGBA":
            paper = Image.new("RGBA", seen.size, "white")
            paper.alpha_composite(seen)
            seen = paper
        seen.convert("RGB").save(GOLDEN / f"{name}.heic.png", optimize=True)


if __name__ == "__main__":
    pillow_heif.register_heif_opener()
    main()
