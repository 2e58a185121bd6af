"""How well a regret budget of LCM is kept on tasks that it was not chosen on: a table of docs/methods-measured.md.

For each set and budget, the stopping rate is calibrated on the set's siblings, as for a method with
`stopping_rate: {regret: ...}` and a `record` of them. Then LCM with this rate is replayed on the set itself.

    python benchmarks/budgets.py FOLDER --siblings rnn-imdb --output budgets.jsonl

It writes one JSON line for each set and budget, passes over what the file holds already, and prints the tables.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.curves.record import Calibration, RecordError
from hypercurve.curves.table import Curves
from hypercurve.records.calibration import calibrated
from hypercurve.records.curve_files import read_curves
from methods import siblings
from methods_play import played, setting_of
from methods_table import short

SPLIT, CHECKS = 0.2, [0.1, 0.2, 0.4]


def chosen(budget: float, curves: Curves, family: list[Curves]) -> Calibration | None:
    """What a set's siblings choose for it; None where they refuse the budget."""
    setting = setting_of(lcm({"regret": budget}), len(curves.points), None, 1, record=["siblings"])
    try:
        return calibrated(setting, family)
    except RecordError:
        return None


def lcm(rate: Any) -> dict[str, Any]:
    """LCM with this stopping rate."""
    return {"lcm": {"stopping_rate": rate, "split": SPLIT, "check_points": CHECKS}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--siblings", nargs="+", default=["rnn-imdb"], help="as for methods.py")
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.02, 0.05, 0.1, 0.2])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    found = {path.name.removesuffix(".csv.gz"): read_curves(path) for path in sorted(given.folder.glob("*.csv.gz"))}
    lines = [json.loads(text) for text in given.output.read_text().splitlines()] if given.output.exists() else []
    known = {(line["set"], line["budget"]) for line in lines}
    with given.output.open("a") as out:
        for name, curves in found.items():
            prefix = siblings(name, given.siblings)
            family = [found[other] for other in found if prefix and other != name and other.startswith(prefix)]
            for budget in given.budgets if family else ():
                if (name, budget) in known:
                    continue
                line = {"set": name, "family": prefix, "budget": budget} | measured(
                    curves, family, budget, given.repeats
                )
                lines.append(line)
                out.write(json.dumps(line) + "\n")
                out.flush()
    for prefix in given.siblings:
        print(f"\n{prefix}\n\n{table([line for line in lines if line['family'] == prefix])}")


def measured(curves: Curves, family: list[Curves], budget: float, repeats: int) -> dict[str, Any]:
    """The rate that the siblings choose, and what LCM with it costs and loses on the set."""
    choice = chosen(budget, curves, family)
    if choice is None:
        return {"s": None, "repeats": repeats}
    setting = setting_of(lcm(choice.stopping_rate), len(curves.points), None, 1)
    outcomes = [played(setting, curves, repeat) for repeat in range(repeats)]
    regrets = np.array([one.regret for one in outcomes])
    return {
        "s": choice.stopping_rate,
        "expected_cost": round(choice.cost, 4),
        "expected_regret": round(choice.regret, 5),
        "expected_missed": round(choice.missed, 4),
        "repeats": repeats,
        "cost": round(float(np.mean([one.cost for one in outcomes])), 4),
        "regret": round(float(regrets.mean()), 5),
        "interval": round(1.96 * float(regrets.std(ddof=1)) / math.sqrt(repeats), 5),
        "missed": round(float((regrets > 0).mean()), 4),
    }


def table(lines: list[dict[str, Any]]) -> str:
    """By budget: on each set the rate and the regret found with it; then how often the budget is kept, and the mean cost."""
    sets = list(dict.fromkeys(line["set"] for line in lines))
    head = [short(name) for name in sets]
    rows = [f"| budget | {' | '.join(head)} | kept on | mean regret | cost |", "| --- " * (len(sets) + 4) + "|"]
    for budget in sorted({line["budget"] for line in lines}):
        own = {line["set"]: line for line in lines if line["budget"] == budget}
        cells = []
        for name in sets:
            line = own.get(name)
            if line is None:
                cells.append("")
            elif line["s"] is None:
                cells.append("refused")
            else:
                cells.append(f"{line['regret']:.3f} ± {line['interval']:.3f} (s = {line['s']:g})")
        some = [line for line in own.values() if line["s"] is not None]
        kept = sum(line["regret"] <= budget for line in some)
        means = [float(np.mean([line[key] for line in some])) if some else math.nan for key in ("regret", "cost")]
        rows.append(f"| {budget:g} | {' | '.join(cells)} | {kept} of {len(some)} | {means[0]:.3f} | {means[1]:.2f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
