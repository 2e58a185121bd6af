"""What a population did to its members: schedules, copies and descent, as tables and for figures.

A member's training falls into stretches (:class:`~hypercurve.events.trials.Stretch`), each under one configuration and
begun by a copy, or by the start. Schedules decay within a stretch, counted from its first step, as
:func:`hypercurve.config.learning_rates.learning_rates` says. Reads results; repeats no decision.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from ..config.cost import CostModel
from ..config.learning_rates import decayed
from ..config.model import Trained
from ..config.setting import Setting
from ..curves.cost import step_at
from ..events.journal import JournalError
from ..events.trials import Stretch, TrialState
from ..results.runs import RunResult
from ..space.search_space import Configuration


class Line(NamedTuple):
    """A member under one configuration: a piece of its line in figures.

    Attributes:
        member: its number.
        place: which of the member's stretches.
        stretch: the stretch.
        start: the step from which its configuration holds.
        end: the step where the next one begins, or the member's training ended.
    """

    member: int
    place: int
    stretch: Stretch
    start: int
    end: int


def total_steps(run: RunResult, setting: Setting) -> int:
    """Optimizer steps of the chosen trial's whole training; members of a population share it.

    Raises:
        JournalError: the journal does not say how many samples are trained on.
    """
    if run.samples is None:
        raise JournalError(f"{run.method}/{run.repeat}: the journal does not say how many samples are trained on")
    trial = run.chosen or next(iter(run.trials.values()))
    return CostModel(setting.model, setting.cost, run.samples).of(trial.configuration).steps


def lines(run: RunResult, total: int) -> Iterator[Line]:
    """All stretches of all members, by member and then by time."""
    for trial in _members(run):
        ends = [*(stretch.progress for stretch in trial.history[1:]), trial.progress]
        for index, (stretch, end) in enumerate(zip(trial.history, ends, strict=True)):
            yield Line(trial.number, index, stretch, step_at(stretch.progress, total), step_at(end, total))


def parent(run: RunResult, member: int, index: int) -> tuple[int, int] | None:
    """The stretch, as (member, index), that a stretch was copied from or goes on from; None for one from the start.

    A donor is taken as it arrived at the point of the copy, so a copy that it made itself at that point does not count.
    """
    stretch = run.trials[member].history[index]
    if stretch.donor is None:
        return None
    history = run.trials[stretch.donor].history
    held = [i for i, other in enumerate(history) if other.progress < stretch.at]
    return stretch.donor, held[-1] if held else 0


def ancestry(run: RunResult, member: int) -> list[tuple[int, int]]:
    """Where a member's final weights come from: stretches as (member, index), from the start to its last."""
    path: list[tuple[int, int]] = []
    at: tuple[int, int] | None = (member, len(run.trials[member].history) - 1)
    while at is not None:
        path.append(at)
        at = parent(run, *at)
    return path[::-1]


def founders(run: RunResult) -> dict[tuple[int, int], int]:
    """Of each stretch, as (member, index), the member whose weights of the start it goes back to."""
    found: dict[tuple[int, int], int] = {}
    for trial in run.trials.values():
        for index in range(len(trial.history)):
            path: list[tuple[int, int]] = []
            at: tuple[int, int] | None = (trial.number, index)
            while at is not None and at not in found:
                path.append(at)
                at = parent(run, *at)
            founder = path[-1][0] if at is None else found[at]
            found |= dict.fromkeys(path, founder)
    return found


def in_force(trial: TrialState, stretch: Stretch, step: int, total: int, model: Trained) -> Configuration:
    """The hyperparameters of a trial's stretch at a step, the learning rate as it has decayed to by then."""
    reports = [metrics for p, metrics in trial.curve if p > stretch.progress and step_at(p, total) <= step]
    iterations = max(0, step - step_at(stretch.progress, total))
    return decayed(dict(stretch.configuration), iterations, model, reports[-1] if reports else {})


def schedule(run: RunResult, setting: Setting) -> pd.DataFrame:
    """`schedule.csv`: the hyperparameters that each member really used, a row for each change.

    Columns: ``member``; ``step`` and ``progress`` from which on they held; ``source``, what changed them: ``start``,
    ``copy`` (of another member, perturbed) or ``decay`` (the learning rate's own schedule, looked at once per evolution
    step); and every hyperparameter, ``learning_rate`` as used at that step, rounded to float32 where it decays.
    """
    total = total_steps(run, setting)
    rows: list[dict[str, object]] = []
    for line in lines(run, total):
        trial = run.trials[line.member]
        rates: list[object] = []
        inner = [p for p, _ in trial.curve if line.start < step_at(p, total) < line.end]
        for progress in (line.stretch.progress, *inner):
            step = step_at(progress, total)
            now = in_force(trial, line.stretch, step, total, setting.model)
            if rates and now.get("learning_rate") == rates[-1]:
                continue
            source = "decay" if rates else "start" if line.stretch.donor is None else "copy"
            rates.append(now.get("learning_rate"))
            rows.append({"member": line.member, "step": step, "progress": progress, "source": source, **now})
    return _table(rows, ["member", "step", "progress", "source", *setting.space.names])


def lineage(run: RunResult, setting: Setting) -> pd.DataFrame:
    """`lineage.csv`: who copied whom, a row for each copy, in order of evolution steps.

    Columns: ``step`` of the member that copied and ``generation``, the number of that evolution step, from 1; ``member``
    and ``donor``; ``at_step``, the step at which the donor's state was taken (an evolution step earlier with ``lag: 1``);
    and of each hyperparameter that members differ in ``NAME_before``, the donor's value at ``at_step``, its schedule
    applied, and ``NAME_after``, what the member went on with.
    """
    total = total_steps(run, setting)
    names = differing(run, setting)
    rows = []
    for trial in _members(run):
        for index, stretch in enumerate(trial.history):
            origin = parent(run, trial.number, index)
            if origin is None:
                continue
            donor, held = origin
            at = step_at(stretch.at, total)
            before = in_force(run.trials[donor], run.trials[donor].history[held], at, total, setting.model)
            row: dict[str, object] = {
                "step": step_at(stretch.progress, total),
                "generation": stretch.generation,
                "member": trial.number,
                "donor": donor,
                "at_step": at,
            }
            for name in names:
                row |= {f"{name}_before": before.get(name), f"{name}_after": stretch.configuration.get(name)}
            rows.append(row)
    rows.sort(key=lambda row: (row["generation"], row["member"]))
    pairs = [f"{name}_{when}" for name in names for when in ("before", "after")]
    return _table(rows, ["step", "generation", "member", "donor", "at_step", *pairs])


def members(run: RunResult, setting: Setting) -> pd.DataFrame:
    """`members.csv`: what became of each member (the slides' table of workers and final accuracies).

    Columns: ``member``; ``status``; ``performance``, the objective on the whole validation part at the end, empty unless
    completed; ``ancestor``, the member whose weights of the start it goes back to; ``copies``, how often it copied
    another; and every hyperparameter as used in the last step.
    """
    total = total_steps(run, setting)
    origins = founders(run)
    rows = []
    for trial in _members(run):
        last = len(trial.history) - 1
        final = in_force(trial, trial.history[last], step_at(trial.progress, total) - 1, total, setting.model)
        row: dict[str, object] = {
            "member": trial.number,
            "status": trial.status,
            "performance": trial.performance(setting.objective.key),
            "ancestor": origins[trial.number, last],
            "copies": last,
        }
        rows.append({**row, **final})
    table = _table(rows, ["member", "status", "performance", "ancestor", "copies", *setting.space.names])
    return table.astype({"performance": float})


def differing(run: RunResult, setting: Setting) -> list[str]:
    """The hyperparameters that members of a population may differ in: the learning rate first, then as in the space."""
    names = list(setting.space.variables)
    if "learning_rate" not in names:
        schedules = ("decay_ratio", "decay")
        if any(
            float(t.configuration.get(name, 0)) not in (0.0, 1.0) for t in run.trials.values() for name in schedules
        ):
            names.append("learning_rate")
    return sorted(names, key=lambda name: name != "learning_rate")


def _members(run: RunResult) -> list[TrialState]:
    return sorted(run.trials.values(), key=lambda trial: trial.number)


def _table(rows: list[dict[str, object]], columns: list[str]) -> pd.DataFrame:
    more = [name for row in rows for name in row if name not in columns]
    return pd.DataFrame(rows, columns=list(dict.fromkeys([*columns, *more])))
