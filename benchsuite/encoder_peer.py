"""The peers' half of encoder.sh: one configuration a process.

    encoder_peer.py plan                       every configuration, a line each, in the order of a round
    encoder_peer.py run WORK CONFIGURATION RUN [SECONDS]
    encoder_peer.py check EMBEDDINGS.f32 WORK NETWORK PRECISION
    encoder_peer.py report FOLDER WORK         the table

A configuration is task:network:tool:precision:layout:mode:batch:threads. `run` warms up, repeats the work for SECONDS (at
least three times), checks embeddings against PyTorch's, and prints one row:

    task,network,tool,version,precision,layout,mode,batch,threads,run,per_second,peak_mib

per_second: images, or pairs where the task is train. Modes:

    sbir         best; layout nhwc
    pytorch      eager; compiled (torch.compile); frozen (compiled with weights as constants, which oneDNN packs once)
    onnxruntime  exported or simplified graph, all of its own optimisations
    openvino     latency: one stream over all threads, one request; throughput: a stream a thread, requests of a batch each;
                 split: the same streams, the batch cut among them (which is one call's answer, sooner)
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

BARS = {"f32": 0.9999, "bf16": 0.999, "f16": 0.999}


def plan() -> list[str]:
    lines = []
    for batch in (1, 16, 64):
        for threads in (2, 1):
            for precision in ("f32", "bf16"):
                lines.append(f"embed:convnext_small:sbir:{precision}:nhwc:best:{batch}:{threads}")
                for layout in ("contiguous", "channels_last"):
                    for mode in ("eager", "compiled", "frozen"):
                        lines.append(f"embed:convnext_small:pytorch:{precision}:{layout}:{mode}:{batch}:{threads}")
            for mode in ("exported", "simplified"):
                lines.append(f"embed:convnext_small:onnxruntime:f32:nchw:{mode}:{batch}:{threads}")
            for precision in ("f32", "bf16"):
                modes = ["latency"] if threads == 1 else ["latency", "throughput", "split"]
                if batch == 1 and threads > 1:
                    modes.remove("split")
                for mode in modes:
                    lines.append(f"embed:convnext_small:openvino:{precision}:nchw:{mode}:{batch}:{threads}")
    for batch in (1, 16):
        for threads in (2, 1):
            for precision in ("f32", "bf16"):
                lines.append(f"embed:lite0:sbir:{precision}:nhwc:best:{batch}:{threads}")
            for layout in ("contiguous", "channels_last"):
                for mode in ("eager", "frozen"):
                    lines.append(f"embed:lite0:pytorch:f32:{layout}:{mode}:{batch}:{threads}")
            for mode in ("exported", "simplified"):
                lines.append(f"embed:lite0:onnxruntime:f32:nchw:{mode}:{batch}:{threads}")
            for precision in ("f32", "bf16"):
                for mode in ["latency"] if threads == 1 else ["latency", "throughput"]:
                    lines.append(f"embed:lite0:openvino:{precision}:nchw:{mode}:{batch}:{threads}")
    for threads in (2, 1):
        for precision in ("f32", "bf16"):
            lines.append(f"train:convnext_small:sbir:{precision}:nhwc:best:8:{threads}")
            for layout in ("contiguous", "channels_last"):
                for mode in ("eager", "compiled"):
                    lines.append(f"train:convnext_small:pytorch:{precision}:{layout}:{mode}:8:{threads}")
    for precision in ("f32", "bf16"):
        lines.append(f"train:convnext_small:pytorch:{precision}:channels_last:eager:20:2")
        lines.append(f"train:convnext_small:sbir:{precision}:nhwc:best:20:2")
        lines.append(f"train:convnext_small:sbir:{precision}:nhwc:best:60:2")
    return lines


def repeat(work, seconds: float, at_least: int = 3) -> float:
    """Calls of `work` a second, after a warm-up; on standard error how long the fastest took, and the first quarter at the most."""
    begun = time.perf_counter()
    work()
    while time.perf_counter() - begun < min(1.0, seconds):
        work()
    times, begun = [], time.perf_counter()
    while True:
        called = time.perf_counter()
        work()
        ended = time.perf_counter()
        times.append(1e3 * (ended - called))
        if len(times) >= at_least and ended - begun >= seconds:
            times.sort()
            print(f"least {times[0]:.3f} ms, quarter {times[len(times) // 4]:.3f} ms", file=sys.stderr)
            return len(times) / (ended - begun)


def check(found, network: str, precision: str, work: Path) -> None:
    import numpy as np

    found = np.asarray(found, dtype=np.float64)
    expected = np.load(work / f"{network}.npy")[: len(found)].astype(np.float64)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = ((found * expected).sum(axis=1) / lengths).min()
    print(f"cosine to PyTorch's f32: {cosine:.7f}", file=sys.stderr)
    if not cosine >= BARS[precision]:
        raise SystemExit(f"the embeddings disagree: cosine {cosine}, at least {BARS[precision]} is wanted")


def pytorch_embed(network, precision, layout, mode, batch, threads, work, seconds):
    import torch

    import encoder_models

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    model = encoder_models.load(network, work).eval()
    images = torch.from_numpy(encoder_models.inputs(network, work)[:batch].copy())
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    if mode == "frozen":
        import torch._inductor.config as inductor

        inductor.freezing = True
    call = model if mode == "eager" else torch.compile(model)
    # Freezing wants no_grad rather than inference_mode.
    with torch.no_grad(), autocast:
        check(call(images).float().numpy(), network, precision, work)
        return torch.__version__, repeat(lambda: call(images), seconds) * batch


def pytorch_train(network, precision, layout, mode, batch, threads, work, seconds):
    import torch
    from torch.nn import functional as F

    import encoder_models

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    model = encoder_models.load(network, work).train()
    images = torch.from_numpy(encoder_models.inputs(network, work)[: 2 * batch].copy())
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    sketches, photos = images[:batch], images[batch:]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    call = model if mode == "eager" else torch.compile(model)
    labels = torch.arange(batch)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = call(sketches) @ call(photos).T / 0.05
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        if not torch.isfinite(loss):
            raise SystemExit("the loss is not finite")

    return torch.__version__, repeat(step, seconds) * batch


def onnxruntime_embed(network, precision, layout, mode, batch, threads, work, seconds):
    import onnxruntime

    import encoder_models

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    simplified = "-simplified" if mode == "simplified" else ""
    path = str(work / f"{network}-{batch}{simplified}.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    images = {"images": encoder_models.inputs(network, work)[:batch].copy()}
    check(session.run(None, images)[0], network, precision, work)
    return onnxruntime.__version__, repeat(lambda: session.run(None, images), seconds) * batch


def openvino_embed(network, precision, layout, mode, batch, threads, work, seconds):
    import numpy
    import openvino

    import encoder_models

    core = openvino.Core()
    parts = threads if mode == "split" else 1
    model = core.read_model(work / f"{network}-{batch // parts}-simplified.onnx")
    streams = 1 if mode == "latency" else threads
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY" if mode == "latency" else "THROUGHPUT",
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(threads),
    }
    compiled = core.compile_model(model, "CPU", settings)
    took = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if took != precision:
        raise SystemExit(f"OpenVINO computes in {took}")
    images = numpy.split(encoder_models.inputs(network, work)[:batch].copy(), parts)
    requests = [compiled.create_infer_request() for _ in range(streams)]
    for place, request in enumerate(requests):
        request.set_input_tensor(openvino.Tensor(images[place % parts]))

    def call() -> None:
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()

    call()
    found = [request.get_output_tensor().data.copy() for request in requests[:parts]]
    check(numpy.concatenate(found), network, precision, work)
    each = batch if mode == "split" else batch * streams
    return openvino.__version__.split("-")[0], repeat(call, seconds) * each


def run(work: Path, configuration: str, number: str, seconds: float) -> None:
    task, network, tool, precision, layout, mode, batch, threads = configuration.split(":")
    # Before the libraries are loaded.
    os.environ["OMP_NUM_THREADS"] = threads
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(work / "inductor"))
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    measure = globals()[f"{tool}_{task}"]
    version, rate = measure(network, precision, layout, mode, int(batch), int(threads), work, seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fields = (task, network, tool, version, precision, layout, mode, batch, threads, number, f"{rate:.3f}", f"{peak:.0f}")
    print(",".join(fields), flush=True)


def report(folder: Path, work: Path) -> None:
    """Medians over the runs; shares of what the machine's multiply-add units allow with as many threads."""
    import csv
    import json
    from statistics import median

    arithmetic = json.loads((work / "arithmetic.json").read_text())
    limits: dict[tuple[str, str], dict[str, float]] = {}
    with open(folder / "peak.csv") as file:
        for row in csv.DictReader(file):
            best = limits.setdefault((row["precision"], row["threads"]), {})
            best[row["run"]] = max(best.get(row["run"], 0.0), float(row["gflops"]))
    limit = {key: median(runs.values()) for key, runs in limits.items()}
    print("The machine's limit, GFLOP/s (the best window of a round, median of the rounds):\n")
    print("| | 1 thread | 2 threads |\n|---|---|---|")
    for precision in dict.fromkeys(precision for precision, _ in limit):
        print(f"| {precision} | {limit.get((precision, '1'), 0):.0f} | {limit.get((precision, '2'), 0):.0f} |")
    groups: dict[tuple[str, ...], dict[tuple[str, ...], list[dict[str, str]]]] = {}
    with open(folder / "raw.csv") as file:
        for row in csv.DictReader(file):
            task = tuple(row[key] for key in ("task", "network", "precision", "batch", "threads"))
            form = tuple(row[key] for key in ("tool", "version", "layout", "mode"))
            groups.setdefault(task, {}).setdefault(form, []).append(row)
    for (task, network, precision, batch, threads), forms in sorted(groups.items()):
        unit, work_each = ("img/s", 1) if task == "embed" else ("pairs/s", 6)
        print(f"\n{task} {network}, {precision}, batch {batch}, {threads} thread{'s' * (threads != '1')}:\n")
        print(f"| tool | form | {unit} | lowest–highest | share of the limit | peak MiB | ours |\n|---|---|---|---|---|---|---|")
        rates = {form: [float(row["per_second"]) for row in rows] for form, rows in forms.items()}
        ours = next((median(rate) for form, rate in rates.items() if form[0] == "sbir"), None)
        for (tool, version, layout, mode), rate in sorted(rates.items(), key=lambda item: -median(item[1])):
            rows = forms[tool, version, layout, mode]
            share = median(rate) * work_each * arithmetic[network] / 1e9 / limit[precision, threads]
            memory = max(float(row["peak_mib"]) for row in rows)
            ratio = f"× {ours / median(rate):.2f}" if ours and tool != "sbir" else ""
            spread = f"{min(rate):.2f}–{max(rate):.2f} ({len(rate)})"
            print(f"| {tool} {version} | {layout}, {mode} | {median(rate):.2f} | {spread} | {share:.0%} | {memory:.0f} | {ratio} |")


def main() -> None:
    command, *arguments = sys.argv[1:]
    if command == "plan":
        print("\n".join(plan()))
    elif command == "run":
        work, configuration, number, *seconds = arguments
        run(Path(work), configuration, number, float(seconds[0]) if seconds else 4.0)
    elif command == "check":
        import numpy

        embeddings, work, network, precision = arguments
        width = numpy.load(Path(work) / f"{network}.npy").shape[1]
        check(numpy.fromfile(embeddings, "<f4").reshape(-1, width), network, precision, Path(work))
    elif command == "report":
        report(*map(Path, arguments))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
