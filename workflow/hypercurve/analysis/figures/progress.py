"""How good the best trial is, as computing goes on: the figures `best` and `budgets`."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ...config import Experiment, Objective
from ..records import RunRecord
from ..tables import Runs, at_budgets
from .style import (
    Look,
    log_axis,
    looks,
    new_figure,
    nothing,
    objective_label,
    performance_axis,
    short,
    styled,
)

WIDE = 30.0
"""Ratio of the last to the first time above which the time axis is logarithmic."""

Floats = npt.NDArray[np.float64]


def best_so_far(run: RunRecord, objective: Objective, *, virtual: bool = False) -> tuple[Floats, Floats, float]:
    """Times and values at which a run's best performance improved, and the time of its end.

    Args:
        virtual: count virtual seconds instead of computing seconds.
    """
    times: list[float] = []
    values: list[float] = []
    spent = 0.0
    costs = dict.fromkeys(run.trials, 0.0)
    for event in run.events:
        trial = run.trials[event.trial]
        cost = event.time - trial.started
        spent += cost - costs[event.trial] if virtual else event.seconds
        costs[event.trial] = cost
        value = trial.performance(objective.key) if event.kind == "completed" else None
        if value is not None and (not values or objective.better(value, values[-1])):
            times.append(spent)
            values.append(value)
    return np.array(times), np.array(values), spent


@styled
def best(experiment: Experiment, runs: Runs) -> Figure:
    """Best validation performance so far over computing seconds.

    Mean over repeats as a step curve from where every repeat has something, with a band from the least to the greatest; a
    marker where the last repeat ended, and a dotted line on from there. The performance axis leaves out the steep first
    tenth. Without measured seconds (replays, synthetic trainings) the axis counts virtual ones.
    """
    objective = experiment.objective
    virtual = not any(run.seconds > 0 for own in runs.values() for run in own)
    figure = new_figure(3.1)
    axes = figure.subplots()
    tracks = {
        method: [track for run in runs[method] if len((track := best_so_far(run, objective, virtual=virtual))[0])]
        for method in experiment.methods
    }
    # A mean needs something of every repeat.
    firsts = [max(track[0][0] for track in own) for own in tracks.values() if own]
    ends = [track[2] for own in tracks.values() for track in own]
    axes.set_xlabel(("virtual" if virtual else "computing") + " seconds, summed over workers")
    axes.set_ylabel("best " + objective_label(objective) + " so far")
    if not firsts or max(ends) <= 0:
        nothing(axes)
        return figure

    first, last = max(min(firsts), max(ends) * 1e-6), max(ends)
    logarithmic = last / first > WIDE
    if logarithmic:
        axes.set_xscale("log")
    right = last * 1.15 if logarithmic else last * 1.04
    shown: list[float] = []
    band = min(0.14, 0.5 / len(tracks))  # of many methods that lie on each other, none should turn black
    for method, look in looks(experiment).items():
        if tracks[method]:
            shown += _track(axes, method, look, tracks[method], right, logarithmic, band)
    axes.set_xlim(first * 0.9 if logarithmic else 0, right)
    _clip(axes, shown, objective)
    if logarithmic:
        log_axis(axes.xaxis)
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    performance_axis(axes.yaxis, objective)
    columns = 1 if len(tracks) <= 5 else 2
    axes.legend(loc="lower right" if objective.mode == "max" else "upper right", handlelength=2.8, ncols=columns)
    return figure


def _track(
    axes: Axes,
    method: str,
    look: Look,
    tracks: Sequence[tuple[Floats, Floats, float]],
    right: float,
    logarithmic: bool,
    band: float,
) -> list[float]:
    """Draw one method, its band with this opacity; gives back values that the axis should show."""
    start, end = max(times[0] for times, _, _ in tracks), max(ended for _, _, ended in tracks)
    steps = np.unique(np.concatenate([times for times, _, _ in tracks]))
    x = np.unique(np.concatenate([[start], steps[steps >= start], [end]]))
    # Each repeat's best at x; its final best stands from its end on.
    values = np.array([found[np.searchsorted(times, x, side="right") - 1] for times, found, _ in tracks])
    mean = values.mean(axis=0)
    if len(tracks) > 1:
        axes.fill_between(
            x, values.min(axis=0), values.max(axis=0), step="post", color=look.colour, alpha=band, linewidth=0
        )
    axes.step(x, mean, where="post", color=look.colour, linestyle=look.line, linewidth=1.5)
    axes.plot([end, right], [mean[-1]] * 2, color=look.colour, linestyle=(0, (0.8, 2.2)), linewidth=0.9)
    axes.plot(
        end, mean[-1], look.marker, color=look.colour, markersize=5.5, markeredgecolor="white", markeredgewidth=0.6
    )
    # For the legend alone: line and marker together.
    axes.plot(
        [], [], color=look.colour, linestyle=look.line, marker=look.marker, markersize=4.5, linewidth=1.5, label=method
    )
    grid = np.geomspace(start, end, 100) if logarithmic else np.linspace(start, end, 100)
    where = np.searchsorted(x, grid, side="right") - 1
    return [float(value) for value in np.concatenate([mean[where[10:]], values[:, -1]])]


def _clip(axes: Axes, shown: Sequence[float], objective: Objective) -> None:
    """Leave out what is far worse than most, so that the ends can be told apart."""
    low, high = min(shown), max(shown)
    if objective.mode == "max":
        low = max(low, float(np.quantile(shown, 0.05)))
    else:
        high = min(high, float(np.quantile(shown, 0.95)))
    room = 0.06 * (high - low) or max(abs(high) * 0.02, 1e-6)
    top = high + room
    if objective.metric == "accuracy" and high <= 1:
        top = min(top, 1 + 0.02 * (high - low + room))
    axes.set_ylim(low - room, top)


@styled
def budgets(experiment: Experiment, runs: Runs) -> Figure:
    """The best performance at the smaller budgets and the whole one: mean and standard deviation over repeats."""
    objective = experiment.objective
    table = at_budgets(experiment, runs)
    figure = new_figure(3.0)
    axes = figure.subplots()
    axes.set_xlabel(
        {"seconds": "budget (computing seconds)"}.get(experiment.budget.kind, f"budget ({experiment.budget.kind})")
    )
    axes.set_ylabel("best " + objective_label(objective))
    known = table.dropna(subset=["best_performance_mean"])
    if known.empty:
        nothing(axes)
        return figure
    axes.set_xscale("log")
    places = sorted({float(value) for value in table["budget"]})
    # Methods stand side by side, so that their bars do not hide each other; never wider than half a step.
    gap = min((math.log(b / a) for a, b in pairwise(places)), default=0.7)
    shift = min(0.05, 0.5 * gap / max(len(runs), 1))
    for i, (method, look) in enumerate(looks(experiment).items()):
        own = known[known["method"] == method]
        if own.empty:
            continue
        x = own["budget"].to_numpy(float) * math.exp(shift * (i - (len(runs) - 1) / 2))
        mean, sd = own["best_performance_mean"].to_numpy(float), own["best_performance_sd"].fillna(0).to_numpy(float)
        axes.errorbar(
            x,
            mean,
            yerr=sd if (sd > 0).any() else None,
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            linewidth=1.3,
            elinewidth=0.9,
            capsize=2.5,
            label=method,
        )
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(float(f"{value:.6g}"))))
    axes.set_xlim(places[0] / 1.25, places[-1] * 1.25)
    axes.margins(y=0.08)
    performance_axis(axes.yaxis, objective)
    # Lines and markers without their bars say enough, and "best" finds the place that hides least.
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        [handle[0] if isinstance(handle, tuple) else handle for handle in handles], names, loc="best", handlelength=2.8
    )
    return figure
