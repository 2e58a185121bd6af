"""Cost against regret of every stopper on recorded curves: the tables of docs/methods-measured.md.

Every method searches the same 100 trials of a set, by the schedulers and the executor of any search, and ends when it
has spent a share of what training them all would cost. Settings of rivals are chosen on some of the sets, those with the
least mean regret at each cost; then all sets are measured. For methods with a record, the record is of the set's siblings
(--siblings), 100 trainings of each, whose configurations are not among the 100 trials.

    python benchmarks/methods.py FOLDER --tune cnn-cifar10 rnn-imdb-32-lstm128-bs128 --output methods.jsonl

It writes one JSON line for each method, set, cost and number of slots, with the regret of each repeat. What the file holds
already is not measured again, so it goes on where it was stopped.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.curves.table import Curves
from hypercurve.records.curve_files import read_curves
from methods_play import TRIALS, Options, Records, forecasting_once, played, setting_of, uneven

TUNING = 10_000  # repeats for tuning are others than those that are measured
SLACK = 1.05  # rivals may spend so many times the cost: it comes in steps, and who is cut off at the last finds little
ASYNCHRONOUS = ("asha, stopping", "asha, promotion", "median")
"""Of the rivals, those whose decisions depend on the number of slots."""


def rivals(points: int) -> dict[str, list[Options]]:
    """Settings to choose from, by name of the method."""
    rungs = [(eta, k) for eta, k in ((2, 1), (3, 1), (3, 2), (4, 2), (3, 3), (4, 4), (3, 6)) if k < points]
    rungs += [(2, k) for k in (2, 3, 6) if k < points]
    halving: list[Options] = [{"halving": {"reduction_factor": eta, "first_rung": k}} for eta, k in rungs]
    asha: dict[str, list[Options]] = {
        f"asha, {form}": [{"asha": {"form": form, "reduction_factor": eta, "first_rung": k}} for eta, k in rungs]
        for form in ("stopping", "promotion")
    }
    near = (round(max(1, round(points * share)) / points, 12) for share in (0.04, 0.06, 0.08, 0.1, 0.2))
    fixed: list[Options] = [
        {"fixed": {"share": share, "keep": keep}} for share in dict.fromkeys(near) for keep in (2, 3, 5, 8, 14, 20)
    ]
    return {
        "halving": halving,
        "hyperband": [{"hyperband": {"reduction_factor": eta}} for eta in (2, 3, 4)],
        **asha,
        "median": [{"median": {"first_check": k}} for k in (1, 2, 4) if k < points],
        "fixed": fixed,
        "patience": [{"patience": {"points": k}} for k in (1, 2, 3, 5, 10) if k < points],
    }


def natural(points: int) -> dict[str, Options]:
    """Rules that have no cost to keep to, with several settings: they cost what they cost."""
    found: dict[str, Options] = {}
    rates = [(s, 0.2) for s in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)] + [(0.9, 0.1), (0.95, 0.05)]
    for s, r in rates:
        found[f"lcm s={s} r={r}"] = {"lcm": {"stopping_rate": s, "split": r, "check_points": [0.1, 0.2, 0.4]}}
    for k in (1, 2, 3, 5, 10, 20):
        if k < points:
            found[f"patience {k} points"] = {"patience": {"points": k}}
    for k in (1, 2, 5, 10):
        if k < points:
            found[f"median from point {k}"] = {"median": {"first_check": k}}
    return found


def match(**options: Any) -> Options:
    """The view `match` alone, with a tenth of the budget for curves to match with."""
    return {"budget_halving": {"views": ["match"], "split": 0.02, "match": options}}


ALL_OPTIONS = {
    "neighbours": 5,
    "predict": "difference",
    "weights": "tail",
    "scale": "step",
    "stopped": True,
    "hyperparameters": 0.3,
}
ABLATION: dict[str, Options] = {
    "lcm's predictor": match(),
    "k nearest": match(neighbours=5),
    "difference": match(predict="difference"),
    "tail weights": match(weights="tail"),
    "step scale": match(scale="step"),
    "stopped curves": match(stopped=True),
    "hyperparameters": match(hyperparameters=0.5),
    "with last": {"budget_halving": {"views": ["match", "last"], "split": 0.02}},
    "all of these": {"budget_halving": {"views": ["match", "last"], "split": 0.02, "match": ALL_OPTIONS}},
    "last": {"budget_halving": {"views": ["last"]}},
    "lowest": {"budget_halving": {"views": ["lowest"]}},
    "gain": {"budget_halving": {"views": ["gain"]}},
    "lowest, gain": {"budget_halving": {}},
}


def points_of(curves: Curves, points: int | None) -> int:
    return points or len(curves.points)


def carried(stop: Options, points: int, tuned_at: int | None) -> Options:
    """A rival's setting for another number of points: numbers of points stay the same shares of training."""
    if tuned_at is None or points == tuned_at:
        return stop
    [(name, options)] = stop.items()
    scaled = {
        key: min(max(1, round(options[key] * points / tuned_at)), max(1, points - 1))
        for key in ("first_rung", "first_check", "points")
        if key in options
    }
    return {name: {**options, **scaled}}


def tuned(sets: Sequence[Curves], cost: float, repeats: int, points: int | None) -> Iterator[tuple[str, Options]]:
    """The setting of each rival with the least mean regret on some sets."""
    for name, options in rivals(min(points_of(curves, points) for curves in sets)).items():
        means = []
        for option in options:
            found = []
            for curves in sets:
                setting = setting_of(option, points_of(curves, points), SLACK * cost, 1)
                found += [played(setting, curves, TUNING + r).regret for r in range(repeats)]
            means.append(float(np.mean(found)))
        yield name, options[int(np.argmin(means))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tune", nargs="+", default=["cnn-cifar10"])
    parser.add_argument("--sets", nargs="*")
    parser.add_argument(
        "--siblings",
        nargs="+",
        default=["rnn-imdb"],
        help="sets whose names begin with the same of these are records of each other",
    )
    parser.add_argument("--costs", nargs="+", type=float, default=[0.1, 0.15, 0.3])
    parser.add_argument("--slots", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--points", type=int, help="accumulation points; by default those of the set")
    parser.add_argument("--spread", type=float, default=0.0, help="of the logarithm of trials' speeds")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--tuning-repeats", type=int, default=40)
    parser.add_argument("--kinds", nargs="+", default=["only", "siblings", "shuffled", "foreign"], help="of records")
    parser.add_argument("--parts", nargs="+", default=["rivals", "own", "record", "ablation", "natural"])
    parser.add_argument(
        "--every-slot", action="store_true", help="measure with each number of slots, for elapsed times"
    )
    parser.add_argument("--methods", nargs="*", help="of the parts, only these, as the output names them")
    parser.add_argument("--tuned", type=Path, help="file with the chosen settings; written if it is not there")
    parser.add_argument(
        "--tuned-at",
        type=int,
        help="the number of points at which the settings were chosen, where a set has another: they keep their shares",
    )
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    found = {path.name.removesuffix(".csv.gz"): read_curves(path) for path in sorted(given.folder.glob("*.csv.gz"))}
    chosen: dict[str, dict[str, Options]] = {}
    if given.tuned is not None and given.tuned.exists():
        chosen = json.loads(given.tuned.read_text())
    elif "rivals" in given.parts:
        for cost in given.costs:
            pick = tuned([found[name] for name in given.tune], cost, given.tuning_repeats, given.points)
            chosen[f"{cost:g}"] = dict(pick)
            print(cost, chosen[f"{cost:g}"], flush=True)
        if given.tuned is not None:
            given.tuned.write_text(json.dumps(chosen, indent=1) + "\n")
    lines = [json.loads(text) for text in given.output.read_text().splitlines()] if given.output.exists() else []
    known = {key_of_line(line) for line in lines}
    with given.output.open("a") as out, forecasting_once():
        for name in given.sets or found:
            for label, stop, cost, slots, kind, more in planned(name, len(found[name].points), chosen, given):
                start = {
                    "set": name,
                    "method": label,
                    "budget": cost,
                    "slots": slots,
                    "points": points_of(found[name], given.points),
                    "spread": given.spread,
                }
                if key_of_line(start) in known or (given.methods and label not in given.methods):
                    continue
                line = start | measured(found, name, stop, cost, slots, kind, label, more, given)
                out.write(json.dumps(line) + "\n")
                out.flush()
                print({key: value for key, value in line.items() if key != "regrets"}, flush=True)


def siblings(name: str, prefixes: Sequence[str]) -> str:
    """What the names of a set's siblings begin with; empty if it has none."""
    return next((prefix for prefix in prefixes if name.startswith(prefix)), "")


def key_of_line(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two measurements the same."""
    return (*(line[key] for key in ("set", "method", "budget", "slots", "points")), line.get("spread", 0.0))


Plan = tuple[str, Options | str | None, float | None, int, str | None, Mapping[str, Any]]


def planned(
    name: str, recorded: int, chosen: Mapping[str, Mapping[str, Options]], given: argparse.Namespace
) -> Iterator[Plan]:
    """What to measure on one set: label, stopper, cost, slots, kind of record, other keys of the method."""
    related = bool(siblings(name, given.siblings))
    for cost in given.costs:
        for slots in given.slots:
            first = slots == given.slots[0] or given.every_slot
            if "rivals" in given.parts:
                for label, stop in chosen[f"{cost:g}"].items():
                    if label in ASYNCHRONOUS or first:
                        yield label, carried(stop, given.points or recorded, given.tuned_at), cost, slots, None, {}
            if "own" in given.parts:
                yield "budget_halving", "budget_halving", cost, slots, None, {}
                if first:
                    yield "lcm", "lcm", cost, slots, None, {}
            if "record" in given.parts and related and first:
                for kind in given.kinds:
                    if kind == "only":
                        yield "record: hyperparameters only", None, cost, slots, "siblings", {"preselect": cost}
                        continue
                    yield f"budget_halving, record: {kind}", "budget_halving", cost, slots, kind, {}
        if "ablation" in given.parts:
            for label, stop in ABLATION.items():
                yield f"alone: {label}", stop, cost, 1, None, {}
        if "ablation-record" in given.parts and related:
            for label, stop in ABLATION.items():
                yield f"alone, record: {label}", stop, cost, 1, "siblings", {}
    if "natural" in given.parts:
        for label, stop in natural(given.points or recorded).items():
            yield label, stop, None, 1, None, {}


def measured(
    found: Mapping[str, Curves],
    name: str,
    stop: Options | str | None,
    cost: float | None,
    slots: int,
    kind: str | None,
    label: str,
    more: Mapping[str, Any],
    given: argparse.Namespace,
) -> dict[str, Any]:
    """The result of one method on one set."""
    curves = uneven(found[name], given.spread) if given.spread else found[name]
    prefix = siblings(name, given.siblings)
    family = [found[other] for other in found if prefix and other != name and other.startswith(prefix)]
    rival = kind is None and not label.startswith(("budget_halving", "alone"))
    setting = setting_of(
        stop,
        points_of(curves, given.points),
        SLACK * cost if rival and cost is not None else cost,
        slots,
        **more,
        **({} if kind is None else {"record": ["siblings"]}),
    )
    records = None if kind is None else Records(curves, family, kind)
    outcomes = [played(setting, curves, r, None if records is None else records.of(r)) for r in range(given.repeats)]
    regrets, costs, elapsed, idle = zip(*outcomes, strict=True)
    return {
        "trials": TRIALS,
        "repeats": given.repeats,
        "cost": round(float(np.mean(costs)), 4),
        "regret": round(float(np.mean(regrets)), 5),
        "interval": round(1.96 * float(np.std(regrets, ddof=1)) / math.sqrt(len(regrets)), 5),
        "elapsed": round(float(np.mean(elapsed)), 4),
        "idle": round(float(np.mean(idle)), 4),
        "regrets": [round(value, 5) for value in regrets],
    }


if __name__ == "__main__":
    main()
