"""The peer's half of search.sh: makes queries, times FAISS's IndexFlatIP, and writes the table.

search_peer.py queries VECTORS.npy QUERIES.npy
search_peer.py search VECTORS.npy QUERIES.npy K REPEATS OUT.json
search_peer.py report FOLDER ROUNDS
"""

import json
import statistics
import sys
import time

import numpy as np


def queries(vectors, out):
    """48 random ones, and 16 beside the near-duplicates at the end."""
    vectors = np.load(vectors, mmap_mode="r")
    random = np.random.default_rng(1)
    made = random.standard_normal((64, vectors.shape[1])).astype(np.float32)
    made[48:] = vectors[-16:] + 1e-5 * made[48:]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    np.save(out, made)


def anonymous_kib():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))


def search(vectors, queries, k, repeats, out):
    import faiss
    from threadpoolctl import threadpool_info

    for pool in threadpool_info():
        print(f"# {pool['user_api']}: {pool.get('architecture')}, {pool['num_threads']} threads", file=sys.stderr)
    queries = np.load(queries)
    k, repeats = int(k), int(repeats)
    start = time.perf_counter()
    vectors = np.load(vectors, mmap_mode="r")
    index = faiss.IndexFlatIP(vectors.shape[1])
    for first in range(0, len(vectors), 65536):
        index.add(np.ascontiguousarray(vectors[first : first + 65536]))
    index.search(queries[:1], k)
    opening = time.perf_counter() - start
    single, together = [], []
    for _ in range(repeats):
        for query in queries:
            start = time.perf_counter()
            index.search(query[None], k)
            single.append(time.perf_counter() - start)
    for _ in range(repeats):
        start = time.perf_counter()
        scores, rows = index.search(queries, k)
        together.append(time.perf_counter() - start)
    # A fresh gallery numbers its photos from 1.
    found = [[[int(row) + 1, float(score)] for row, score in zip(*pair)] for pair in zip(rows, scores)]
    report = {
        "opening_s": opening,
        "single_s": single,
        "together_s": together,
        "anonymous_kib": anonymous_kib(),
        "found": found,
    }
    with open(out, "w") as file:
        json.dump(report, file)


def lists(path):
    with open(path) as file:
        report = json.load(file)
    # Scores are 32-bit floats, however they are written.
    return report, [[(row, np.float32(score)) for row, score in hits] for hits in report["found"]]


def report(folder, rounds):
    print("tool,run,opening_s,single_ms,together_ms,anonymous_mib,exact,best,others")
    _, expected = lists(f"{folder}/scored.json")
    wrong = False
    for run in range(1, int(rounds) + 1):
        for tool in ("sbir", "faiss"):
            values, found = lists(f"{folder}/{tool}-{run}.json")
            with open(f"{folder}/{tool}-{run}.others") as file:
                others = file.read().strip()
            exact = sum(a == b for a, b in zip(found, expected, strict=True))
            best = sum(len({r for r, _ in a} & {r for r, _ in b}) for a, b in zip(found, expected))
            wrong |= tool == "sbir" and exact != len(expected)
            print(
                f"{tool},{run},{values['opening_s']:.3f},"
                f"{1e3 * statistics.median(values['single_s']):.2f},"
                f"{1e3 * statistics.median(values['together_s']):.1f},"
                f"{values['anonymous_kib'] / 1024:.0f},{exact},{best},{others}"
            )
    if wrong:
        raise SystemExit("the search is not exact")


if __name__ == "__main__":
    {"queries": queries, "search": search, "report": report}[sys.argv[1]](*sys.argv[2:])
