"""The tables and figures of docs/methods.md from what benchmarks/methods.py has written.

    python benchmarks/methods_table.py methods.jsonl --figures docs/figures --csv docs/methods.csv

It prints the mean regret of each method on each set, differences from the best rival, and elapsed times. Differences are
paired by repeat, since all methods search the same trials; their intervals are 95 % bootstrap percentile intervals. The
best rival is the one with the least mean regret on these very repeats, which is in its favour.
"""

import argparse
import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import bootstrap

from hypercurve.analysis.figures import save
from hypercurve.analysis.figures.style import styled
from methods import key_of_line

Line = Mapping[str, Any]
RIVALS = ("halving", "asha, stopping", "asha, promotion", "hyperband", "median", "fixed")
KEYS = (
    "set",
    "method",
    "budget",
    "slots",
    "points",
    "spread",
    "repeats",
    "cost",
    "regret",
    "interval",
    "elapsed",
    "idle",
)
# Colour, line and marker: one colour a rule; dotted where its settings differ in place of its budget.
LOOKS: dict[str, tuple[str, Any, str]] = {
    "budget_halving": ("#000000", "-", "o"),
    "budget_halving, record: siblings": ("#D55E00", "-", "o"),
    "record: hyperparameters only": ("#8796a5", "-", "X"),
    "halving": ("#0072B2", "-", "s"),
    "hyperband": ("#0072B2", (0, (5, 1.5)), "D"),
    "asha, promotion": ("#009E73", "-", "^"),
    "asha, stopping": ("#009E73", (0, (5, 1.5)), "v"),
    "fixed": ("#E69F00", "-", "P"),
    "median": ("#CC79A7", "-", "s"),
    "median, settings": ("#CC79A7", (0, (1.2, 1.2)), "s"),
    "patience": ("#56B4E9", "-", "D"),
    "patience, settings": ("#56B4E9", (0, (1.2, 1.2)), "D"),
    "lcm": ("#666666", "-", "^"),
    "lcm, settings": ("#666666", (0, (1.2, 1.2)), "^"),
}
TICKS = {"x": [0.1, 0.15, 0.3, 0.5, 1.0], "y": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]}


def read(paths: Sequence[Path]) -> list[Line]:
    """All lines; of equal measurements the last one."""
    found = {}
    for path in paths:
        for text in path.read_text().splitlines():
            line = json.loads(text)
            found[key_of_line(line)] = line
    return list(found.values())


def short(name: str) -> str:
    """A set as the documentation calls it; of other families, what follows the family's name."""
    kinds = {"128-lstm": "lstm 128", "32-lstm": "lstm 32"} | {kind: kind for kind in ("gru", "irnn", "vrnn", "cnn")}
    return next((kind for part, kind in kinds.items() if part in name), name.partition("-")[2] or name)


def table(lines: Sequence[Line]) -> str:
    """Mean regret of each method on each set, with half the width of its 95 % interval."""
    sets = sorted({line["set"] for line in lines})
    rows = [f"| method | cost | {' | '.join(map(short, sets))} | mean |", "| --- " * (len(sets) + 3) + "|"]
    for method in dict.fromkeys(line["method"] for line in lines):
        own = {line["set"]: line for line in lines if line["method"] == method}
        cells = [f"{own[name]['regret']:.3f} ± {own[name]['interval']:.3f}" if name in own else "" for name in sets]
        mean = np.mean([line["regret"] for line in own.values()])
        cost = np.mean([line["cost"] for line in own.values()])
        note = f"{mean:.3f}" + (f" (of {len(own)})" if len(own) < len(sets) else "")
        rows.append(f"| {method} | {cost:.3f} | {' | '.join(cells)} | {note} |")
    return "\n".join(rows)


def differences(lines: Sequence[Line]) -> str:
    """Each of our methods less the best rival of each set, and less the best rival on the mean of the sets."""
    rows = ["| method | set | best rival | its regret | own regret | own less 1.05 of it |", "| --- " * 6 + "|"]
    own = [method for method in dict.fromkeys(line["method"] for line in lines) if method.startswith("budget_halving")]
    for method in own:
        mine = {line["set"]: np.array(line["regrets"]) for line in lines if line["method"] == method}
        rivals = {
            rival: {line["set"]: np.array(line["regrets"]) for line in lines if line["method"] == rival}
            for rival in RIVALS
        }
        rivals = {rival: regrets for rival, regrets in rivals.items() if set(regrets) >= set(mine)}
        if not rivals:
            continue
        for name in [*sorted(mine), "mean"]:
            some = sorted(mine) if name == "mean" else [name]
            best = min(rivals, key=lambda rival: np.mean([rivals[rival][one].mean() for one in some]))
            pairs = [(mine[one][: len(rivals[best][one])], rivals[best][one][: len(mine[one])]) for one in some]
            of_rival = np.mean([their.mean() for _, their in pairs])
            of_mine = np.mean([regrets.mean() for regrets, _ in pairs])
            apart = tuple(regrets - 1.05 * their for regrets, their in pairs)
            low, high = interval(apart)
            middle = np.mean([values.mean() for values in apart])
            rows.append(
                f"| {method} | {short(name)} | {best} | {of_rival:.3f} | {of_mine:.3f} | "
                f"{middle:+.3f} [{low:+.3f}, {high:+.3f}] |"
            )
    return "\n".join(rows)


def interval(samples: Sequence[np.ndarray[Any, Any]]) -> tuple[float, float]:
    """95 % bootstrap percentile interval of the mean of the samples' means, each resampled by itself."""
    if all(np.ptp(sample) == 0 for sample in samples):
        return float(np.mean(samples)), float(np.mean(samples))
    found = bootstrap(
        samples,
        lambda *some, axis: np.mean([sample.mean(axis=axis) for sample in some], axis=0),
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def lost(lines: Sequence[Line]) -> str:
    """Share of repeats in which LCM stops the best trial: it then finds another, and the regret is above 0."""
    sets = sorted({line["set"] for line in lines})
    rows = [f"| lcm | {' | '.join(map(short, sets))} | mean | cost |", "| --- " * (len(sets) + 3) + "|"]
    for method in dict.fromkeys(line["method"] for line in lines if line["method"].startswith("lcm")):
        own = {line["set"]: line for line in lines if line["method"] == method}
        if set(own) == set(sets):
            shares = [float(np.mean(np.array(own[name]["regrets"]) > 0)) for name in sets]
            cells = " | ".join(f"{share:.2f}" for share in (*shares, np.mean(shares)))
            rows.append(f"| {method} | {cells} | {np.mean([line['cost'] for line in own.values()]):.2f} |")
    return "\n".join(rows)


def elapsed(lines: Sequence[Line]) -> str:
    """Means over sets: cost, regret, time to the end, and the share of it in which slots were idle."""
    rows = ["| method | cost | regret | elapsed | idle |", "| --- " * 5 + "|"]
    for method in dict.fromkeys(line["method"] for line in lines):
        own = [line for line in lines if line["method"] == method and "elapsed" in line]
        if own:
            means = (float(np.mean([line[key] for line in own])) for key in ("cost", "regret", "elapsed", "idle"))
            rows.append("| {} | {:.3f} | {:.3f} | {:.2f} | {:.0%} |".format(method, *means))
    return "\n".join(rows)


def curves_of(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Lines that are one curve of a figure: a method at all its costs, or a rule at all its settings."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        method = line["method"]
        if line["budget"] is None:
            method = f"{method.split()[0]}, settings"
        found.setdefault(method, []).append(line)
    return found


def draw(axes: Any, lines: Sequence[Line], sets: Sequence[str]) -> None:
    """Mean regret over sets against mean cost, one line a method; intervals are of the mean over all replays."""
    for name, own in curves_of(lines).items():
        points = []
        for key in dict.fromkeys((line["method"], line["budget"]) for line in own):
            some = [line for line in own if (line["method"], line["budget"]) == key and line["set"] in sets]
            if some and len(some) == len(sets):
                half = math.sqrt(sum(line["interval"] ** 2 for line in some)) / len(some)
                mean = float(np.mean([line["regret"] for line in some]))
                points.append((float(np.mean([line["cost"] for line in some])), mean, half))
        if points:
            colour, line, marker = LOOKS[name]
            own_rule = name.startswith("budget_halving")
            costs, means, halves = zip(*sorted(points), strict=True)
            axes.errorbar(
                costs,
                np.maximum(means, 0.001),
                yerr=np.minimum(halves, np.maximum(means, 0.001) * 0.9),
                marker=marker,
                color=colour,
                markersize=5 if own_rule else 3.5,
                linewidth=2.0 if own_rule else 1.0,
                linestyle=line,
                elinewidth=0.7,
                capsize=1.5,
                zorder=4 if name.startswith("record") else 3 if own_rule else 2,
                label=name,
            )
    axes.set(xscale="log", yscale="log", xlim=(0.06, 1.0), ylim=(0.0008, 3.6))
    axes.set_xticks(TICKS["x"], [f"{tick:g}".lstrip("0") for tick in TICKS["x"]])
    axes.set_xticks([], minor=True)
    axes.set_yticks(TICKS["y"], [f"{tick:g}".lstrip("0") for tick in TICKS["y"]])
    axes.set_yticks([], minor=True)


def legend(drawn: Figure, panels: Iterable[Any]) -> None:
    """One legend beside all panels, ours first."""
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    labels = sorted(handles, key=list(LOOKS).index)
    drawn.legend([handles[label] for label in labels], labels, loc="outside right upper")


@styled
def figures(lines: Sequence[Line], folder: Path) -> Figure:
    """`budget_halving`: the mean over the sets with a record; `methods`, which is returned: every set by itself."""
    # The guard drops shuffled and foreign records: they lie where `budget_halving` does.
    chosen = [
        line
        for line in lines
        if line["slots"] == 1
        and not line.get("spread")
        and line["points"] >= 20
        and not line["method"].endswith(("shuffled", "foreign"))
        and not line["method"].startswith("alone")
    ]
    family = sorted({line["set"] for line in chosen if "record" in line["method"]} or {line["set"] for line in chosen})
    drawn, axes = plt.subplots(figsize=(7.0, 4.0), layout="constrained")
    draw(axes, chosen, family)
    axes.set(xlabel="cost (share of full training)", ylabel="mean regret (below .001: .001)")
    legend(drawn, [axes])
    save(drawn, folder / "budget-halving.svg", folder / "budget-halving.png")
    sets = sorted({line["set"] for line in chosen})
    drawn, grid = plt.subplots(2, 3, figsize=(10.0, 6.0), sharex=True, sharey=True, layout="constrained")
    for axes, name in zip(grid.flat, sets, strict=False):
        draw(axes, chosen, [name])
        axes.set_title(short(name), loc="left")
    drawn.supxlabel("cost (share of full training)")
    drawn.supylabel("mean regret (below .001: .001)")
    legend(drawn, grid.flat)
    save(drawn, folder / "methods.svg", folder / "methods.png")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--figures", type=Path, help="folder for budget-halving.png and methods.png")
    parser.add_argument(
        "--csv", type=Path, help="all means, added to the rows that the file has, one a method, set, cost and slots"
    )
    given = parser.parse_args()
    lines = read(given.files)
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        alone = line["method"].partition(":")[0] if line["method"].startswith("alone") else ""
        kind = alone, line["points"] < 20, line.get("spread", 0.0), line["budget"] or 1.0, line["slots"]
        groups.setdefault(kind, []).append(line)
    for (alone, few, spread, budget, slots), some in sorted(groups.items(), key=lambda group: group[0]):
        note = f", {alone}" if alone else ""
        note += (", few points" if few else "") + (f", speeds spread by {spread:g}" if spread else "")
        print(f"\n### cost {budget:g}, {slots} slots{note}\n\n{table(some)}")
        if budget == 1:
            print(f"\n{lost(some)}")
        elif not alone:
            print(f"\n{differences(some)}")
        if slots > 1:
            print(f"\n{elapsed(some)}")
    if given.csv is not None:
        write_means(lines, given.csv)
    if given.figures is not None:
        figures(lines if given.csv is None else read_means(given.csv), given.figures)


def write_means(lines: Sequence[Line], path: Path) -> None:
    """Write all means; rows that the file has already stay, unless they were measured anew."""

    def key(row: Mapping[str, Any]) -> tuple[str, ...]:
        values = (row[name] for name in KEYS[:6])
        return tuple("" if value is None else f"{float(value):g}" if _numeric(value) else value for value in values)

    rows: dict[tuple[str, ...], Mapping[str, Any]] = {}
    if path.exists():
        with path.open(newline="") as file:
            rows = {key(row): row for row in csv.DictReader(file)}
    rows |= {key({"spread": 0.0, **line}): {"spread": 0.0, **line} for line in lines}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, KEYS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[place] for place in sorted(rows))


def read_means(path: Path) -> list[Line]:
    """The rows of such a file, with numbers for numbers."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: (float(value) if _numeric(value) else value or None) for name, value in row.items()} for row in rows]


def _numeric(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
