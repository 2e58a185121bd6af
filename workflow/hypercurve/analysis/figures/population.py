"""A population's schedules: the figure `population` (poster, "Population Based Training").

Schedules are coloured by fitness: each piece between two evolution steps by the rank that the member had at its end, so
one sees what was fit when. The way that the winner's weights took, through all their ancestors, is drawn bold.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...config.experiment import Experiment
from ..tables import Runs
from .members import COLUMNS, FEW, Floats, Population, bold, counted_in, empty, legend, populations_of
from .style import FAINT, MUTED, iteration_axis, log_if_positive, new_figure, note, words

TITLE = "The population's schedules"
CAPTION = """\
What evolves in the population, over iterations (of a loop or program: epochs), in the first repeat: the learning rate
as it was really used, schedules applied, and every other hyperparameter that members differ in. Each line is a
member. Its colour says how fit it was by the next evolution step among all members, from light (least) to dark
(most); red is a training that diverged. A thin grey line leads from a donor's value to that of its perturbed copy,
and the line of what the copy replaced ends there. The black line is the way of the winner's weights, from copy to
copy, since the start: the schedule that the population found.

**What to look for:** a black line that keeps going one way: the schedule that the whole population agrees on. One
that only wanders says that the hyperparameter hardly matters.
"""


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """Every hyperparameter that evolves, over iterations, for all members of the first repeat; lineage visible."""
    found = populations_of(experiment, runs)
    if not found:
        return empty()
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
                axes.set_xlabel(counted_in(experiment))
            if j == 0:
                axes.set_title(one.run.method, loc="left", pad=19)
                note(axes, one.summary)
    legend(figure, found, copies=True)
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
    bold(axes, one.way(name) if one.path else None)
    axes.autoscale_view()
    if name == "learning_rate" or _wide([piece for piece, _ in pieces]):
        log_if_positive(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlim(0, one.total * 1.015)


def _wide(drawn: Sequence[Floats]) -> bool:
    values = np.concatenate([points[:, 1] for points in drawn]) if drawn else np.ones(1)
    return bool(values.min() > 0 and values.max() > 15 * values.min())
