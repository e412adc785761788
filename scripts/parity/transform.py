"""Reference pictures of the transform, by Pillow and torchvision.

Versions: numpy 2.4.6, Pillow 13.0.0, torch 2.11.0, torchvision 0.26.0.

    python scripts/parity/transform.py golden crates/sbir-data/tests/golden
    python scripts/parity/transform.py photos OUT FILE...

`golden` writes the small inputs and expected results that sbir-data's tests read. `photos` writes the results for real
files to the folder OUT, as one `cases.txt` with absolute inputs; compare with

    SBIR_PARITY=OUT cargo test --release -p sbir-data -- --ignored --nocapture against_pillow

A line of `cases.txt` is `input side filter orientation alpha bar`; `expected.bin` holds side * side * 3 bytes (RGB, or
grey repeated) for each, in their order; the bar is `exact` (all values equal) or `jpeg` (off by at most 1 in 99.5 % of the
values).
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode

FILTERS = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def over_white(image):
    """Grey or RGB over white, before resizing; a * v + (1 - a) * 255 never lies between two values, 255 being odd."""
    if "transparency" in image.info or image.mode in ("LA", "RGBA"):
        rgba = np.asarray(image.convert("RGBA")).astype(np.float64)
        alpha = rgba[..., 3:] / 255
        return Image.fromarray(np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")


def expected(path, side, filter, orientation, alpha):
    image = Image.open(path)
    image.load()
    if image.mode.startswith("I;16"):
        # Where Pillow would give 16-bit tensors, the upper byte, which is what it keeps of 16-bit RGB.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if orientation == "exif":
        image = ImageOps.exif_transpose(image)
    if alpha == "over-white":
        image = over_white(image)
    image = transforms.Resize((side, side), interpolation=FILTERS[filter])(image)
    return np.asarray(image.convert("RGB"))


def write_cases(folder, cases):
    lines = []
    with open(folder / "expected.bin", "wb") as results:
        for path, side, filter, orientation, alpha, bar in cases:
            result = expected(folder / path, side, filter, orientation, alpha)
            assert result.shape == (side, side, 3) and result.dtype == np.uint8
            results.write(result.tobytes())
            lines.append(f"{path} {side} {filter} {orientation} {alpha} {bar}\n")
    (folder / "cases.txt").write_text("".join(lines))


def picture(width, height, seed, channels=3):
    """Gradients, an edge, single lines and noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [255 * x / max(width - 1, 1), 255 * y / max(height - 1, 1), 127 + 127 * np.sin((x + 2 * y) / 5)]
    planes.append(255 * (x * 2 // max(width, 1)) * np.ones_like(y))
    image = np.stack(planes[:channels], -1)
    image[(x + y) % 17 == 0] = 255
    image[y == height // 3] = 0
    image[: height // 2, : width // 4] = random.integers(0, 256, (height // 2, width // 4, channels))
    return np.rint(image).astype(np.uint8)


def golden(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    rgb = Image.fromarray(picture(61, 47, 1))
    grey = rgb.convert("L")
    rgba = Image.fromarray(picture(61, 47, 2, 4))
    rgba.putalpha(Image.fromarray(picture(61, 47, 3)[..., 2]))
    drawing = Image.fromarray(np.where(np.hypot(*np.mgrid[-30:31, -24:23]) // 6 % 3 < 1, 0, 255).astype(np.uint8))
    smooth = Image.fromarray(picture(40, 30, 4)).resize((122, 94), Image.BICUBIC)

    exact = []

    def save(name, image, filters=("bilinear",), sides=(32,), alphas=("over-white", "origin-pixels"), **options):
        image.save(folder / name, **options)
        for side in sides:
            for filter in filters:
                for alpha in alphas:
                    exact.append((name, side, filter, "ignore", alpha, "exact"))

    both = ("bilinear", "bicubic")
    plain = {"filters": both, "alphas": ("over-white",)}
    save("rgb.png", rgb, sides=(32, 47, 61, 100), **plain)
    save("grey.png", grey, sides=(32, 90), **plain)
    save("tiny.png", Image.fromarray(picture(7, 5, 5)), sides=(32, 3), **plain)
    save("pixel.png", Image.fromarray(picture(1, 1, 6)), **plain)
    save("wide.png", Image.fromarray(picture(300, 3, 7)), **plain)
    save("tall.png", Image.fromarray(picture(2, 257, 8)), **plain)
    save("side.png", Image.fromarray(picture(32, 32, 9)), **plain)
    save("row.png", Image.fromarray(picture(32, 50, 9)), **plain)
    save("rgba.png", rgba, sides=(32, 80), filters=both)
    save("la.png", rgba.convert("LA"), filters=both)
    palette = rgb.quantize(23)
    save("palette.png", palette, sides=(32, 80))
    save("palette-clear.png", palette, transparency=5)
    save("palette-4.png", rgb.quantize(4), bits=2)
    save("bilevel.png", drawing.convert("1"), sides=(32, 80))
    save("grey-clear.png", drawing, transparency=255)
    keyed = picture(61, 47, 1)
    keyed[10:30, 20:50] = (1, 2, 3)
    save("rgb-clear.png", Image.fromarray(keyed), transparency=(1, 2, 3))
    save("deep.png", Image.fromarray((np.asarray(grey).astype(np.uint16) * 256 + 200)))
    save("rgb.webp", rgb, alphas=("over-white",), lossless=True)
    save("rgba.webp", rgba, lossless=True, exact=True)
    save("palette.gif", palette)
    save("rgb.bmp", rgb, alphas=("over-white",))
    save("rgb.tif", rgb, alphas=("over-white",))
    save("rgb.dat", rgb, alphas=("over-white",), format="PNG")

    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        name = f"exif{orientation}.png"
        Image.fromarray(picture(13, 9, 10)).save(folder / name, exif=exif)
        exact.append((name, 16, "bilinear", "exif", "over-white", "exact"))
    exact.append(("exif6.png", 16, "bilinear", "ignore", "over-white", "exact"))

    jpeg = []
    for name, image, orientation, options in (
        ("420.jpg", smooth, "ignore", {}),
        ("444.jpg", smooth, "ignore", {"subsampling": 0, "quality": 95}),
        ("422.jpg", smooth, "ignore", {"subsampling": 1, "quality": 90}),
        ("progressive.jpg", smooth, "ignore", {"progressive": True, "quality": 85}),
        ("grey.jpg", smooth.convert("L"), "ignore", {"quality": 90}),
        ("exif6.jpg", smooth, "exif", {"exif": exif_of(6), "quality": 95}),
        ("cmyk.jpg", smooth.convert("CMYK"), "ignore", {"quality": 95}),
    ):
        image.save(folder / name, **options)
        jpeg.append((name, 48, "bilinear", orientation, "over-white", "jpeg"))
    write_cases(folder, exact + jpeg)


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def photos(folder, paths):
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for path in paths:
        with Image.open(path) as image:
            bar = "jpeg" if image.format == "JPEG" else "exact"
        cases.append((Path(path).resolve(), 224, "bilinear", "ignore", "over-white", bar))
        if bar == "exact":
            cases.append((Path(path).resolve(), 224, "bilinear", "ignore", "origin-pixels", bar))
    write_cases(folder, cases)


if __name__ == "__main__":
    if sys.argv[1:2] == ["golden"] and len(sys.argv) == 3:
        golden(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["photos"] and len(sys.argv) > 3:
        photos(Path(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(__doc__)
