"""Every searcher with every stopper, on networks that are really trained: the table of docs/methods.md.

    python benchmarks/combinations.py --repeats 10 --output combinations.jsonl

Replays cannot tell searchers apart, since nothing but the recorded configurations can be tried. So here one process trains
networks with a hidden layer on scikit-learn's digits, with the trainer and the executor of any search. Every run may see as
many samples as so many whole trainings, and ends there; so a combination is worth what it finds at this cost. It writes
one JSON line for each run, passes over what the file holds already, and prints the table.
"""

import argparse
import json
import math
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.config.data import DataSpec
from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.execution.serial import execute
from hypercurve.runs.run import Run
from hypercurve.search.registry import SEARCHERS
from hypercurve.training import make_trainer
from hypercurve.training.data import load, prepare

DATA = DataSpec(name="digits", validation=0.25)
EPOCHS, POINTS = 30, 30
SPACE = {
    "learning_rate": {"log_uniform": [0.001, 1.0]},
    "momentum": {"uniform": [0.0, 0.99], "points": 3},
    "decay": {"log_uniform": [0.0001, 0.1], "points": 2},
    "batch_size": {"choice": [32, 64, 128], "ordered": True},
    "epochs": EPOCHS,
    "units": 32,
}
CONFIGURATIONS = 60  # that halving, matching and LCM reckon with
STOPPERS: dict[str, Any] = {
    "none": None,
    "lcm": {"lcm": {"stopping_rate": 0.8, "split": 0.1, "check_points": [0.1, 0.2, 0.4]}},
    "median": {"median": {}},
    "patience": {"patience": {"points": 3}},
    "asha, stopping": {"asha": {"form": "stopping"}},
    "asha, promotion": {"asha": {"form": "promotion"}},
    "halving": {"halving": {}},
    "hyperband": {"hyperband": {}},
    "budget_halving": {"budget_halving": {}},
}
NUMBERED = ("lcm", "halving", "budget_halving")


def setting_of(search: str, stop: str, trainings: float, samples: int) -> Setting:
    """A run's setting; its budget is in samples, as many as so many whole trainings see."""
    rule = STOPPERS[stop]
    if stop in NUMBERED:
        rule = {stop: {**rule[stop], "configurations": CONFIGURATIONS}}
    if stop == "budget_halving":
        rule = {stop: {**rule[stop], "cost": trainings / CONFIGURATIONS}}
    return Experiment.model_validate(
        {
            "data": DATA.model_dump(exclude_none=True),
            "model": "dense",
            "objective": {"metric": "loss", "mode": "min"},
            "space": SPACE,
            "budget": {"samples": trainings * EPOCHS * samples},
            "training": {"accumulation_points": POINTS},
            "methods": {"method": {"search": search} | ({} if rule is None else {"stop": rule})},
        }
    ).setting("combinations", "method")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--trainings", type=float, default=12.0, help="what a run may cost, in whole trainings")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    lines = [json.loads(text) for text in given.output.read_text().splitlines()] if given.output.exists() else []
    known = {(line["search"], line["stop"], line["repeat"]) for line in lines}
    with tempfile.TemporaryDirectory() as folder, given.output.open("a") as out:
        data = Path(folder) / "digits"
        prepare(DATA, data)
        samples, trainer = load(data).samples, None
        for repeat, search, stop in product(range(given.repeats), SEARCHERS, STOPPERS):
            if (search, stop, repeat) in known:
                continue
            setting = setting_of(search, stop, given.trainings, samples)
            trainer = trainer or make_trainer(setting, data)  # one for all: networks are compiled once
            began = time.perf_counter()
            run = Run(setting, repeat, samples=samples, data=DATA.key)
            execute(run, trainer, None)
            best = run.best.performance if run.best is not None else None
            line = {
                "search": search,
                "stop": stop,
                "repeat": repeat,
                "trials": len(run.trials),
                "completed": sum(trial.status == "completed" for trial in run.trials.values()),
                "trainings": round(run.samples / (EPOCHS * samples), 3),
                "loss": best,
                "accuracy": (run.tested or {}).get("test_accuracy"),
                "seconds": round(time.perf_counter() - began, 2),
            }
            lines.append(line)
            out.write(json.dumps(line) + "\n")
            out.flush()
    print(table(lines))


def table(lines: list[dict[str, Any]]) -> str:
    """Mean validation loss of the network found, in hundredths, with half the width of its 95 % interval."""
    stops = list(dict.fromkeys(line["stop"] for line in lines))
    rows = [f"| searcher | {' | '.join(stops)} | mean |", "| --- " * (len(stops) + 2) + "|"]
    for search in dict.fromkeys(line["search"] for line in lines):
        cells, means = [], []
        for stop in stops:
            some = [line["loss"] for line in lines if (line["search"], line["stop"]) == (search, stop)]
            found = 100 * np.array([loss for loss in some if loss is not None])
            half = 1.96 * float(found.std(ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else math.nan
            none = f" ({len(some) - len(found)} none)" if len(found) < len(some) else ""
            cells.append(f"{found.mean():.1f} ± {half:.1f}{none}")
            means.append(float(found.mean()))
        rows.append(f"| {search} | {' | '.join(cells)} | {np.mean(means):.1f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
