"""Replays of benchmarks/methods.py: one method on one set of recorded curves, in one repeat.

Every repeat has trials of its own, the same for all methods. For methods with a record, the record is of the set's
siblings, 100 trainings of each, whose configurations are not among the repeat's trials.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from hypercurve.api.replaying import moved
from hypercurve.config.experiment import Experiment
from hypercurve.config.objective import TRAINING_LOSS
from hypercurve.config.setting import Setting
from hypercurve.curves.record import Record, Task
from hypercurve.curves.table import Curves, key_of
from hypercurve.execution.serial import execute
from hypercurve.records.prepare import task_of
from hypercurve.runs.run import Run
from hypercurve.search import preselection
from hypercurve.training.recorded_curves import CurvesTrainer
from hypercurve.util.seeding import generator

TRIALS, SEED = 100, 7
RECORDED = 100  # trainings of each task in a record
Options = Mapping[str, Any]


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


class Found(NamedTuple):
    """What one replay found.

    Attributes:
        regret: (found - best) / (median - best).
        cost: share of full training of all trials.
        elapsed: virtual time to the end, in units of a mean trial's full training.
        idle: share of the slots' time in which nothing was trained.
    """

    regret: float
    cost: float
    elapsed: float
    idle: float


def uneven(curves: Curves, spread: float) -> Curves:
    """The same trainings, each as much faster or slower as a draw from a lognormal distribution of this spread says."""
    factors = np.exp(spread * generator(SEED, 0, "speeds").standard_normal(len(curves)))
    return replace(
        curves,
        curves=tuple(
            curve._replace(cost=replace(curve.cost, step_seconds=curve.cost.step_seconds * float(factor)))
            for curve, factor in zip(curves.curves, factors, strict=True)
        ),
    )


def played(setting: Setting, curves: Curves, repeat: int, record: Record | None = None) -> Found:
    """One replay.

    Where the budget ended before any trial was complete, the trial with the lowest loss so far is taken, as it would end,
    and the regret is at most 1.
    """
    drawn = curves.drawn(setting.trials, setting.seed, repeat)
    run = Run(setting, repeat, samples=curves.samples, data=curves.digest, curves=drawn, record=record)
    execute(run, CurvesTrainer(drawn), None)
    ends = drawn.performance("loss")
    if run.best is not None:
        found = run.best.performance("loss")
    else:
        losses, points = drawn.losses(run.points, TRAINING_LOSS.loss), np.array(run.points)
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
    slots = min(setting.slots or 1, len(drawn))
    return Found(
        missed, run.spent / drawn.full_cost, run.time * len(drawn) / drawn.full_cost, 1 - run.spent / (slots * run.time)
    )


@contextmanager
def forecasting_once() -> Iterator[None]:
    """Until the end, forecasts are kept: methods that differ only in what follows share them, and a forest takes longer than
    a replay."""
    kept: dict[tuple[str, float, bytes], tuple[preselection.Floats, preselection.Floats]] = {}
    real = preselection.forecast

    def forecast(record: Record, coded: preselection.Floats, share: float) -> Any:
        key = record.digest, share, coded.tobytes()
        if key not in kept:
            kept[key] = real(record, coded, share)
        return kept[key]

    preselection.forecast = forecast
    try:
        yield
    finally:
        preselection.forecast = real


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
