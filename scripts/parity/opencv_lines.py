"""Makes the golden pictures of crates/sbir-sketch/tests/golden/ and measures FS-COCO's own rasters.

    python scripts/parity/opencv_lines.py                     # writes the golden files
    python scripts/parity/opencv_lines.py --measure FSCOCO    # cut or round? compares with raster_sketches/

Needs opencv-python-headless 5.0.0, numpy 2.4, pillow 13.0 (4.x of OpenCV draws the same lines).

strokes.ndjson   generated strokes, one record per kind, on a canvas of 256
opencv.pbm       1 bit: each record below the other, 256 x 256: cv2.line (8-connected, thickness 1)
                 between points cut to whole pixels, black on white, then cv2.erode with a 3 x 3 kernel
pillow_96.pgm    8 bit: the same, resized to 96 x 96 by Pillow, bilinear with antialiasing
capsules_96.pgm  8 bit: each record as antialiased lines 3/256 of the side wide, from the definition
                 (coverage = half width + 1/2 - distance to the segment, cut to 0..1, the most counts)
"""

import argparse
import json
import pathlib

import cv2
import numpy as np
from PIL import Image

SIDE = 256
SMALL = 96
GOLDEN = pathlib.Path(__file__).parents[2] / "crates/sbir-sketch/tests/golden"


def records():
    """Strokes that reach the corners of the line algorithm. Two decimals, as short text."""
    rng = np.random.default_rng(7)

    def pairs(points):
        return [[[round(float(x), 2), round(float(y), 2)] for x, y in stroke] for stroke in points]

    angles = np.arange(0, 360, 11.25) * np.pi / 180
    rays = [[(128.4, 128.6), (128.4 + 120 * np.cos(a), 128.6 + 120 * np.sin(a))] for a in angles]
    # Whole-number ends with an even long side put the line's course on ties.
    ties = [[(8, 8 * k), (8 + 2 * k + 2, 8 * k + k)] for k in range(1, 30)]
    ties += [[(250, 8 * k), (250 - 2 * k, 8 * k - k - 1)] for k in range(2, 30)]
    flat = [[(3, 9 * k + 4.5), (251, 9 * k + 4.5 + d)] for k, d in enumerate(np.linspace(-6, 6, 27))]
    steep = [[(9 * k + 4.5, 252), (9 * k + 4.5 + d, 2)] for k, d in enumerate(np.linspace(-6, 6, 27))]
    walk = np.cumsum(rng.normal(0, 9, (6, 60, 2)), axis=1) + rng.uniform(40, 216, (6, 1, 2))
    off = rng.uniform(-400, 656, (40, 2, 2))
    far = [[(-1e5, 40), (1e5, 90)], [(30, -1e6), (60, 1e6)], [(-5e4, -5e4), (5e4, 5e4 + 37)]]
    edge = [[(0, 0), (255.9, 0)], [(255.9, 0), (255.9, 255.9)], [(-0.5, 255), (256, 255.5)], [(0, -1), (0, 300)]]
    dots = [[p] for p in rng.uniform(-6, 262, (60, 2))] + [[(5, 5), (5, 5)], [(0, 0)], [(255.99, 255.99)]]
    kinds = {
        "rays": rays,
        "ties": ties,
        "flat_and_steep": flat + steep,
        "walks": list(walk),
        "off_canvas": list(off) + far + edge,
        "dots": dots,
    }
    return {name: pairs(strokes) for name, strokes in kinds.items()}


def draw(strokes, whole=np.trunc):
    """One sketch as FS-COCO's, from points in pixels of 256."""
    picture = np.full((SIDE, SIDE), 255, np.uint8)
    for stroke in strokes:
        points = [tuple(int(v) for v in whole(np.asarray(point, np.float64))) for point in stroke]
        for start, end in zip(points, points[1:] or points):
            cv2.line(picture, start, end, 0, 1, cv2.LINE_8)
    return cv2.erode(picture, np.ones((3, 3), np.uint8))


def capsules(strokes, side, width):
    """Antialiased lines by their definition, in double precision."""
    centres = np.stack(np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5), -1)
    ink = np.zeros((side, side))
    for stroke in strokes:
        points = np.asarray(stroke, np.float32).astype(np.float64) * side / SIDE
        for start, end in zip(points, points[1:] if len(points) > 1 else points):
            along, to = end - start, centres - start
            length = along @ along
            share = np.clip(to @ along / length, 0, 1) if length else np.zeros(to.shape[:2])
            distance = np.linalg.norm(to - share[..., None] * along, axis=-1)
            ink = np.maximum(ink, np.clip(width * side / 2 + 0.5 - distance, 0, 1))
    return np.rint(255 * (1 - ink)).astype(np.uint8)


def write_golden():
    GOLDEN.mkdir(parents=True, exist_ok=True)
    sketches = records()
    with open(GOLDEN / "strokes.ndjson", "w") as file:
        for name, strokes in sketches.items():
            record = {"sketch": name, "canvas": SIDE, "strokes": strokes}
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
    pictures = [draw(strokes) for strokes in sketches.values()]
    Image.fromarray(np.vstack(pictures)).convert("1", dither=Image.Dither.NONE).save(GOLDEN / "opencv.pbm", format="PPM")
    small = [np.asarray(Image.fromarray(p).resize((SMALL, SMALL), Image.Resampling.BILINEAR)) for p in pictures]
    Image.fromarray(np.vstack(small)).save(GOLDEN / "pillow_96.pgm")
    lines = [capsules(strokes, SMALL, 3 / 256) for strokes in sketches.values()]
    Image.fromarray(np.vstack(lines)).save(GOLDEN / "capsules_96.pgm")


def measure(root):
    """Share of pixels equal after thresholding at 128, over all raster sketches of an FS-COCO folder."""
    for name, whole in [("cut", np.trunc), ("round", np.round)]:
        shares = []
        for path in sorted(root.glob("vector_sketches/*/*.npy")):
            rows = np.load(path)
            ends = np.flatnonzero(rows[:, 2]) + 1
            strokes = [part[:, :2] for part in np.split(rows, ends) if len(part)]
            raster = root / "raster_sketches" / path.parent.name / f"{path.stem}.jpg"
            expected = np.asarray(Image.open(raster).convert("L")) < 128
            shares.append(((draw(strokes, whole) < 128) == expected).mean())
        print(f"{name}: mean {np.mean(shares):.5f}, least {np.min(shares):.5f}, {len(shares)} sketches")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
    else:
        write_golden()
