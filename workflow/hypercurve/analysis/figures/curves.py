"""Learning curves of a run's trials: the figure `curves`."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...config.experiment import Experiment
from ...config.objective import JudgedCurve
from ...events.trials import Status, TrialState
from ...results.runs import RunResult
from ..prose import metric
from ..tables import Runs
from .style import FAILED, FAINT, INK, MUTED, WIDTH, Look, log_axis, looks, new_figure, nothing, pick, share_axis, short

TITLE = "Learning curves"
CAPTION = """\
Learning curves of the first repeat, of the metric that stoppers compare, over the share of training. Completed trials
are thin lines in the method's colour, stopped ones are grey and end in a cross, failed ones are red and marked at the
upper edge where they failed. The thick black line is the trial that was chosen on validation. Losses far above all
others, of trials that diverge, leave the panel at the top. Of many trials an even sample is drawn, and the panel says
so. In a population a line is a member, which jumps where it goes on with another's weights.

**What to look for:** whether the curves of the stopped trials would have led to the upper end of the completed ones.
"""

ENDS: tuple[Status, ...] = ("completed", "stopped", "failed")
SPREAD = 15.0
"""Ratio of the greatest to the least loss above which the axis is logarithmic."""


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """The judged metric over the share of training, one panel per method, first repeat.

    Completed trials are solid lines, stopped ones grey and ended by a cross, failed ones marked on the upper edge where they
    failed; the chosen trial is drawn thick. Losses far above the others' (diverging trials) leave the panel at the top.
    """
    methods = list(experiment.methods)
    columns = 1 if len(methods) == 1 else 2 if len(methods) <= 6 else 3
    rows = math.ceil(len(methods) / columns)
    figure = new_figure(0.55 + (2.3 if columns < 3 else 2.1) * rows, width=WIDTH if columns > 1 else 0.75 * WIDTH)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    first = {method: runs[method][0] for method in methods if runs[method]}
    low, high, logarithmic = _range(list(first.values()), experiment.judged)
    for axes in grid.flat:
        if logarithmic:
            axes.set_yscale("log")
        axes.set_ylim(low, high)
        axes.set_xlim(0, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        share_axis(axes.xaxis)
    if logarithmic:
        log_axis(grid.flat[0].yaxis)
    for axes, method in zip(grid.flat, methods, strict=False):
        axes.set_title(method, loc="left", pad=19 if columns < 3 else 30)
        if method in first:
            _panel(
                axes, first[method], looks(experiment)[method], "\n" if columns == 3 else ", ", experiment.judged.metric
            )
    for axes in list(grid.flat)[len(methods) :]:
        axes.set_visible(False)
        # The panel above an empty place has nobody below to carry its labels.
        grid[-2, list(grid[-1]).index(axes)].tick_params(labelbottom=True)
    figure.supxlabel("share of training", fontsize=8.5)
    figure.supylabel(metric(experiment.judged.metric), fontsize=8.5)
    figure.legend(handles=_legend(list(first.values())), loc="outside upper center", ncols=5, handlelength=2.2)
    return figure


def _range(runs: Sequence[RunResult], judged: JudgedCurve) -> tuple[float, float, bool]:
    """Bounds of the axis of values, and whether it is logarithmic."""
    losses = np.array([y for run in runs for trial in run.trials.values() for _, y in _points(trial, judged.metric)])
    losses = losses[np.isfinite(losses)]
    if not len(losses):
        return 0.0, 1.0, False
    low, high = float(losses.min()), float(losses.max())
    usual = float(np.quantile(losses, 0.95))
    if judged.mode == "min" and usual > 0 and high > 5 * usual:  # a few diverge: show the others
        high = 2 * usual
    if judged.mode == "min" and low > 0 and high / low > SPREAD:
        return low / 1.2, high * 1.2, True
    room = 0.05 * (high - low) or max(abs(high) * 0.05, 1e-6)
    return low - room, high + room, False


def _panel(axes: Axes, run: RunResult, look: Look, between: str, name: str) -> None:
    counts = {status: run.count(status) for status in ENDS}
    parts = [f"{short(count)} {status}" for status, count in counts.items() if count]
    text = ", ".join(parts[:1]) + between + ", ".join(parts[1:]) if len(parts) > 1 else "".join(parts)
    axes.text(0, 1.05, text, transform=axes.transAxes, fontsize=8, color=MUTED, va="bottom", linespacing=1.1)
    trials = pick([trial for trial in run.trials.values() if trial.number != run.best])
    if len(trials) + 1 < len(run.trials):
        note = f"{len(trials) + 1} of {short(len(run.trials))} drawn"
        axes.text(0.99, 0.97, note, transform=axes.transAxes, fontsize=8, color=MUTED, ha="right", va="top", zorder=6)
    shown = {status: [trial for trial in trials if trial.status == status] for status in ENDS}
    failed = [trial for trial in run.trials.values() if trial.status == "failed"]
    dense = len(trials) > 100
    _lines(axes, shown["stopped"], name, FAINT, 1, dense)
    _lines(axes, shown["completed"], name, look.colour, 2, dense)
    _lines(axes, shown["failed"], name, FAILED, 2, dense)
    ends = [points[-1] for trial in shown["stopped"] if (points := _points(trial, name))]
    if ends:
        x, y = zip(*ends, strict=True)
        axes.plot(
            x,
            y,
            "x",
            color=MUTED,
            markersize=3 if dense else 4,
            markeredgewidth=0.8,
            alpha=0.8,
            zorder=3,
            rasterized=dense,
        )
    if failed:
        places = sorted({trial.progress for trial in failed})
        axes.plot(
            places,
            [1.0] * len(places),
            "v",
            transform=axes.get_xaxis_transform(),
            color=FAILED,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            clip_on=False,
            zorder=5,
        )
    if run.chosen is not None and (points := _points(run.chosen, name)):
        x, y = zip(*points, strict=True)
        axes.plot(x, y, color="white", linewidth=3.4, zorder=4)
        axes.plot(x, y, color=INK, linewidth=1.8, marker="o" if len(x) <= 20 else "", markersize=2.5, zorder=4)
    else:
        nothing(axes)


def _points(trial: TrialState, name: str) -> list[tuple[float, float]]:
    return [(progress, metrics[name]) for progress, metrics in trial.curve if name in metrics]


def _lines(axes: Axes, trials: Sequence[TrialState], name: str, colour: str, zorder: int, dense: bool) -> None:
    lines = [np.array(points) for trial in trials if (points := _points(trial, name))]
    # The more lines, the fainter each: a layer's darkness tells how many lie on each other.
    alpha = min(0.65, max(0.25, 40 / (len(lines) + 1)))
    width = 0.8 if len(lines) < 100 else 0.5
    axes.add_collection(
        LineCollection(lines, colors=colour, linewidths=width, alpha=alpha, zorder=zorder, rasterized=dense),
        autolim=False,
    )


def _legend(runs: Sequence[RunResult]) -> list[Line2D]:
    """Only what is to be seen."""
    handles = [
        Line2D([], [], color=INK, linewidth=1.8, marker="o", markersize=2.5, label="chosen"),
        Line2D([], [], color=MUTED, linewidth=0.9, label="completed (in the method's colour)"),
        Line2D([], [], color=FAINT, linewidth=1, marker="x", markeredgecolor=MUTED, markersize=4, label="stopped"),
        Line2D([], [], color=FAILED, linestyle="", marker="v", markersize=5, label="failed"),
    ]
    present = [any(run.chosen for run in runs), *(any(run.count(end) for run in runs) for end in ENDS)]
    return [handle for handle, there in zip(handles, present, strict=True) if there]
