"""Cost against regret of every stopper on recorded curves: the tables of docs/methods.md.

Every method searches the same 100 trials of a set, by the schedulers and the executor of any search, and ends when it
has spent a share of what training them all would cost. Settings of rivals are chosen on some of the sets, those with the
least mean regret at each cost; then all sets are measured. For methods with a record, the record is of the set's siblings
(--siblings), 100 trainings of each, whose configurations are not among the 100 trials.

    python benchmarks/methods.py FOLDER --tune cnn-cifar10 rnn-imdb-32-lstm128-bs128 --output methods.jsonl

It writes one JSON line for each method, set, cost and number of slots, with the regret of each repeat.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.config import Experiment, Setting
from hypercurve.curves import Curves, key_of
from hypercurve.execution.serial import execute
from hypercurve.preparing import task_of
from hypercurve.record import Record, Task
from hypercurve.recordings import read_curves
from hypercurve.replaying import moved
from hypercurve.run import Run
from hypercurve.seeding import generator
from hypercurve.training.recorded import CurvesTrainer

TRIALS, SEED, TUNING = 100, 7, 10_000  # repeats for tuning are others than those that are measured
RECORDED = 100  # trainings of each task in a record
SLACK = 1.05  # rivals may spend so many times the cost: it comes in steps, and who is cut off at the last finds little
ASYNCHRONOUS = (
    "asha, stopping",
    "asha, promotion",
    "median",
)  # of the rivals, those whose decisions depend on the number of slots
Options = Mapping[str, Any]


def rivals(points: int) -> dict[str, list[Options]]:
    """Settings to choose from, by name of the method."""
    rungs = [(eta, k) for eta, k in ((2, 1), (3, 1), (3, 2), (4, 2), (3, 3), (4, 4), (3, 6)) if k < points]
    halving: list[Options] = [{"halving": {"reduction_factor": eta, "first_rung": k}} for eta, k in rungs]
    asha: dict[str, list[Options]] = {
        f"asha, {form}": [{"asha": {"form": form, "reduction_factor": eta, "first_rung": k}} for eta, k in rungs[1:5]]
        for form in ("stopping", "promotion")
    }
    shares = list(dict.fromkeys(round(max(1, round(points * share)) / points, 12) for share in (0.04, 0.06, 0.1, 0.2)))
    fixed: list[Options] = [{"fixed": {"share": share, "keep": keep}} for share in shares for keep in (3, 5, 8, 14)]
    return {
        "halving": halving,
        "hyperband": [{"hyperband": {"reduction_factor": eta}} for eta in (2, 3, 4)],
        **asha,
        "median": [{"median": {"first_check": k}} for k in (1, 2) if k < points],
        "fixed": fixed,
    }


def match(**options: Any) -> Options:
    """The view `match` alone, with a tenth of the budget for curves to match with."""
    return {"matching": {"views": ["match"], "split": 0.02, "match": options}}


ABLATION: dict[str, Options] = {
    "lcm's predictor": match(),
    "k nearest": match(neighbours=5),
    "difference": match(predict="difference"),
    "tail weights": match(weights="tail"),
    "step scale": match(scale="step"),
    "stopped curves": match(stopped=True),
    "hyperparameters": match(hyperparameters=0.5),
    "with last": {"matching": {"views": ["match", "last"], "split": 0.02}},
    "all of these": {
        "matching": {
            "views": ["match", "last"],
            "split": 0.02,
            "match": {
                "neighbours": 5,
                "predict": "difference",
                "weights": "tail",
                "scale": "step",
                "stopped": True,
                "hyperparameters": 0.3,
            },
        }
    },
    "last": {"matching": {"views": ["last"]}},
    "lowest": {"matching": {"views": ["lowest"]}},
    "gain": {"matching": {"views": ["gain"]}},
}


def setting_of(stop: Options | str | None, points: int, cost: float | None, slots: int, **more: Any) -> Setting:
    """A method's setting for replays; check points are moved to the nearest accumulation points."""
    if stop is not None:
        stop = moved({stop: {}} if isinstance(stop, str) else stop, [k / points for k in range(1, points + 1)])
    budget: dict[str, Any] = {"trials": TRIALS}
    if cost is not None:
        budget["cost"] = cost
    method = {"search": "random", "slots": slots, **more} | ({} if stop is None else {"stop": stop})
    experiment = Experiment.model_validate(
        {
            "model": "recorded",
            "data": {"curves": "curves"},
            "seed": SEED,
            "objective": {"metric": "loss", "mode": "min"},
            "budget": budget,
            "training": {"accumulation_points": points},
            "methods": {"method": method},
        }
    )
    return experiment.setting("methods", "method")


def played(setting: Setting, curves: Curves, repeat: int, record: Record | None = None) -> tuple[float, float]:
    """Regret and cost of one replay.

    Where the budget ended before any trial was complete, the trial with the lowest loss so far is taken, as it would end,
    and the regret is at most 1.
    """
    drawn = curves.drawn(setting.trials, setting.seed, repeat)
    run = Run(setting, repeat, samples=curves.samples, data=curves.digest, curves=drawn, record=record)
    execute(run, CurvesTrainer(drawn), None)
    ends = drawn.performance("loss")
    if run.best is not None:
        found = run.best.performance
    else:
        losses, points = drawn.losses(run.points), np.array(run.points)
        seen = [
            (float(np.nanmin(row[until])), trial.number)
            for trial in run.trials.values()
            if (until := points <= trial.progress).any()
            and not np.isnan((row := losses[drawn.rows[key_of(trial.configuration)]])[until]).all()
        ]
        leader = key_of(run.trials[min(seen)[1]].configuration) if seen else None
        found = None if leader is None else float(ends[drawn.rows[leader]])
    best, median = float(np.nanmin(ends)), float(np.nanmedian(ends))
    missed = 1.0 if found is None or math.isnan(found) else (found - best) / (median - best)
    missed = missed if run.best is not None else min(missed, 1.0)
    return missed, run.spent / drawn.full_cost


class Records:
    """Records of a set's siblings, one for each repeat, with other configurations than the repeat's trials."""

    def __init__(self, curves: Curves, siblings: Sequence[Curves], kind: str):
        self._curves, self._kind = curves, kind
        self._keys = [[key_of(c) for c in sibling.configurations] for sibling in siblings]
        self._tasks = [task_of(sibling, curves.space, "loss", "min", sibling.name) for sibling in siblings]

    def of(self, repeat: int) -> Record:
        """The record for a repeat: as it is; ``shuffled``: with other configurations; ``foreign``: with other axes."""
        drawn = {key_of(c) for c in self._curves.drawn(TRIALS, SEED, repeat).configurations}
        rng = generator(SEED, repeat, "record")
        tasks = []
        for task, keys in zip(self._tasks, self._keys, strict=True):
            others = [row for row, key in enumerate(keys) if key not in drawn]
            rows = rng.permutation(others)[:RECORDED]
            coded = task.coded[rows]
            if self._kind == "shuffled":
                coded = rng.permutation(coded)
            elif self._kind == "foreign":
                coded = np.roll(coded, coded.shape[1] // 2, axis=1)
            done = task.order[rows] >= 0
            order = np.where(done, 0, -1)
            order[done] = np.argsort(np.argsort(task.order[rows][done]))
            tasks.append(Task(task.name, coded, task.shares, task.losses[rows], task.failed[rows], order))
        return Record(self._curves.space.variables, tuple(tasks))


def points_of(curves: Curves, points: int | None) -> int:
    return points or len(curves.points)


def tuned(
    sets: Sequence[Curves], cost: float, repeats: int, points: int | None, names: Sequence[str] | None
) -> Iterator[tuple[str, Options]]:
    """The setting of each rival with the least mean regret on some sets."""
    for name, options in rivals(min(points_of(curves, points) for curves in sets)).items():
        if names and name not in names:
            continue
        means = []
        for option in options:
            found = []
            for curves in sets:
                setting = setting_of(option, points_of(curves, points), SLACK * cost, 1)
                found += [played(setting, curves, TUNING + r)[0] for r in range(repeats)]
            means.append(float(np.mean(found)))
        yield name, options[int(np.argmin(means))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tune", nargs="+", default=["cnn-cifar10"])
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--siblings", default="rnn-imdb", help="sets whose names begin so are records of each other")
    parser.add_argument("--costs", nargs="+", type=float, default=[0.1, 0.15, 0.3])
    parser.add_argument("--slots", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--points", type=int, help="accumulation points; by default those of the set")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--tuning-repeats", type=int, default=40)
    parser.add_argument("--kinds", nargs="+", default=["only", "siblings", "shuffled", "foreign"], help="of records")
    parser.add_argument("--parts", nargs="+", default=["rivals", "own", "record", "ablation", "natural"])
    parser.add_argument("--tuned", type=Path, help="file with the chosen settings; written if it is not there")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    found = {path.name.removesuffix(".csv.gz"): read_curves(path) for path in sorted(given.folder.glob("*.csv.gz"))}
    chosen: dict[str, dict[str, Options]] = {}
    if given.tuned is not None and given.tuned.exists():
        chosen = json.loads(given.tuned.read_text())
    elif "rivals" in given.parts:
        for cost in given.costs:
            pick = tuned([found[name] for name in given.tune], cost, given.tuning_repeats, given.points, None)
            chosen[f"{cost:g}"] = dict(pick)
            print(cost, chosen[f"{cost:g}"], flush=True)
        if given.tuned is not None:
            given.tuned.write_text(json.dumps(chosen))
    with given.output.open("a") as out:
        for name in given.sets or found:
            for line in measured(found, name, chosen, given):
                out.write(json.dumps(line) + "\n")
                out.flush()
                print({key: value for key, value in line.items() if key not in ("regrets", "costs")}, flush=True)


def measured(
    found: Mapping[str, Curves], name: str, chosen: Mapping[str, Mapping[str, Options]], given: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """All lines about one set."""
    curves = found[name]
    points = points_of(curves, given.points)
    family = [found[other] for other in found if other != name and other.startswith(given.siblings)]

    def line(
        label: str, stop: Options | str | None, cost: float | None, slots: int, kind: str | None = None, **more: Any
    ) -> dict[str, Any]:
        if kind is not None:
            more["record"] = ["siblings"]
        own = kind is not None or stop == "matching" or label.startswith("alone")
        setting = setting_of(stop, points, cost if own or cost is None else SLACK * cost, slots, **more)
        records = None if kind is None else Records(curves, family, kind)
        outcomes = [
            played(setting, curves, r, None if records is None else records.of(r)) for r in range(given.repeats)
        ]
        regrets, costs = zip(*outcomes, strict=True)
        return {
            "set": name,
            "method": label,
            "budget": cost,
            "slots": slots,
            "points": points,
            "repeats": given.repeats,
            "cost": round(float(np.mean(costs)), 4),
            "regret": round(float(np.mean(regrets)), 5),
            "interval": round(1.96 * float(np.std(regrets, ddof=1)) / math.sqrt(len(regrets)), 5),
            "regrets": [round(value, 5) for value in regrets],
        }

    for cost in given.costs:
        for slots in given.slots:
            if "rivals" in given.parts:
                for label, stop in chosen[f"{cost:g}"].items():
                    if label in ASYNCHRONOUS or slots == given.slots[0]:
                        yield line(label, stop, cost, slots)
            if "own" in given.parts:
                yield line("matching", "matching", cost, slots)
                if slots == given.slots[0]:
                    yield line("lcm", "lcm", cost, slots)
            if "record" in given.parts and name.startswith(given.siblings) and slots == given.slots[0]:
                for kind in given.kinds:
                    if kind == "only":
                        yield line("record: hyperparameters only", None, cost, slots, "siblings", preselect=cost)
                        continue
                    yield line(f"matching, record: {kind}", "matching", cost, slots, kind)
        if "ablation" in given.parts:
            for label, stop in ABLATION.items():
                yield line(f"alone: {label}", stop, cost, 1)
    if "natural" in given.parts:
        for s, r in ((0.5, 0.2), (0.8, 0.2), (0.9, 0.1)):
            yield line(
                f"lcm s={s} r={r}", {"lcm": {"stopping_rate": s, "split": r, "check_points": [0.1, 0.2, 0.4]}}, None, 1
            )


if __name__ == "__main__":
    main()
