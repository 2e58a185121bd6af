"""A compact table of what benchmarks/methods.py has written: our methods against the best rival, one row a family and cost.

    python benchmarks/families_table.py blind.jsonl --siblings image language control --figure docs/figures/blind.png

Differences are paired by repeat, with 95 % bootstrap intervals; the best rival is the one with the least mean regret on the
family's sets and on these very repeats, which is in its favour.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from hypercurve.analysis.figures import save
from hypercurve.analysis.figures.style import styled
from methods import siblings
from methods_table import RIVALS, Line, draw, interval, legend, read

Regrets = Mapping[str, npt.NDArray[np.float64]]
ALLOWED = 1.05  # of the best rival's regret
DROPPED = ("shuffled", "foreign")  # records: they lie where `budget_halving` does


def rows(lines: Sequence[Line], family: str) -> Iterator[str]:
    """The rows of one family, by cost and method."""
    for budget in sorted({line["budget"] for line in lines if line["budget"] is not None}):
        some = [line for line in lines if line["budget"] == budget]
        found: dict[str, Regrets] = {
            method: {line["set"]: np.array(line["regrets"]) for line in some if line["method"] == method}
            for method in dict.fromkeys(line["method"] for line in some)
        }
        costs = {method: np.mean([line["cost"] for line in some if line["method"] == method]) for method in found}
        rivals = {method: found[method] for method in RIVALS if method in found}
        best = min(rivals, key=lambda rival: np.mean([regrets.mean() for regrets in rivals[rival].values()]))
        for method, own in found.items():
            if method in rivals or not method.startswith(("budget_halving", "record")):
                continue
            pairs = {name: _paired(own[name], rivals[best][name]) for name in own}
            mine, theirs = (np.mean([pair[k].mean() for pair in pairs.values()]) for k in (0, 1))
            apart = tuple(pair[0] - ALLOWED * pair[1] for pair in pairs.values())
            low, high = interval(apart)
            # On each set against the rival that is best there.
            good = sum(
                own[name].mean()
                <= ALLOWED * min(_paired(own[name], regrets[name])[1].mean() for regrets in rivals.values())
                for name in own
            )
            middle = np.mean([values.mean() for values in apart])
            yield (
                f"| {family} | {budget:.2f} | {method} | {costs[method]:.3f} | {mine:.3f} | {best} {theirs:.3f} | "
                f"{middle:+.3f} [{low:+.3f}, {high:+.3f}] | {good} of {len(own)} |"
            )


def _paired(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The repeats that both have."""
    return one[: len(other)], other[: len(one)]


@styled
def figure(lines: Sequence[Line], families: Sequence[str], path: Path) -> Figure:
    """Mean regret over a family's sets against mean cost, one panel a family; methods that all families have."""
    drawn, panels = plt.subplots(
        1, len(families), figsize=(10.0, 3.6), sharex=True, sharey=True, layout="constrained", squeeze=False
    )
    shown = set.intersection(
        *({line["method"] for line in lines if line["set"].startswith(family)} for family in families)
    )
    for axes, family in zip(panels[0], families, strict=True):
        some = [line for line in lines if line["set"].startswith(family) and line["method"] in shown]
        some = [line for line in some if not line["method"].endswith(DROPPED)]
        draw(axes, some, sorted({line["set"] for line in some}))
        axes.set_title(family, loc="left")
        axes.set(xlim=(0.06, 0.4))
    drawn.supxlabel("cost (share of full training)")
    drawn.supylabel("mean regret (below .001: .001)")
    legend(drawn, panels[0])
    save(drawn, path.with_suffix(".svg"), path)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--siblings", nargs="+", required=True, help="what the names of a family's sets begin with")
    parser.add_argument("--figure", type=Path, help="a .png file, and an .svg file beside it")
    given = parser.parse_args()
    lines = read(given.files)
    if given.figure is not None:
        figure(lines, given.siblings, given.figure)
    head = "| family | cost | method | spent | regret | best rival | less 1.05 of it | sets within 5 % of their best rival |"
    print(f"{head}\n{'| --- ' * 8}|")
    for family in given.siblings:
        for row in rows([line for line in lines if siblings(line["set"], given.siblings) == family], family):
            print(row)


if __name__ == "__main__":
    main()
