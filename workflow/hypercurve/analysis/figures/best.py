"""How good the best trial is, as computing goes on: the figure `best`."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ...config.experiment import Experiment
from ...config.objective import Objective
from ...results.runs import RunResult
from ..tables import Runs
from .style import Look, log_axis, looks, new_figure, nothing, objective_label, performance_axis, short, zoom

TITLE = "Best so far"
CAPTION = """\
The best validation performance found so far, over the computing seconds spent by then: training and evaluation,
summed over workers, in the order of the journal. Lines are means over repeats, each from where all its repeats have
found something; pale bands, and the bar at the end, reach from the lower to the upper quartile of the repeats. A
marker stands where a method's last repeat ended, a dotted line carries its result on. The steep beginning may lie
below the axis, which shows where the methods differ. A population completes nothing before its end; until then a thin
line shows, at each evolution step, the fitness of the member that was fittest one step before. That is measured on a
part of the validation samples, so it need not meet the marker.

**What to look for:** a method whose marker stands further left at the same height found as much for less.
"""

WIDE = 30.0
"""Ratio of the last to the first time above which the time axis is logarithmic."""
HIDDEN = 0.25
"""Share of the time axis during which means may lie below the performance axis."""
TALLEST = 10.0
"""Height of the performance axis, at most, in differences between the methods' ends."""

Floats = npt.NDArray[np.float64]


def best_so_far(run: RunResult, objective: Objective, *, virtual: bool = False) -> tuple[Floats, Floats, float]:
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
        spent += event.cost - costs[event.trial] if virtual else event.seconds
        costs[event.trial] = event.cost
        value = trial.performance(objective.key) if event.kind == "completed" else None
        if value is not None and (not values or objective.better(value, values[-1])):
            times.append(spent)
            values.append(value)
    return np.array(times), np.array(values), spent


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """Best validation performance so far over computing seconds.

    Mean over repeats as a step curve from where every repeat has something, with a band between the quartiles; a marker
    where the last repeat ended, and a dotted line on from there. Before its end, a population has only the fitness of its
    members at evolution steps, on a part of the validation samples: that of the leader is drawn as a thin line. The
    performance axis leaves out the steep beginning. Without measured seconds (replays, synthetic trainings) the axis
    counts virtual ones.
    """
    objective = experiment.objective
    virtual = any(not _measured(run) for own in runs.values() for run in own)
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
    band = 0.12 if len(tracks) <= 2 else 0.05  # many that lie on each other would hide the means
    for method, look in looks(experiment).items():
        if tracks[method]:
            if experiment.methods[method].population is not None:
                shown += _approximate(axes, look, [leaders(run, objective, virtual=virtual) for run in runs[method]])
            shown += _track(axes, method, look, tracks[method], right, logarithmic, band)
    axes.set_xlim(first * 0.9 if logarithmic else 0, right)
    # The legend lies beside where the worst of them ends.
    finals = [float(np.mean([found[-1] for _, found, _ in own])) for own in tracks.values() if own]
    zoom(axes, shown, objective, HIDDEN, keep=min(finals) if objective.mode == "max" else max(finals))
    _close_up(axes, shown, [found[-1] for own in tracks.values() for _, found, _ in own], objective)
    if logarithmic:
        axes.set_xlim(left=0.9 * max(_enters(axes, objective), first))
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
        low, high = np.quantile(values, (0.25, 0.75), axis=0)
        axes.fill_between(x, low, high, step="post", color=look.colour, alpha=band, linewidth=0, zorder=1)
        axes.plot([end, end], [low[-1], high[-1]], color=look.colour, linewidth=1.1, solid_capstyle="butt", zorder=3)
    axes.step(x, mean, where="post", color=look.colour, linestyle=look.line, linewidth=1.5)
    axes.plot([end, right], [mean[-1]] * 2, color=look.colour, linestyle=(0, (0.8, 2.2)), linewidth=0.9)
    axes.plot(
        end, mean[-1], look.marker, color=look.colour, markersize=5.5, markeredgecolor="white", markeredgewidth=0.6
    )
    # For the legend alone: line and marker together.
    axes.plot(
        [], [], color=look.colour, linestyle=look.line, marker=look.marker, markersize=4.5, linewidth=1.5, label=method
    )
    grid = np.geomspace(start, end, 100) if logarithmic and start > 0 else np.linspace(start, end, 100)
    where = np.searchsorted(x, grid, side="right") - 1
    return [float(value) for value in np.concatenate([mean[where], values[:, -1]])]


def _measured(run: RunResult) -> bool:
    """Whether training took seconds; the moment in which a trial raised is none."""
    return any(event.seconds > 0 for event in run.events if event.kind != "failed")


def _close_up(axes: Axes, shown: Sequence[float], ends: Sequence[float], objective: Objective) -> None:
    """Leave out more of the beginning, if the ends of all runs would otherwise lie on each other."""
    low, high = axes.get_ylim()
    room = TALLEST * (max(ends) - min(ends))
    if not 0 < room < high - low:
        return
    if objective.mode == "max":
        high = min(high, max(*shown, *ends) + 0.06 * room)
        axes.set_ylim(max(low, high - room), high)
    else:
        low = max(low, min(*shown, *ends) - 0.06 * room)
        axes.set_ylim(low, min(high, low + room))


def _enters(axes: Axes, objective: Objective) -> float:
    """The time at which the first line comes into view."""
    low, high = axes.get_ylim()
    times = [0.0]
    for line in axes.get_lines():
        x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
        inside = (y >= low) if objective.mode == "max" else (y <= high)
        if inside.any():
            times.append(float(x[inside.argmax()]))
    return min(times[1:], default=0.0)


def leaders(run: RunResult, objective: Objective, *, virtual: bool = False) -> tuple[Floats, Floats]:
    """How good a population is before its end: times of the evolution steps, and there the fitness of the member that was
    fittest one step before.

    Fitness is measured on a part of the validation samples. The fittest of a step is also the luckiest; where it stands
    one step later is a fairer account.
    """
    found: dict[float, dict[int, float]] = {}
    times: dict[float, float] = {}
    spent = 0.0
    clock = dict.fromkeys(run.trials, 0.0)
    values = {(trial.number, progress): metrics for trial in run.trials.values() for progress, metrics in trial.curve}
    for event in run.events:
        spent += event.time - clock[event.trial] if virtual else event.seconds
        clock[event.trial] = event.time
        if event.progress < 1:
            times[event.progress] = spent
            metrics = values.get((event.trial, event.progress), {})
            if objective.key in metrics:
                found.setdefault(event.progress, {})[event.trial] = metrics[objective.key]
    pick = max if objective.mode == "max" else min
    points = []
    for before, now in pairwise(sorted(found)):
        leader = pick(found[before], key=lambda member: found[before][member])
        if leader in found[now]:
            points.append((times[now], found[now][leader]))
    rows = np.array(points, dtype=float).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _approximate(axes: Axes, look: Look, tracks: Sequence[tuple[Floats, Floats]]) -> list[float]:
    """Draw the leaders' fitness, mean over repeats; gives back its values."""
    least = min((len(times) for times, _ in tracks), default=0)
    if not least:
        return []
    x = np.mean([times[:least] for times, _ in tracks], axis=0)
    y = np.mean([values[:least] for _, values in tracks], axis=0)
    axes.plot(x, y, color=look.colour, linewidth=0.7, zorder=2)
    return [float(value) for value in y]
