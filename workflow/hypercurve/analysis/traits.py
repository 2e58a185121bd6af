"""`traits.csv`: the slides' table of methods, measured instead of asserted.

The slides tick or cross grid search, random search and Population Based Training for parallelizability, stochasticity,
early stopping and adaptive hyperparameters. Here each of these is one or more numbers of each method's own runs.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..config.cost import CostModel
from ..config.experiment import Experiment
from ..config.methods import Method
from ..config.model import RECORDED, counts_epochs
from ..config.setting import Setting
from ..curves.cost import step_at
from ..results.runs import RunResult
from .lineage import in_force, parent, total_steps
from .tables import Runs, same_configuration


class Trait(NamedTuple):
    """A column of `traits.csv` as figure and report show it.

    Attributes:
        column: its name in the table.
        group: the slides' name of what it measures.
        text: what it says, in few words.
        form: how its numbers are written: ``share``, ``number`` or ``performance``.
    """

    column: str
    group: str
    text: str
    form: str


TRAITS = (
    Trait("workers", "Parallelizability", "workers that trained", "number"),
    Trait("utilisation", "Parallelizability", "their time spent training", "share"),
    Trait("configurations_differ", "Stochasticity", "configurations tried in one repeat only", "share"),
    Trait("choices_differ", "Stochasticity", "pairs of repeats that choose differently", "share"),
    Trait("performance_sd", "Stochasticity", "best performance, sd over repeats", "performance"),
    Trait("saved", "Early Stopping", "training saved", "share"),
    Trait("ended_early", "Early Stopping", "trainings ended early", "share"),
    Trait("changes", "Adaptive Hyperparameters", "changes per network in training", "number"),
)

SLIDES = {
    "Parallelizability": {"grid": True, "random": True, "pbt": True},
    "Stochasticity": {"grid": False, "random": True, "pbt": True},
    "Early Stopping": {"grid": False, "random": False, "pbt": True},
    "Adaptive Hyperparameters": {"grid": False, "random": False, "pbt": True},
}
"""The slides' ticks and crosses ("Does PBT's functionality improve on the benchmark algorithms?")."""


def traits(experiment: Experiment, runs: Runs) -> pd.DataFrame:
    """One row per method, in the order of the experiment; means over repeats where not said otherwise.

    Columns:

    - ``method``, ``repeats``.
    - ``workers``: how many workers reported.
    - ``utilisation``: seconds of training and evaluation over workers × seconds by the clock from the first report's
      beginning to the last report (see :attr:`~hypercurve.results.runs.RunResult.wall`). Waiting, compilation and
      pauses between jobs are what is missing to 1. Trainings that were taken from other runs do not count. Empty
      without readings of the clock, and where nothing was trained.
    - ``configurations_differ``: share of the configurations that a repeat started with which another repeat did not, mean
      over pairs of repeats: 0 where each repeat tries the same, 1 where none comes twice. ``choices_differ``: share of
      pairs of repeats that chose different configurations. ``performance_sd``: standard deviation (n - 1) of the best
      validation performance. All three empty with one repeat.
    - ``saved``: 1 - samples trained / samples of all started trials trained to their ends; without those that failed.
    - ``ended_early``: share of trainings that the method ended before their end. A stopped trial is one; so is a member
      that was replaced by a copy, with which another training begins: copies / (members + copies). A population ends
      trainings without saving any.
    - ``changes``: how often the method changed the hyperparameters of a network that was in training, per trial or member:
      copies that go on with others than the donor had by then. The decay of a learning rate by its own schedule does
      not count.
    """
    objective = experiment.objective.key
    rows = []
    for method in experiment.methods:
        own, setting = runs[method], experiment.setting("", method)
        performances = [value for run in own if (value := run.performance(objective)) is not None]
        pairs = list(combinations(own, 2))
        row: dict[str, object] = {
            "method": method,
            "repeats": len(own),
            "workers": _mean([len(workers(run)) for run in own]),
            "utilisation": _mean([value for run in own if (value := utilisation(run)) is not None]),
            "configurations_differ": _mean([_different(one, other) for one, other in pairs]),
            "choices_differ": _mean([not same_configuration(one, other) for one, other in pairs]),
            "performance_sd": float(np.std(performances, ddof=1)) if len(performances) > 1 else np.nan,
            "saved": _mean([saved(run, setting) for run in own]),
            "ended_early": _mean([_ended_early(run) for run in own]),
            "changes": _mean([_changes(run, setting) for run in own]),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def workers(run: RunResult) -> list[int]:
    """The workers that reported, in order; where trials were scattered over jobs, these are the batches."""
    return sorted({event.worker or 0 for event in run.events})


def utilisation(run: RunResult) -> float | None:
    """Share of the workers' time that went into training and evaluation.

    None without readings of the clock, and where all trainings were taken from other runs.
    """
    span, own = run.wall, [event.seconds for event in run.events if not event.reused]
    return sum(own) / (len(workers(run)) * span) if span and own else None


def saved(run: RunResult, setting: Setting) -> float:
    """Share of the training samples of all started trials that the run did not need; not a number without trials.

    Of trials that failed nothing was saved, so they do not count. In replays, and of loops and programs, whose samples are
    not known, it is the share of their virtual time.
    """
    trials = [trial for trial in run.trials.values() if trial.status != "failed"]
    if setting.model == RECORDED or counts_epochs(setting.model):
        parts = [(trial.cost, trial.cost / trial.progress) for trial in trials if trial.progress > 0]
        whole = sum(full for _, full in parts)
        return 1 - sum(cost for cost, _ in parts) / whole if whole else np.nan
    if run.samples is None:
        return np.nan
    model = CostModel(setting.model, setting.cost, run.samples)
    costs = [(model.of(trial.configuration), trial.progress) for trial in trials]
    whole = sum(cost.trained(1.0) for cost, _ in costs)
    return 1 - sum(cost.trained(progress) for cost, progress in costs) / whole if whole else np.nan


def kind(method: Method) -> str | None:
    """What the slides call a method: ``grid``, ``random`` or ``pbt``; None for others."""
    if method.population is not None:
        return "pbt"
    plain = method.stop is None and method.search is not None
    return method.search.kind if plain and method.search and method.search.kind in ("grid", "random") else None


def slides(method: Method, group: str) -> bool | None:
    """The slides' tick or cross for a method; None where they have none."""
    return SLIDES[group].get(kind(method) or "")


def _different(one: RunResult, other: RunResult) -> float:
    mine, theirs = (
        {tuple(sorted(trial.history[0].configuration.items())) for trial in run.trials.values()} for run in (one, other)
    )
    return len(mine ^ theirs) / max(len(mine) + len(theirs), 1)


def _ended_early(run: RunResult) -> float:
    copies = sum(len(trial.history) - 1 for trial in run.trials.values())
    return (run.count("stopped") + copies) / (len(run.trials) + copies) if run.trials else np.nan


def _changes(run: RunResult, setting: Setting) -> float:
    altered = 0
    for trial in run.trials.values():
        for index, stretch in enumerate(trial.history):
            origin = parent(run, trial.number, index)
            if origin is not None:
                total = total_steps(run, setting)
                donor = run.trials[origin[0]]
                before = in_force(donor, donor.history[origin[1]], step_at(stretch.at, total), total, setting.model)
                altered += before != dict(stretch.configuration)
    return altered / len(run.trials) if run.trials else np.nan


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else np.nan
