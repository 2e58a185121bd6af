"""A small deterministic experiment, run for real with a trainer that only pretends, for the tests of tables and figures."""

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.config.experiment import Experiment
from hypercurve.events.events import Completed, Event, Failed, Reported, Started
from hypercurve.events.journal import Journal
from hypercurve.events.lines import Wall
from hypercurve.execution.serial import execute
from hypercurve.results.runs import RunResult, read_run
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.trainer import Report, Snapshot, Trainer, TrialFailed
from hypercurve.util.seeding import generator

SAMPLES = 5000


class PretendTrainer(Trainer):
    """Learning curves by formula, seconds by steps, and a share of trials that diverge or raise.

    The seconds and the clock are pretended too, so that everything is the same on every machine.
    """

    def __init__(self, *, points: bool = False, failing: float = 0.08):
        self.points, self.failing = points, failing
        self.clock = 1.7e9

    def open(self, trial: Trial) -> "PretendSession":
        return PretendSession(self, trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        quality = PretendSession(self, trial).quality
        return {"test_accuracy": quality - 0.003, "test_loss": 1 - quality}


class PretendSession:
    def __init__(self, trainer: PretendTrainer, trial: Trial):
        rng = generator(trial.seed, trial.repeat, "pretended", trial.number)
        given = trial.configuration
        rate = float(given["learning_rate"])
        misfit = (math.log10(max(rate, 1e-6)) + 1.3) ** 2 / 4 + (float(given.get("momentum", 0.5)) - 0.6) ** 2
        self.quality = round(0.1 + 0.88 / (1 + 0.25 * misfit) + 0.004 * rng.standard_normal(), 4)
        self.speed = 12 / (1 + misfit) * math.exp(0.3 * rng.standard_normal())
        self.fails_at = rng.choice([0.1, 0.3, 0.7]) if rng.random() < trainer.failing or rate > 0.9 else None
        self.raises = rng.random() < 0.3
        self.noise, self.trainer, self.progress = rng, trainer, 0.0
        self.pace = 40 * float(given.get("epochs", 3)) / float(given.get("batch_size", 32))

    def advance(self, progress: float) -> Report:
        seconds = (progress - self.progress) * self.pace
        self.progress = progress
        self.trainer.clock += seconds + 0.5
        if self.fails_at is not None and progress >= self.fails_at:
            if self.raises:
                wall = Wall(seconds, None, 0, self.trainer.clock)
                raise TrialFailed("MemoryError: out of <memory>", Report(progress, {}, wall=wall))
            loss = math.nan
        else:
            floor = 2.3 * (1 - self.quality)
            loss = (floor + (2.3 - floor) * math.exp(-self.speed * progress)) * math.exp(
                0.04 * self.noise.standard_normal()
            )
        metrics = {"loss": loss}
        if progress == 1 or self.trainer.points:
            accuracy = 0.1 + (self.quality - 0.1) * (1 - math.exp(-2 * self.speed * progress))
            metrics |= {"val_accuracy": self.quality if progress == 1 else round(accuracy, 4), "val_loss": loss}
        wall = Wall(seconds, 0.5, 0, self.trainer.clock)
        return Report(progress, metrics, seconds, 0.5, wall=wall)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.progress, 0, np.empty(0, np.float32), np.empty(0, np.float32))

    def restore(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


def experiment(**changes: Any) -> Experiment:
    """Random search against LCM, in the slides' manner."""
    given: dict[str, Any] = {
        "description": "Does LCM find what random search finds, and how much sooner?",
        "data": {"name": "mnist", "validation": 10000},
        "model": "dense",
        "curve": "loss",
        "space": {
            "learning_rate": {"log_uniform": [1e-4, 1.0], "points": 6},
            "momentum": {"uniform": [0.0, 1.0], "points": 5},
            "batch_size": {"choice": [32, 64, 128], "ordered": True},
            "epochs": 3,
        },
        "budget": {"trials": 60},
        "repeats": 5,
        "baseline": "random",
        "methods": {
            "random": {"search": "random", "description": "independent draws"},
            "lcm": {"search": "random", "stop": {"lcm": {"split": 0.2, "configurations": 60}}},
        },
    }
    return Experiment.model_validate(given | changes)


def run_all(chosen: Experiment, folder: Path, **trainer: Any) -> dict[str, list[RunResult]]:
    """Run every method and repeat, and read the journals back."""
    runs: dict[str, list[RunResult]] = {method: [] for method in chosen.methods}
    for method, repeat in itertools.product(chosen.methods, range(chosen.repeats)):
        path = folder / "runs" / method / str(repeat) / "journal.jsonl"
        run = Run(chosen.setting("example", method), repeat, samples=SAMPLES, data="0123456789abcdef")
        with Journal(path) as journal:
            execute(run, PretendTrainer(**trainer), journal)
        runs[method].append(read_run(path))
    return runs


def schedules_experiment() -> Experiment:
    """The poster's: one static rate against decaying ones."""
    return experiment(
        model="mlp",
        space={
            "learning_rate": {"log_uniform": [0.0016, 0.8], "points": 24},
            "decay_ratio": 0.95,
            "decay_every": 100,
            "batch_size": 32,
            "epochs": 5,
        },
        training={"accumulation_points": 50, "evaluate": "points"},
        budget={"trials": 24},
        repeats=1,
        baseline="static",
        methods={
            "static": {"search": "grid", "space": {"learning_rate": 0.0016, "decay_ratio": 1.0}},
            "decaying": {"search": "grid"},
        },
    )


def grid_experiment() -> Experiment:
    """A grid of three axes with another search beside it."""
    return experiment(
        budget={"trials": 90},
        repeats=2,
        baseline="grid",
        methods={"grid": {"search": "grid"}, "random": {"search": "random"}},
    )


def time_experiment() -> Experiment:
    """A budget in computing seconds with smaller ones."""
    return experiment(
        budget={"seconds": 160, "at": [10, 20, 40, 80]},
        methods={
            "random": {"search": "random"},
            "lcm": {"search": "random", "stop": {"lcm": {"split": 0.1, "configurations": 100}}},
        },
    )


def population_experiment(members: int = 10, **changes: Any) -> Experiment:
    """The slides' population beside random search."""
    options = {
        "members": members,
        "every": 200,
        "explore": {"learning_rate": {"factors": [0.8, 1.2]}, "decay_ratio": {"uniform_factor": [0.9, 1.1]}},
    }
    return experiment(
        model="mlp",
        space={
            "learning_rate": {"uniform": [0.0001, 0.2]},
            "decay_ratio": {"uniform": [0.99, 1.0]},
            "decay_every": 20,
            "batch_size": 32,
            "epochs": 5,
        },
        budget={"trials": members},
        **{"repeats": 2, "baseline": None, "methods": {"pbt": {"population": options}}} | changes,
    )


Metrics = Callable[[int, int, float], float]
"""Of a member, its report (from 1) and its progress, the fitness; NaN: it diverges."""


def drive(chosen: Experiment, method: str, repeat: int, path: Path, fitness: Metrics, *, samples: int) -> RunResult:
    """A population's run with made-up fitness, on three workers with a made-up clock."""
    run = Run(chosen.setting("example", method), repeat, samples=samples, data="0123456789abcdef")
    lines = [run.start(Wall(at=0.0))]
    reports: dict[int, int] = {}
    while (due := run.due()) is not None:
        worker = due.trial % 3
        if due.progress == 0:
            lines.append(run.step(Started(due.trial), Wall(worker=worker, at=0.0)))
            continue
        number = reports[due.trial] = reports.get(due.trial, 0) + 1
        wall = Wall(0.6, 0.1, worker, number + 0.3 * worker)
        value = fitness(due.trial, number, due.progress)
        metrics = {"loss": 2.3 * (1.01 - value), "val_accuracy": value, "val_loss": 1.01 - value}
        event: Event
        if math.isnan(value):
            event = Failed(due.trial, due.progress, "diverged: loss is nan")
        elif due.progress < 1:
            event = Reported(due.trial, due.progress, metrics)
        else:
            event = Completed(due.trial, metrics)
        lines.append(run.step(event, wall))
    lines.append(run.end("finished"))
    if run.best is not None:
        lines.append(run.test({"test_accuracy": run.best.metrics["val_accuracy"] - 0.01, "test_loss": 0.1}))
    with Journal(path) as journal:
        for line in lines:
            journal.append(line)
    return read_run(path)


def pretended_fitness(seed: int, failing: float = 0.01) -> Metrics:
    """Fitness that grows, with luck and mishaps."""

    def value(member: int, number: int, progress: float) -> float:
        rng = generator(seed, 0, "fitness", member, number)
        if rng.random() < failing:
            return math.nan
        return round(0.95 - 0.8 * math.exp(-6 * progress) + 0.01 * rng.standard_normal(), 4)

    return value
