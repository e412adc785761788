"""Recall, ranks and intervals from embeddings, computed plainly.

    python scripts/parity/recall.py SKETCHES.npy PHOTOS.npy [--truth TRUTH.json]

Each sketch's own photo is the one at the same place, or the index that TRUTH.json (a list) gives. Prints the origin's three
lines, then the same as JSON. whole_run.py uses the functions.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path

import numpy as np

Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point


def ranks(queries: np.ndarray, gallery: np.ndarray, truth: list[int]) -> list[int]:
    """The 1-based rank of each query's truth: squared Euclidean distance in float64, smallest first, ties by index."""
    queries, gallery = queries.astype(np.float64), gallery.astype(np.float64)
    found = []
    for query, own in zip(queries, truth, strict=True):
        distances = ((gallery - query) ** 2).sum(axis=1)
        order = np.argsort(distances, kind="stable")
        found.append(int(np.flatnonzero(order == own)[0]) + 1)
    return found


def wilson(hits: int, count: int, z: float = Z_95) -> list[float]:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    share = hits / count
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return [(centre - half) / scale, (centre + half) / scale]


def summary(found: list[int], gallery: int) -> dict:
    hits = {k: sum(rank <= k for rank in found) for k in (1, 5, 10)}
    return {
        "queries": len(found),
        "gallery": gallery,
        "recall": {str(k): hits[k] / len(found) for k in hits},
        "recall_interval": {str(k): wilson(hits[k], len(found)) for k in hits},
        "median_rank": statistics.median(found),
        "mean_rank": statistics.fmean(found),
        "mrr": statistics.fmean(1 / rank for rank in found),
        "ranks": found,
    }


def origin_lines(found: list[int]) -> str:
    hits = {k: sum(rank <= k for rank in found) for k in (1, 5, 10)}
    return "\n".join(f"{name}: {hits[k] / len(found):.4f} ({hits[k]})" for name, k in ((" top1", 1), (" top5", 5), ("top10", 10)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sketches", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--truth", type=Path, help="JSON list: for each sketch the index of its photo")
    arguments = parser.parse_args()
    queries, gallery = np.load(arguments.sketches), np.load(arguments.photos)
    truth = json.loads(arguments.truth.read_text()) if arguments.truth else list(range(len(queries)))
    found = ranks(queries, gallery, truth)
    print(origin_lines(found))
    print(json.dumps(summary(found, len(gallery))))


if __name__ == "__main__":
    main()
