"""The tables and the figure of docs/methods.md from what benchmarks/methods.py has written.

python benchmarks/methods_table.py methods.jsonl --figure docs/figures/matching.svg
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from hypercurve.analysis.figures import save

Line = Mapping[str, Any]


def read(paths: Sequence[Path]) -> list[Line]:
    """All lines; of equal measurements the last one."""
    found = {}
    for path in paths:
        for text in path.read_text().splitlines():
            line = json.loads(text)
            found[line["set"], line["method"], line["budget"], line["slots"], line["points"]] = line
    return list(found.values())


def table(lines: Sequence[Line], budget: float | None, slots: int) -> str:
    """Mean regret of each method on each set, with half the width of its 95 % interval."""
    chosen = [line for line in lines if line["budget"] == budget and line["slots"] == slots]
    sets = sorted({line["set"] for line in chosen})
    methods = list(dict.fromkeys(line["method"] for line in chosen))
    short = [name.removeprefix("rnn-imdb-") for name in sets]
    rows = [f"| method | cost | {' | '.join(short)} | mean |", "| --- " * (len(sets) + 3) + "|"]
    for method in methods:
        own = {line["set"]: line for line in chosen if line["method"] == method}
        cells = [f"{own[name]['regret']:.3f} ± {own[name]['interval']:.3f}" if name in own else "" for name in sets]
        mean = np.mean([line["regret"] for line in own.values()])
        cost = np.mean([line["cost"] for line in own.values()])
        note = f"{mean:.3f}" + (f" (of {len(own)})" if len(own) < len(sets) else "")
        rows.append(f"| {method} | {cost:.3f} | {' | '.join(cells)} | {note} |")
    return "\n".join(rows)


def figure(lines: Sequence[Line], sets: Sequence[str]) -> Any:
    """Mean regret over sets against mean cost, one line a method; intervals are of the mean over all replays."""
    # The guard drops shuffled and foreign records: they lie where `matching` does.
    left_out = ("shuffled", "foreign")
    chosen = [
        line
        for line in lines
        if line["slots"] == 1 and line["set"] in sets and not line["method"].endswith(left_out) and line["budget"]
    ]
    chosen = [line for line in chosen if not line["method"].startswith("alone")]
    methods = list(dict.fromkeys(line["method"] for line in chosen))
    drawn, axes = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
    for number, method in enumerate(methods):
        points = []
        for budget in sorted({line["budget"] or 1.0 for line in chosen if line["method"] == method}):
            own = [line for line in chosen if line["method"] == method and (line["budget"] or 1.0) == budget]
            if len(own) == len(sets):
                regrets = np.array([line["regrets"] for line in own])
                half = 1.96 * float(regrets.std(axis=1, ddof=1).mean()) / math.sqrt(regrets.size)
                points.append((float(np.mean([line["cost"] for line in own])), float(regrets.mean()), half))
        if points:
            costs, means, halves = zip(*sorted(points), strict=True)
            marker, width = "osD^vP*Xh<>d"[number % 12], 2.4 if method.startswith("matching") else 1.0
            axes.errorbar(
                costs, means, yerr=halves, marker=marker, markersize=5, linewidth=width, capsize=2, label=method
            )
    axes.set(xlabel="cost (share of full training)", ylabel="mean regret", xscale="log", yscale="log")
    axes.set_xticks([0.1, 0.15, 0.2, 0.3], [".10", ".15", ".20", ".30"])
    axes.set_xticks([], minor=True)
    axes.set_yticks([0.003, 0.01, 0.03, 0.1, 0.3], [".003", ".01", ".03", ".1", ".3"])
    axes.set_yticks([], minor=True)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    lines = read(given.files)
    for budget, slots in sorted({(line["budget"] or 1.0, line["slots"]) for line in lines}):
        print(f"\ncost {budget:g}, {slots} slots\n")
        print(table(lines, None if budget == 1.0 else budget, slots))
    if given.figure is not None:
        family = sorted({line["set"] for line in lines if "record" in line["method"]})
        save(figure(lines, family), given.figure, given.figure.with_suffix(".png"))


if __name__ == "__main__":
    main()
