"""The peer of index.sh: a Python loop with Pillow and ONNX Runtime, and what both need. See index.sh.

    index_peer.py make FOLDER COUNT PHOTOS      distinct JPEGs of 12 megapixels, made of the photos of a folder
    index_peer.py many FOLDER COUNT             distinct small pictures, a thousand to a folder
    index_peer.py graph MODEL.safetensors OUT.onnx
    index_peer.py embed FOLDER GRAPH.onnx draft|full OUT.npz
    index_peer.py timed TOOL RUN RAW.csv COMMAND…       runs a command; adds a line of what it took
    index_peer.py memory TOOL RAW.csv COMMAND…   runs a command; adds the most memory that it held, without mapped files
    index_peer.py agree OUT.npz EXPORT.npy EXPORT.jsonl
"""

import csv
import json
import multiprocessing
import os
import pathlib
import struct
import subprocess
import sys
import time
import zlib

import numpy as np

SIDE = 176
BATCH = 16


def photos(folder):
    return sorted(path for path in pathlib.Path(folder).rglob("*.jpg"))


def make_one(job):
    from PIL import Image

    target, number, sources = job
    if target.exists():
        return
    # Every third a photo enlarged, the others mosaics, so that blocks are full of detail as a camera's are.
    if number % 3 == 0:
        large = Image.open(sources[number % len(sources)]).convert("RGB").resize((4000, 3000), Image.BICUBIC)
    else:
        large = Image.new("RGB", (4000, 3000))
        across = 4 + number % 5
        size = (4000 // across + 1, 3000 // across + 1)
        for tile in range(across * across):
            photo = Image.open(sources[(number * 31 + tile) % len(sources)]).convert("RGB").resize(size, Image.BICUBIC)
            large.paste(photo, (tile % across * size[0], tile // across * size[1]))
    grain = np.random.default_rng(number).integers(-7, 8, (3000, 4000, 1), np.int16)
    pixels = np.clip(np.asarray(large).astype(np.int16) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(target, quality=(85, 90, 93)[number % 3])


def make(folder, count, sources):
    folder, sources = pathlib.Path(folder), photos(sources)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder / f"{number:04}.jpg", number, sources) for number in range(int(count))]
    with multiprocessing.Pool() as pool:
        pool.map(make_one, jobs, 4)


def many(folder, count):
    """Grey PNGs of two by two pixels and a text that tells them apart."""
    folder = pathlib.Path(folder)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0))
    for number in range(int(count)):
        place = folder / f"{number // 1000:04}"
        if number % 1000 == 0:
            place.mkdir(parents=True, exist_ok=True)
        rows = b"".join(b"\0" + bytes([number >> shift & 255, number >> shift + 8 & 255]) for shift in (0, 16))
        data = start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        (place / f"{number:07}.png").write_bytes(data)


def graph(model, target):
    """EfficientNet-Lite0 as the model's file has it, with BatchNorm in its convolutions and TensorFlow's padding."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import load_file

    weights = {name: value.astype(np.float32) for name, value in load_file(model).items()}
    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(value, name))
        return name

    zero, six = constant("zero", np.float32(0)), constant("six", np.float32(6))

    def convolution(name, source, side, stride=1, groups=1, clamp=True):
        weight = weights[f"{name}.weight"] * weights[f"{name}.scale"][:, None, None, None]
        kernel = weight.shape[-1]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        before = total // 2
        nodes.append(
            helper.make_node(
                "Conv",
                [source, constant(f"{name}.w", weight), constant(f"{name}.b", weights[f"{name}.shift"])],
                [name],
                strides=[stride] * 2,
                group=groups,
                pads=[before, before, total - before, total - before],
            )
        )
        if clamp:
            nodes.append(helper.make_node("Clip", [name, zero, six], [f"{name}.clamped"]))
        return f"{name}.clamped" if clamp else name

    side = SIDE
    value = convolution("stem", "pixels", side, 2)
    side = -(-side // 2)
    stages = [[1, 1], [2, 2], [2, 2], [3, 2], [3, 1], [4, 2], [1, 1]]
    strides = [stride if repeat == 0 else 1 for repeats, stride in stages for repeat in range(repeats)]
    for number, stride in enumerate(strides):
        block, before = f"blocks.{number}", value
        if f"{block}.expand.weight" in weights:
            value = convolution(f"{block}.expand", value, side)
        channels = weights[f"{block}.depthwise.weight"].shape[0]
        value = convolution(f"{block}.depthwise", value, side, stride, channels)
        side = -(-side // stride)
        value = convolution(f"{block}.project", value, side, clamp=False)
        into = weights.get(f"{block}.expand.weight", weights[f"{block}.depthwise.weight"]).shape[1]
        if stride == 1 and number > 0 and into == weights[f"{block}.project.weight"].shape[0]:
            nodes.append(helper.make_node("Add", [value, before], [f"{block}.sum"]))
            value = f"{block}.sum"
    value = convolution("features", value, side)
    nodes.append(helper.make_node("GlobalAveragePool", [value], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    projection = constant("projection", weights["head.projection.weight"])
    nodes.append(helper.make_node("Gemm", ["flat", projection], ["projected"], transB=1))
    nodes.append(helper.make_node("LpNormalization", ["projected"], ["embeddings"], axis=1, p=2))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", 512])
    made = helper.make_graph(nodes, "lite0", [pixels], [embeddings], constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def embed(folder, network, way, target):
    import onnxruntime
    from PIL import Image, ImageOps

    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    files = photos(folder)
    start = time.perf_counter()
    waiting, results = [], []
    for place, path in enumerate(files):
        with Image.open(path) as picture:
            if way == "draft":
                picture.draft("RGB", (2 * SIDE, 2 * SIDE))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        small = np.asarray(upright.resize((SIDE, SIDE), Image.BILINEAR), np.float32)
        waiting.append(((small - 127) / 128).transpose(2, 0, 1))
        if len(waiting) == BATCH or place + 1 == len(files):
            results.append(session.run(None, {"pixels": np.stack(waiting)})[0])
            waiting.clear()
    seconds = time.perf_counter() - start
    np.savez(target, names=[path.name for path in files], embeddings=np.concatenate(results))
    print(json.dumps({"seconds": seconds, "photos": len(files)}))


def timed(tool, run, raw, *command):
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"{command[0]} failed: {status}")
    cpu = used.ru_utime + used.ru_stime
    told = json.loads(output[output.index("{") :])
    fresh = not os.path.exists(raw)
    with open(raw, "a", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        if fresh:
            table.writerow(["tool", "run", "photos", "seconds", "photos_per_s", "wall_s", "cores_busy", "peak_mib"])
        seconds, count = told["seconds"], told["photos"]
        numbers = [seconds, count / seconds, wall, cpu / wall, used.ru_maxrss / 1024]
        table.writerow([tool, run, count, *(f"{number:.2f}" for number in numbers)])


def memory(tool, raw, *command):
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    most = 0
    while child.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines()
        except OSError:
            break
        most = max([most, *(int(line.split()[1]) for line in status if line.startswith("RssAnon"))])
        time.sleep(0.02)
    told = child.communicate()[0]
    fresh = not os.path.exists(raw)
    with open(raw, "a", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        if fresh:
            table.writerow(["tool", "photos", "anonymous_mib"])
        table.writerow([tool, json.loads(told[told.index("{") :])["photos"], f"{most / 1024:.1f}"])


def agree(peer, vectors, lines):
    peer = np.load(peer)
    rows = [json.loads(line) for line in open(lines, encoding="utf-8")]
    ours = dict(zip((pathlib.PurePath(row["path"]).name for row in rows), np.load(vectors)))
    cosines = [ours[name] @ vector for name, vector in zip(peer["names"], peer["embeddings"])]
    print(f"{len(cosines)} photos: cosine {min(cosines):.5f} at least, {np.mean(cosines):.5f} on average")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
