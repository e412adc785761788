"""Lays training runs side by side: one plot, and the checks of the bars. Exit code 1 if one fails.

    python scripts/parity/plot_whole_run.py REFERENCE.jsonl RUN.jsonl … --out curves.png

Reads JSON lines: any with `step` and `loss` is a training step, and the last with a `recall` (at the top or under
`evaluation`) is the evaluation; other lines are passed over. Every run is compared with the first:
its first 20 losses within 1e-3 relative, the mean of its last 20 within 5 %, its recall@10 inside the reference's interval, and
the length of the weights' whole update within 1e-3 where both tell it. --control marks runs that were made wrong on purpose: drawn and printed, not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

FIRST, LAST = 20, 20
FIRST_BAR, LAST_BAR, UPDATE_BAR = 1e-3, 0.05, 1e-3
COLOURS = ["#264653", "#e76f51", "#2a9d8f", "#b08900", "#7b6d8d"]


class Run:
    def __init__(self, path: Path, name: str):
        self.name = name
        self.losses: list[float] = []
        self.recall = self.interval = self.update = None
        steps: dict[int, float] = {}
        for text in path.read_text().splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            if not isinstance(line, dict):
                continue
            # A resumed run may write a step twice: the later line counts.
            if isinstance(line.get("step"), int) and isinstance(line.get("loss"), (int, float)):
                steps[line["step"]] = float(line["loss"])
            self.update = line.get("update_norm", self.update)
            for found in (line, line.get("evaluation")):
                if isinstance(found, dict) and isinstance(found.get("recall"), dict) and "10" in found["recall"]:
                    self.recall = found["recall"]["10"]
                    self.interval = found.get("recall_interval", {}).get("10")
        if not steps:
            sys.exit(f"error: {path} has no line with `step` and `loss`")
        # By order, not by number: one counts steps from 0, another from 1.
        numbers = sorted(steps)
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            sys.exit(f"error: {path} leaves out steps; the comparison needs each one")
        self.losses = [steps[number] for number in numbers]


def relative(run: Run, reference: Run) -> list[float]:
    return [abs(a - b) / abs(b) if math.isfinite(a) else math.inf for a, b in zip(run.losses, reference.losses)]


def mean_of_last(run: Run) -> float:
    return sum(run.losses[-LAST:]) / len(run.losses[-LAST:])


def check(run: Run, reference: Run) -> bool:
    """Prints the three checks and returns whether all hold."""
    first = relative(run, reference)[:FIRST]
    last = abs(mean_of_last(run) - mean_of_last(reference)) / mean_of_last(reference)
    same_length = len(run.losses) == len(reference.losses)
    results = [
        (len(first) == FIRST and max(first) <= FIRST_BAR, f"first {FIRST} losses: largest relative difference {max(first):.2e} (bar {FIRST_BAR:g})"),
        (same_length and last <= LAST_BAR, f"mean of the last {LAST}: {mean_of_last(run):.4f}, off by {last:.2%} (bar {LAST_BAR:.0%}); "
         f"{len(run.losses)} steps, reference {len(reference.losses)}"),
    ]
    if run.recall is not None and reference.interval is not None:
        low, high = reference.interval
        results.append((low <= run.recall <= high, f"recall@10 {run.recall:.3f}, reference {reference.recall:.3f} in [{low:.3f}, {high:.3f}]"))
    else:
        results.append((False, "recall@10: missing in one of the runs"))
    if run.update is not None and reference.update is not None:
        off = abs(run.update / reference.update - 1)
        results.append((off <= UPDATE_BAR, f"length of the update {run.update:.5f}, off by {off:.1e} (bar {UPDATE_BAR:g})"))
    print(run.name)
    for held, text in results:
        print(f"  {'ok  ' if held else 'FAIL'} {text}")
    return all(held for held, _ in results)


def draw(runs: list[Run], out: Path) -> None:
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "svg.hashsalt": "parity"})
    figure, (curves, gaps) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(3, 2), layout="constrained")
    styles = ["-", "--", ":", "-.", (0, (1, 3))]
    for index, run in enumerate(runs):
        look = {"color": COLOURS[index % len(COLOURS)], "linestyle": styles[index % len(styles)], "label": run.name}
        curves.plot(range(1, len(run.losses) + 1), run.losses, linewidth=2.4 if index == 0 else 1.5, alpha=0.5 if index == 0 else 1, **look)
        if index:
            gap = [max(value, 1e-9) for value in relative(run, runs[0])[:FIRST]]
            gaps.semilogy(range(1, len(gap) + 1), gap, marker="o", markersize=3, linewidth=1.2, **look)
    gaps.axhline(FIRST_BAR, color="#8d8d8d", linewidth=1)
    gaps.annotate("bar", (1, FIRST_BAR), textcoords="offset points", xytext=(0, 4), color="#6d6d6d", fontsize=9)
    gaps.set_xticks([1, 5, 10, 15, FIRST])
    for axes, title in ((curves, "Loss"), (gaps, f"Relative difference from {runs[0].name}")):
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("step")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#8d8d8d")
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
    curves.set_ylim(bottom=0)
    curves.legend(frameon=False)
    figure.savefig(out, dpi=150, metadata={"Date": None} if out.suffix == ".svg" else None)
    print(f"drawn to {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="metrics as JSON lines; the first is the reference")
    parser.add_argument("--control", type=Path, action="append", default=[], help="a run made wrong on purpose (repeatable)")
    parser.add_argument("--names", nargs="+", help="names for the legend, runs first and then controls")
    parser.add_argument("--out", type=Path, default=Path("whole_run.png"), help=".png or .svg")
    arguments = parser.parse_args()
    paths = arguments.runs + arguments.control
    names = arguments.names or [path.stem if path.stem != "metrics" else path.parent.name for path in paths]
    if len(names) != len(paths) or len(paths) < 2:
        parser.error("give at least two runs in all, and as many names as runs if any")
    runs = [Run(path, name) for path, name in zip(paths, names)]
    held = [check(run, runs[0]) for run in runs[1 : len(arguments.runs)]]
    for control in runs[len(arguments.runs) :]:
        print("control, expected to fail:")
        check(control, runs[0])
    draw(runs, arguments.out)
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
