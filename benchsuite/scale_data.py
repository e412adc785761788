"""The data of scale.sh, and its peer FAISS.

scale_data.py make PHOTOS.npy OUT.npy ROWS
scale_data.py truth VECTORS.npy ROWS QUERIES.npy OUT.npy
scale_data.py pick SKETCHES.npy OUT.npy COUNT
scale_data.py faiss VECTORS.npy ROWS QUERIES.npy TRUTH.npy K THREADS
scale_data.py table RAW.jsonl
"""

import json
import resource
import sys
import time

import numpy as np


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make(photos, out, rows):
    """The photos' embeddings, and beside them synthetic neighbours: points on the way from a photo to one of its 20
    nearest, and off that way by 0.3 of its length."""
    photos, rows = unit(np.load(photos)), int(rows)
    random = np.random.default_rng(7)
    _, first = np.unique(np.round(photos, 4), axis=0, return_index=True)
    photos = photos[np.sort(first)]
    near = np.argsort(-(photos @ photos.T), axis=1)[:, 1:21]
    made = np.lib.format.open_memmap(out, "w+", np.float32, (rows, photos.shape[1]))
    count = min(rows, len(photos))
    made[:count] = random.permutation(photos)[:count]
    while count < rows:
        some = min(rows - count, 65536)
        one = random.integers(len(photos), size=some)
        other = near[one, random.integers(near.shape[1], size=some)]
        way = photos[other] - photos[one]
        off = unit(random.standard_normal(way.shape, dtype=np.float32))
        off *= 0.3 * np.linalg.norm(way, axis=1, keepdims=True)
        share = random.uniform(0.1, 0.9, size=(some, 1)).astype(np.float32)
        made[count : count + some] = unit(photos[one] + share * way + off)
        count += some


def pick(sketches, out, count):
    sketches = unit(np.load(sketches))
    chosen = np.random.default_rng(8).permutation(len(sketches))[: int(count)]
    np.save(out, sketches[chosen].astype(np.float32))


def stored(vectors, rows):
    """As every store keeps them."""
    return np.load(vectors, mmap_mode="r")[: int(rows)].astype(np.float16).astype(np.float32)


def truth(vectors, rows, queries, out):
    vectors, queries = stored(vectors, rows), np.load(queries)
    np.save(out, np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :100].astype(np.int32))


def faiss(vectors, rows, queries, truth, k, threads):
    import faiss

    vectors, queries, truth, k = stored(vectors, rows), np.load(queries), np.load(truth), int(k)
    start = time.perf_counter()
    index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(vectors)
    built = time.perf_counter() - start
    for ef in (16, 32, 64, 128, 256, 512, 1024):
        index.hnsw.efSearch = ef
        faiss.omp_set_num_threads(1)
        index.search(queries, k)
        times, found = [], 0
        for query, nearest in zip(queries, truth):
            start = time.perf_counter()
            _, rows = index.search(query[None], k)
            times.append((time.perf_counter() - start) * 1e3)
            found += len(set(rows[0].tolist()) & set(nearest[:k].tolist()))
        faiss.omp_set_num_threads(int(threads))
        start = time.perf_counter()
        index.search(queries, k)
        rate = len(queries) / (time.perf_counter() - start)
        recall = found / len(queries) / k
        report = {
            "what": "search", "gallery": f"faiss HNSW16 efConstruction 100 efSearch {ef}", "photos": len(vectors),
            "k": k, "queries": len(queries), "recall": recall, "built_s": built,
            "median_ms": float(np.median(times)), "p95_ms": float(np.percentile(times, 95)),
            "threads": int(threads), "queries_per_second": rate,
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(report), flush=True)
        if recall >= 0.995:
            break


def kind(gallery):
    if gallery.startswith("qdrant"):
        return "Qdrant, three nodes" if "," in gallery else "Qdrant, one node"
    if gallery.startswith("faiss"):
        return gallery.replace("faiss", "FAISS").replace(" efConstruction 100", "")
    return "PostgreSQL" if gallery.startswith("postgres") else "a file"


def table(raw):
    """What was measured, a row for each store and number of photos."""
    rows, photos = {}, 0
    with open(raw) as file:
        for line in map(json.loads, file):
            photos = line.get("photos", photos)
            rows.setdefault((kind(line["gallery"]), photos), {})[line["what"]] = line
    print("| store | photos | loaded a second | our peak MiB | index built in s | recall@10 | median ms | p95 ms | searches a second | servers' resident MiB | disk MiB |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for (store, photos), row in rows.items():
        load, settle, found, server = (row.get(what, {}) for what in ("load", "settle", "search", "server"))
        disk = server.get("disk_mib") or settle.get("bytes", 0) / 2**20
        built = found.get("built_s") or settle.get("seconds")
        built = None if settle.get("indexed") is False else built
        cells = [
            (load.get("per_second"), ".0f"), (load.get("peak_rss_mib"), ".0f"), (built, ".1f"),
            (found.get("recall"), ".4f"), (found.get("median_ms"), ".2f"), (found.get("p95_ms"), ".2f"),
            (found.get("queries_per_second"), ".0f"), (server.get("resident_mib"), ".0f"), (disk or None, ".0f"),
        ]
        shown = " | ".join("–" if value is None else format(value, form) for value, form in cells)
        print(f"| {store} | {photos:,} | {shown} |")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
