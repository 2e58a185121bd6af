"""A population's fitness: the figure `fitness` (poster, "Population Based Training")."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ...config.experiment import Experiment
from ..tables import Runs
from .members import COLUMNS, DASHED, FEW, Population, bold, counted_in, empty, legend, populations_of
from .style import INK, MUTED, iteration_axis, looks, new_figure, note, objective_label, performance_axis, zoom

TITLE = "The population's fitness"
CAPTION = """\
Fitness over iterations (of a loop or program: epochs) in the first repeat: at evolution steps the objective on a part
of the validation samples, at the end (dots) on all of them. A line is a member; copies branch off from their donors.
The black line is the way of the winner's weights, the dashed one the mean of the population; the grey band holds that
mean in all repeats. The steep beginning may lie below the axis.

**What to look for:** how soon the members run together, and whether the black line leaves the dashed one: what
selection gains.
"""


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """Fitness at the evolution steps and final performance, over iterations, for all members of the first repeat.

    The mean of the population is dashed; with repeats, a grey band holds the means of all of them.
    """
    found = populations_of(experiment, runs)
    if not found:
        return empty()
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
    figure.supxlabel(counted_in(experiment), fontsize=8.5)
    figure.supylabel(objective_label(objective), fontsize=8.5)
    legend(figure, found, copies=False, repeats=any(len(runs[one.run.method]) > 1 for one in found))
    return figure


def _fitness(axes: Axes, one: Population, colour: str) -> list[float]:
    """Draw one population; gives back all values."""
    drawn = [points for key in one.lines if len(points := one.fitness(key))]
    few = len(one.run.trials) <= FEW
    axes.add_collection(
        LineCollection(
            drawn, colors=colour, linewidths=one.width * 0.8, alpha=0.5 if few else 0.25, zorder=2, rasterized=one.dense
        )
    )
    means = _means(one)
    axes.plot(list(means), list(means.values()), color=MUTED, linestyle=DASHED, zorder=4)
    key = one.setting.objective.key
    final = [value for trial in one.run.trials.values() if (value := trial.performance(key)) is not None]
    axes.scatter(
        [one.total] * len(final), final, s=16 if few else 8, color=colour, edgecolors="white", linewidths=0.4, zorder=5
    )
    bold(axes, one.fit_way() if one.path else None)
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
