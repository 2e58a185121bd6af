"""Who trained what, when: the figure `timeline`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from ...config.experiment import Experiment
from ...config.methods import Method
from ...results.runs import RunResult
from ..tables import Runs
from ..traits import utilisation, workers
from .style import FAILED, FAINT, MUTED, Look, looks, new_figure, note, nothing, short

TITLE = "Workers over time"
CAPTION = """\
Which worker trained what, over seconds by the clock, in the first repeat; a row is a worker (a job, where trials were
scattered over jobs). Trials are coloured by how they ended, members of a population by their number. Bars include
compilation and initialisation; light grey is idle time, from waiting for other members, for jobs to start, or for a
resumed run. The panel says how much of the workers' time is bars, and how much is training and evaluation alone.

**What to look for:** light grey, which is paid for and trains nothing, and wide bars at the beginning, which are
compilation.
"""

GAP = 0.001
"""Gaps within a trial below this share of the whole span would not be seen, and are closed."""
VISIBLE = 0.006
"""Bars below this share of the whole span have no white edge, which would hide them."""
PAUSE, SHORT = 0.05, 1.0
"""Times in which nobody trains are cut out if they are longer than this share of the time in which somebody does, and
than so many seconds."""
KEPT = 0.012
"""What is left of such a time in the figure, as the same share."""
LABELLED = 16
"""Workers up to which each is labelled."""


class Bar(NamedTuple):
    """A worker's time on one trial, in seconds since the run's first training began."""

    worker: int
    trial: int
    start: float
    end: float


def bars(run: RunResult) -> list[Bar]:
    """When each worker trained which trial, compilation included; reports of a trial that follow each other are merged."""
    timed = [(event.worker or 0, event.began, event.at, event.trial) for event in run.events]
    known = sorted(
        (worker, began, at, trial) for worker, began, at, trial in timed if began is not None and at is not None
    )
    if not known:
        return []
    zero = min(began for _, began, _, _ in known)
    gap = GAP * (max(at for _, _, at, _ in known) - zero)
    found: list[Bar] = []
    for worker, began, at, trial in known:
        last = found[-1] if found else None
        if last and (last.worker, last.trial) == (worker, trial) and began - zero - last.end <= gap:
            found[-1] = last._replace(end=max(last.end, at - zero))
        else:
            found.append(Bar(worker, trial, began - zero, at - zero))
    return found


def without_pauses(found: Sequence[Bar]) -> tuple[list[Bar], list[tuple[float, float]]]:
    """Bars on a clock that stands still in long times when nobody trains: jobs wait in a queue, or a run was resumed.

    Returns:
        The bars, and of each such time where it is on that clock and how many seconds were cut out.
    """
    in_order = sorted(found, key=lambda bar: bar.start)
    gaps: list[tuple[float, float]] = []
    reach = busy = 0.0
    for bar in in_order:
        if bar.start > reach:
            gaps.append((reach, bar.start))
        busy += max(0.0, bar.end - max(bar.start, reach))
        reach = max(reach, bar.end)
    long = [(start, end) for start, end in gaps if end - start > max(PAUSE * busy, SHORT)]
    cuts = [(start, end - start - KEPT * busy) for start, end in long]
    moved = [
        bar._replace(start=bar.start - gone, end=bar.end - gone)
        for bar in in_order
        for gone in [sum(seconds for start, seconds in cuts if start < bar.start)]
    ]
    places = [
        (start - sum(seconds for _, seconds in cuts[:i]) + KEPT * busy / 2, seconds)
        for i, (start, seconds) in enumerate(cuts)
    ]
    return moved, places


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """Workers over wall-clock time, one panel per method, first repeat.

    Trials are coloured by how they ended, members of a population by their number; idle time shows as a grey strip. Long
    times when nobody trains are cut out. Where trials were scattered over jobs, a row is a job.
    """
    first = {method: runs[method][0] for method in experiment.methods if runs[method]}
    heights = [min(max(0.17 * len(workers(run)), 0.4), 2.6) for run in first.values()]
    if not first:
        figure = new_figure(2.0)
        nothing(figure.subplots(), "no runs")
        return figure
    figure = new_figure(0.85 + sum(heights) + 0.62 * len(heights))
    panels = figure.subplots(len(first), 1, sharex=True, squeeze=False, height_ratios=[h + 0.2 for h in heights])[:, 0]
    for axes, (method, run) in zip(panels, first.items(), strict=True):
        axes.set_title(method, loc="left", pad=17)
        axes.grid(visible=False)
        _panel(axes, run, looks(experiment)[method], experiment.methods[method])
    cut = {method: without_pauses(bars(run)) for method, run in first.items()}
    without = ", without pauses of all" if any(places for _, places in cut.values()) else ""
    panels[-1].set_xlabel(f"seconds by the clock, since the first training began{without}")
    panels[-1].set_xlim(0, max(max((bar.end for bar in found), default=1.0) for found, _ in cut.values()) * 1.01)
    panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    figure.legend(handles=_legend(experiment, first), loc="outside upper left", ncols=5, handlelength=1.4)
    return figure


def _panel(axes: Axes, run: RunResult, look: Look, method: Method) -> None:
    found, pauses = without_pauses(bars(run))
    if not found:
        nothing(axes, "no readings of the clock")
        return
    population = method.population is not None
    who = workers(run)
    rows = {worker: row for row, worker in enumerate(who)}
    span = max(bar.end for bar in found)
    jobs = len(who) > 1 and method.tasks is None and not population
    there = dict.fromkeys(who, (0.0, span))
    if jobs:  # each is there for a while only
        for worker in who:
            own = [bar for bar in found if bar.worker == worker]
            there[worker] = (own[0].start, max(bar.end for bar in own))
    note(axes, _summary(run, found, pauses, there, jobs))
    dense = len(found) > 400
    for worker, row in rows.items():
        start, end = there[worker]
        axes.broken_barh([(start, end - start)], (row - 0.4, 0.8), facecolors="#efefef", linewidth=0, rasterized=dense)
    colours = _colours(run, look, population)
    for worker, row in rows.items():
        own = [bar for bar in found if bar.worker == worker]
        axes.broken_barh(
            [(bar.start, bar.end - bar.start) for bar in own],
            (row - 0.4, 0.8),
            facecolors=[colours[bar.trial] for bar in own],
            edgecolors=["white" if bar.end - bar.start > VISIBLE * span else colours[bar.trial] for bar in own],
            linewidth=0.4,
            rasterized=dense,
        )
    for place, _ in pauses:
        axes.axvline(place, color="white", linewidth=2.5, zorder=2.3)
        axes.axvline(place, color=MUTED, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=2.4)
    axes.set_ylim(len(who) - 0.4, -0.6)
    axes.set_ylabel("job" if jobs else "worker")
    axes.yaxis.set_major_locator(
        FixedLocator(range(len(who))) if len(who) <= LABELLED else MaxNLocator(6, integer=True)
    )
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda row, _: str(who[int(row)]) if row == int(row) and 0 <= row < len(who) else "")
    )
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _summary(
    run: RunResult,
    found: Sequence[Bar],
    pauses: Sequence[tuple[float, float]],
    there: dict[int, tuple[float, float]],
    jobs: bool,
) -> str:
    """How many workers there were, and how busy while they were there; pauses of all count as waiting, but not of jobs."""
    gone = sum(seconds for _, seconds in pauses)
    time = sum(end - start for start, end in there.values()) + (0 if jobs else gone * len(there))
    busy = sum(bar.end - bar.start for bar in found) / time if time else 0.0
    own = sum(event.seconds for event in run.events if not event.reused)
    training = own / time if jobs and time else utilisation(run) or 0.0
    noun = "job" if jobs else "worker"
    text = f"{short(len(there))} {noun}{'s' * (len(there) > 1)}"
    text += f", busy {100 * busy:.0f}\u202f% of the time, training {100 * training:.0f}\u202f%"
    if pauses:
        text += f"; nobody trained for {short(round(gone))}\u202fs more (dotted)"
    return text


def _colours(run: RunResult, look: Look, population: bool) -> dict[int, Any]:
    numbers = sorted(run.trials)
    if population:
        palette = sns.color_palette("viridis", n_colors=max(len(numbers), 2))
        return {number: palette[place] for place, number in enumerate(numbers)}
    by_status = {"completed": look.colour, "stopped": FAINT, "failed": FAILED, "running": MUTED}
    return {number: by_status[trial.status] for number, trial in run.trials.items()}


def _legend(experiment: Experiment, first: dict[str, RunResult]) -> Sequence[Patch]:
    """Only what is to be seen."""
    searches = [run for method, run in first.items() if experiment.methods[method].population is None]
    members = [len(run.trials) for method, run in first.items() if experiment.methods[method].population is not None]
    handles = []
    if any(run.count("completed") for run in searches):
        handles.append(Patch(color=MUTED, label="completed (in the method's colour)"))
    if any(run.count("stopped") for run in searches):
        handles.append(Patch(color=FAINT, label="stopped"))
    if any(run.count("failed") for run in searches):
        handles.append(Patch(color=FAILED, label="failed"))
    if members:
        dark, light = (sns.color_palette("viridis", n_colors=max(max(members), 2))[i] for i in (0, -1))
        handles += [Patch(color=dark, label="member 0"), Patch(color=light, label=f"member {max(members) - 1}")]
    return [*handles, Patch(color="#efefef", label="idle")]
