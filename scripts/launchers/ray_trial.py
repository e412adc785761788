"""What scripts/ray.sh runs: photos, a manifest, a Ray cluster of two workers, a job, a murder, and what is left.

    ray_trial.py FOLDER        FOLDER holds the program `sbir` and embed.py
"""

import json
import os
import random
import struct
import subprocess
import sys
import time

import ray
from ray.cluster_utils import Cluster

PHOTOS = 1200
PIECE = 20
SHARDS = 6


def write_photo(path, seed):
    """A BMP of 32 x 32 pixels that no other seed has."""
    pixels = random.Random(seed).randbytes(32 * 32 * 3)
    head = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    with open(path, "wb") as file:
        file.write(head + struct.pack("<IiiHHIIiiII", 40, 32, 32, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + pixels)


def sbir(folder, *arguments):
    done = subprocess.run([f"{folder}/sbir", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: sbir {' '.join(arguments)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def pieces(out):
    try:
        return sorted(name for name in os.listdir(out) if name.endswith(".sbir-piece"))
    except FileNotFoundError:
        return []


def start():
    """A cluster of a head that takes no tasks and two workers. A node that misses Ray's fixed half minute, on a busy machine, is no failure of ours."""
    common = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
    for left in (2, 1, 0):
        cluster = Cluster()
        try:
            cluster.add_node(num_cpus=0, **common)
            workers = [cluster.add_node(num_cpus=1, **common) for _ in range(2)]
            cluster.wait_for_nodes()
            return cluster, workers
        except Exception:
            cluster.shutdown()
            if left == 0:
                raise
    raise AssertionError


def main():
    folder = sys.argv[1]
    photos, manifest, out = (f"{folder}/{name}" for name in ("photos", "photos.jsonl", "pieces"))
    for photo in range(PHOTOS):
        os.makedirs(f"{photos}/{photo % 7}", exist_ok=True)
        write_photo(f"{photos}/{photo % 7}/{photo}.bmp", photo)
    listed = sbir(folder, "manifest", photos, "--out", manifest, "--piece", str(PIECE), "--json")
    assert listed["photos"] == PHOTOS, listed

    cluster, workers = start()
    job = subprocess.Popen(
        [sys.executable, f"{folder}/embed.py", "--address", cluster.address, "--manifest", manifest, "--out", out]
        + ["--shards", str(SHARDS), "--sbir", f"{folder}/sbir"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + 400
    while len(pieces(out)) < 3:
        assert job.poll() is None, f"the job ended early: {job.stdout.read()}"
        assert time.monotonic() < until, "no pieces in time"
        time.sleep(0.02)
    seen = len(pieces(out))
    cluster.remove_node(workers[0], allow_graceful=False)
    said = job.communicate(timeout=400)[0]
    print(said.strip())
    assert job.returncode == 0, "the job failed"
    print(f"a worker was killed after {seen} of {listed['pieces']} pieces")
    assert seen < listed["pieces"], "the job was over before the worker was killed"
    assert said.count("pieces written") == SHARDS, "a shard did not report"

    expected = [f"piece-{piece:08}.sbir-piece" for piece in range(listed["pieces"])]
    assert pieces(out) == expected, "pieces are missing, or are there that should not be"
    left = sorted(set(os.listdir(out)) - set(expected))
    # What a killed process was writing, under a name that nothing reads.
    assert [name for name in left if not name.startswith(".sbir-")] == ["job.json"], left
    gallery = ["--gallery", f"{folder}/gallery.sbir", "--json"]
    loaded = sbir(folder, "load", out, "--manifest", manifest, *gallery)
    assert (loaded["photos"], loaded["failed"], loaded["missing"]) == (PHOTOS, 0, []), loaded
    assert sbir(folder, "gallery", "info", *gallery)["photos"] == PHOTOS
    # Nothing is left for the same job.
    again = sbir(folder, "embed", "--manifest", manifest, "--out", out, "--no-cuda", "--json")
    assert (again["there"], again["embedded"]) == (listed["pieces"], 0), again
    print(f"ray: {PHOTOS} photos in {listed['pieces']} pieces, each there once")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
