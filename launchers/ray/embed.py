#!/usr/bin/env python3
"""Embeds a manifest's photos on a Ray cluster: one task a shard, each of which runs `sbir embed`.

    python embed.py --manifest M --out PLACE --shards N [--cpus C] [--sbir PATH]

Every node needs the program, the manifest, the photos and PLACE at the same names (or in object storage), and what
`sbir` takes from the environment (AWS_ACCESS_KEY_ID and so on): nothing secret goes through Ray. A task whose node dies
is started again elsewhere; pieces that were finished are not made again.
"""

import argparse
import json
import subprocess
import sys

import ray


def embed(arguments):
    """Runs one shard and gives its report."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", required=True, help="what `sbir manifest` wrote: a file, or s3://BUCKET/NAME")
    parser.add_argument("--out", required=True, help="place for the pieces: a folder, or s3://BUCKET/FOLDER")
    parser.add_argument("--shards", type=int, required=True, help="tasks; a few times the number of nodes")
    parser.add_argument("--model", default="bundled", help="checkpoint, at the same place on every node")
    parser.add_argument("--cpus", type=int, default=1, help="cores of a task")
    parser.add_argument("--retries", type=int, default=5, help="further starts of a task that failed or lost its node")
    parser.add_argument("--address", default="auto", help="the cluster's address")
    parser.add_argument("--sbir", default="sbir", help="the program on every node")
    given = parser.parse_args()
    if given.shards < 1 or given.cpus < 1 or given.retries < 0:
        parser.error("--shards and --cpus take at least 1, --retries at least 0")

    ray.init(address=given.address, log_to_driver=False)
    task = ray.remote(num_cpus=given.cpus, max_retries=given.retries, retry_exceptions=True)(embed)
    waiting = []
    for shard in range(given.shards):
        arguments = [given.sbir, "embed", "--manifest", given.manifest, "--out", given.out, "--model", given.model]
        arguments += ["--shard", f"{shard}/{given.shards}", "--threads", str(given.cpus), "--json"]
        waiting.append(task.remote(arguments))
    failed = 0
    while waiting:
        (done,), waiting = ray.wait(waiting, num_returns=1)
        try:
            report = ray.get(done)
        except (ray.exceptions.RayError, RuntimeError) as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr, flush=True)
            continue
        parts = [f"{report['written']} pieces written", f"{report['there']} there already", f"{report['failed']} photos unreadable"]
        print(f"shard {report['shard']}: {', '.join(parts)}", flush=True)
    if failed:
        sys.exit(f"error: {failed} of {given.shards} shards failed; the same command goes on where they ended")


if __name__ == "__main__":
    main()
