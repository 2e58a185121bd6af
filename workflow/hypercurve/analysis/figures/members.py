"""A population as figures need it: its members' lines, their fitness, and the way to the winner."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...config.experiment import Experiment
from ...config.figures import populations
from ...config.hyperparameters import resolve
from ...config.learning_rates import learning_rates
from ...config.model import counts_epochs
from ...curves.cost import step_at
from ...results.runs import RunResult
from ..lineage import Line, ancestry, differing, in_force, lines, parent, total_steps
from ..tables import Runs
from .style import FAILED, FAINT, GOOD, INK, MUTED, new_figure, nothing, short

COLUMNS = 2
"""Populations beside each other."""
DASHED = (0, (4, 1.5))
POINTS = 400
"""Most points drawn of a member's schedule, evolution steps not counted."""
FEW = 20
"""Members up to which single copies are marked."""
MANY = 40
"""Members above which lines are drawn as pixels."""

Floats = npt.NDArray[np.float64]
Key = tuple[int, int]
"""A stretch: its member and which of the member's it is."""


class Population:
    """A run with what both figures need of it."""

    def __init__(self, experiment: Experiment, run: RunResult):
        self.run = run
        self.setting = experiment.setting("", run.method)
        self.total = total_steps(run, self.setting)
        self.lines: dict[Key, Line] = {(line.member, line.place): line for line in lines(run, self.total)}
        self.names = differing(run, self.setting)
        self.path = [] if run.best is None else ancestry(run, run.best)
        self.dense = len(run.trials) > MANY
        self.width = 1.0 if len(run.trials) <= FEW else 0.6 if not self.dense else 0.4

        self.ranks = self._ranks()
        self.steps = sorted({step for _, step in self.ranks})

    def _ranks(self) -> dict[tuple[int, int], float]:
        """How fit a member was at a step among all that reported there: 0 least, 1 most."""
        sign = 1 if self.setting.objective.mode == "max" else -1
        at: dict[int, list[tuple[float, int]]] = {}
        for member in self.run.trials:
            for step, value in self.reports(member):
                at.setdefault(step, []).append((sign * value, -member))
        return {
            (-negative, step): place / max(len(found) - 1, 1)
            for step, found in at.items()
            for place, (_, negative) in enumerate(sorted(found))
        }

    def pieces(self, name: str) -> Iterator[tuple[Floats, Any]]:
        """All stretches cut at the evolution steps, each with its colour; pieces that ended in a failure are red."""
        for line in self.lines.values():
            points = self.values(line, name)
            if not np.isfinite(points).all():
                continue
            cuts = [line.start, *(step for step in self.steps if line.start < step < line.end), line.end]
            for start, end in pairwise(cuts):
                piece = points[(points[:, 0] >= start) & (points[:, 0] <= end)]
                rank = self.ranks.get((line.member, end))
                yield piece, FAILED if rank is None else GOOD(0.1 + 0.9 * rank)

    def values(self, line: Line, name: str) -> Floats:
        """A hyperparameter along a stretch, as rows of (step, value), its last row on arriving at the stretch's end."""
        length = line.end - line.start
        most = 2 + math.ceil(POINTS * length / max(self.total, 1))
        # Evolution steps are among the points, so that copies leave a line where they were made.
        steps = np.linspace(0, length, min(length + 1, most)).round().astype(np.int64)
        steps = np.unique([*steps, *(step - line.start for step in self.steps if line.start <= step <= line.end)])
        if name == "learning_rate" and not counts_epochs(self.setting.model):
            given = resolve(self.setting.model, line.stretch.configuration)
            values = learning_rates(given, 0, length + 1).astype(np.float64)[steps]
        else:
            trial, model = self.run.trials[line.member], self.setting.model
            held = (in_force(trial, line.stretch, line.start + step, self.total, model) for step in steps.tolist())
            values = np.array([float(one[name]) for one in held])
        return np.column_stack([line.start + steps, values])

    def way(self, name: str) -> Floats:
        """The same along the winner's path."""
        return self._along([self.values(self.lines[key], name) for key in self.path])

    def fit_way(self) -> Floats:
        """The fitness along the winner's path."""
        return self._along([self.fitness(key) for key in self.path])

    def _along(self, parts: Sequence[Floats]) -> Floats:
        """Stretches of the winner's path, each up to where the next one was copied from it."""
        until = [*(self._left(key) for key in self.path[1:]), self.total]
        return np.concatenate([points[points[:, 0] <= end] for points, end in zip(parts, until, strict=True)])

    def _left(self, key: Key) -> int:
        """The step at which the state that a stretch began with was taken."""
        return step_at(self.lines[key].stretch.at, self.total)

    def joint(self, key: Key, name: str) -> Floats | None:
        """From the donor's value to the copy's, as two rows of (step, value)."""
        origin = parent(self.run, *key)
        if origin is None:
            return None
        donor = self.values(self.lines[origin], name)
        at = self._left(key)
        before = donor[np.searchsorted(donor[:, 0], at, side="right") - 1, 1]
        return np.array([[at, before], self.values(self.lines[key], name)[0]])

    def fitness(self, key: Key) -> Floats:
        """Rows of (step, fitness) along a stretch, from the donor's fitness at the copy on."""
        line = self.lines[key]
        rows = [point for point in self.reports(line.member) if line.start < point[0] <= line.end]
        origin = parent(self.run, *key)
        if origin is not None:
            rows = [point for point in self.reports(origin[0]) if point[0] == self._left(key)] + rows
        return np.array(rows, dtype=float).reshape(-1, 2)

    def reports(self, member: int) -> list[tuple[int, float]]:
        """All that a member reported of the objective, as (step, value)."""
        key = self.setting.objective.key
        curve = self.run.trials[member].curve
        return [(step_at(progress, self.total), metrics[key]) for progress, metrics in curve if key in metrics]

    @property
    def summary(self) -> str:
        """What the population did, in a line."""
        trials = self.run.trials.values()
        copies = sum(len(trial.history) - 1 for trial in trials)
        steps = max(trial.reports - (trial.progress == 1) for trial in trials)
        made = f"{short(copies)} {'copy' if copies == 1 else 'copies'}"
        return f"{short(len(trials))} members, {short(steps)} evolution steps, {made}"


def counted_in(experiment: Experiment) -> str:
    """What a training is counted in."""
    return "epoch" if counts_epochs(experiment.model) else "iteration"


def bold(axes: Axes, way: Floats | None) -> None:
    """The winner's path."""
    if way is None or not len(way) or not np.isfinite(way).all():
        return
    axes.plot(*way.T, color="white", linewidth=3.0, zorder=6)
    axes.plot(*way.T, color=INK, linewidth=1.5, zorder=6)
    axes.plot(
        *way[-1], "o", color=INK, markersize=5, markeredgecolor="white", markeredgewidth=0.6, zorder=7, clip_on=False
    )


def populations_of(experiment: Experiment, runs: Runs) -> list[Population]:
    """The first repeat of each method that is a population and has begun."""
    return [
        Population(experiment, runs[name][0]) for name in populations(experiment) if runs[name] and runs[name][0].trials
    ]


def empty() -> Figure:
    """The figure of an experiment without populations."""
    figure = new_figure(2.0)
    nothing(figure.subplots(), "no population")
    return figure


def legend(figure: Figure, found: Sequence[Population], *, copies: bool, repeats: bool = False) -> None:
    """What lines and dots mean, in a figure of these populations."""
    handles: list[Any] = []
    if any(one.path for one in found):
        handles.append(Line2D([], [], color=INK, linewidth=1.5, marker="o", markersize=4.5, label="way to the winner"))
    if copies:
        handles += [
            Line2D([], [], color=GOOD(0.1 + 0.45 * k), linewidth=1.4, label=label)
            for k, label in enumerate(("least", "medium", "most fit by the next step"))
        ]
        handles.append(Line2D([], [], color=FAINT, linewidth=0.7, marker="o", mfc=MUTED, mew=0, ms=2.5, label="copy"))
    else:
        handles.append(Line2D([], [], color=MUTED, linewidth=0.8, label="members"))
        handles.append(Line2D([], [], color=MUTED, linestyle=DASHED, label="their mean"))
    if repeats:
        handles.append(Line2D([], [], color=INK, alpha=0.15, linewidth=6, label="mean in all repeats"))
    figure.legend(handles=handles, loc="outside upper left", ncols=5, handlelength=1.8, columnspacing=1.2)
