"""A population's schedules and fitness: the figures `population` and `fitness` (poster, "Population Based Training").

Schedules are coloured by fitness: each piece between two evolution steps by the rank that the member had at its end, so
one sees what was fit when. The way that the winner's weights took, through all their ancestors, is drawn bold.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...config.experiment import Experiment
from ...config.model import counts_epochs
from ..plan import populations
from ..tables import Runs
from .members import FEW, Floats, Population
from .style import (
    FAINT,
    GOOD,
    INK,
    MUTED,
    iteration_axis,
    log_if_positive,
    looks,
    new_figure,
    note,
    nothing,
    objective_label,
    performance_axis,
    styled,
    words,
    zoom,
)

COLUMNS = 2
DASHED = (0, (4, 1.5))


@styled
def population(experiment: Experiment, runs: Runs) -> Figure:
    """Every hyperparameter that evolves, over iterations, for all members of the first repeat; lineage visible."""
    found = _found(experiment, runs)
    if not found:
        return _empty()
    most = max(len(one.names) for one in found)
    columns = min(len(found), COLUMNS)
    blocks = math.ceil(len(found) / columns)
    height = 0.55 + blocks * (0.4 + (2.9 if most == 1 else 2.1) * max(most, 1))
    figure = new_figure(height)
    grid = figure.subplots(blocks * max(most, 1), columns, sharex=True, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for i, one in enumerate(found):
        for j, name in enumerate(one.names):
            axes = grid[i // columns * most + j, i % columns]
            axes.set_visible(True)
            _schedules(axes, one, name)
            iteration_axis(axes.xaxis, 8 if columns == 1 else 4)
            axes.set_ylabel(words(name))
            last = j == len(one.names) - 1
            axes.tick_params(labelbottom=last)
            if last:
                axes.set_xlabel(_counted(experiment))
            if j == 0:
                axes.set_title(one.run.method, loc="left", pad=19)
                note(axes, one.summary)
    _legend(figure, found, copies=True)
    return figure


def _schedules(axes: Axes, one: Population, name: str) -> None:
    joints = [points for key in one.lines if (points := one.joint(key, name)) is not None]
    pieces = list(one.pieces(name))
    few = len(one.run.trials) <= FEW
    axes.add_collection(
        LineCollection(joints, colors=FAINT, linewidths=0.5 if few else 0.2, zorder=2, rasterized=one.dense)
    )
    axes.add_collection(
        LineCollection(
            [piece for piece, _ in pieces],
            colors=[colour for _, colour in pieces],
            linewidths=one.width,
            capstyle="butt",
            zorder=3,
            rasterized=one.dense,
        )
    )
    if few and joints:
        x, y = np.array([points[1] for points in joints]).T
        axes.scatter(x, y, s=4, color=MUTED, linewidths=0, zorder=3)
    _bold(axes, one.way(name) if one.path else None)
    axes.autoscale_view()
    if name == "learning_rate" or _wide([piece for piece, _ in pieces]):
        log_if_positive(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlim(0, one.total * 1.015)


def _counted(experiment: Experiment) -> str:
    """What a training is counted in."""
    return "epoch" if counts_epochs(experiment.model) else "iteration"


@styled
def fitness(experiment: Experiment, runs: Runs) -> Figure:
    """Fitness at the evolution steps and final performance, over iterations, for all members of the first repeat.

    The mean of the population is dashed; with repeats, a grey band holds the means of all of them.
    """
    found = _found(experiment, runs)
    if not found:
        return _empty()
    objective = experiment.objective
    columns = min(len(found), COLUMNS)
    rows = math.ceil(len(found) / columns)
    figure = new_figure(0.6 + (3.0 if columns == 1 else 2.6) * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    shown: list[float] = []
    for axes, one in zip(grid.flat, found, strict=False):
        axes.set_title(one.run.method, loc="left", pad=19)
        note(axes, one.summary)
        shown += _fitness(axes, one, looks(experiment)[one.run.method].colour)
        _repeats(axes, [_means(Population(experiment, run)) for run in runs[one.run.method] if run.trials])
        axes.set_xlim(0, one.total * 1.025)
        iteration_axis(axes.xaxis, 8 if columns == 1 else 5)
    for axes in list(grid.flat)[len(found) :]:
        axes.set_visible(False)
        grid[-2, list(grid[-1]).index(axes)].tick_params(labelbottom=True)
    if shown:
        zoom(grid.flat[0], shown, objective, 0.2)
    performance_axis(grid.flat[0].yaxis, objective)
    figure.supxlabel(_counted(experiment), fontsize=8.5)
    figure.supylabel(objective_label(objective), fontsize=8.5)
    _legend(figure, found, copies=False, repeats=any(len(runs[one.run.method]) > 1 for one in found))
    return figure


def _fitness(axes: Axes, one: Population, colour: str) -> list[float]:
    """Draw one population; gives back all values."""
    drawn = [points for key in one.lines if len(points := one.fitness(key))]
    few = len(one.run.trials) <= FEW
    axes.add_collection(
        LineCollection(
            drawn,
            colors=colour,
            linewidths=one.width * 0.8,
            alpha=0.5 if few else 0.25,
            zorder=2,
            rasterized=one.dense,
        )
    )
    means = _means(one)
    axes.plot(list(means), list(means.values()), color=MUTED, linestyle=DASHED, zorder=4)
    key = one.setting.objective.key
    final = [value for trial in one.run.trials.values() if (value := trial.performance(key)) is not None]
    axes.scatter(
        [one.total] * len(final),
        final,
        s=16 if few else 8,
        color=colour,
        edgecolors="white",
        linewidths=0.4,
        zorder=5,
    )
    _bold(axes, one.fit_way() if one.path else None)
    return [value for member in one.run.trials for _, value in one.reports(member)]


def _means(one: Population) -> dict[int, float]:
    """The members' mean fitness at each evolution step."""
    found: dict[int, list[float]] = {}
    for member in one.run.trials:
        for step, value in one.reports(member):
            found.setdefault(step, []).append(value)
    return {step: float(np.mean(found[step])) for step in sorted(found) if step < one.total}


def _repeats(axes: Axes, means: Sequence[dict[int, float]]) -> None:
    steps = sorted(set.intersection(*(set(one) for one in means))) if len(means) > 1 else []
    if steps:
        rows = np.array([[one[step] for step in steps] for one in means])
        axes.fill_between(steps, rows.min(axis=0), rows.max(axis=0), color=INK, alpha=0.12, linewidth=0, zorder=1)


def _bold(axes: Axes, way: Floats | None) -> None:
    """The winner's path."""
    if way is None or not len(way) or not np.isfinite(way).all():
        return
    axes.plot(*way.T, color="white", linewidth=3.0, zorder=6)
    axes.plot(*way.T, color=INK, linewidth=1.5, zorder=6)
    axes.plot(
        *way[-1], "o", color=INK, markersize=5, markeredgecolor="white", markeredgewidth=0.6, zorder=7, clip_on=False
    )


def _wide(drawn: Sequence[Floats]) -> bool:
    values = np.concatenate([points[:, 1] for points in drawn]) if drawn else np.ones(1)
    return bool(values.min() > 0 and values.max() > 15 * values.min())


def _found(experiment: Experiment, runs: Runs) -> list[Population]:
    return [
        Population(experiment, runs[name][0]) for name in populations(experiment) if runs[name] and runs[name][0].trials
    ]


def _empty() -> Figure:
    figure = new_figure(2.0)
    nothing(figure.subplots(), "no population")
    return figure


def _legend(figure: Figure, found: Sequence[Population], *, copies: bool, repeats: bool = False) -> None:
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
