"""All trials over all hyperparameters: the figure `parallel`, in parallel coordinates (Inselberg 1985)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from ...config.experiment import Experiment
from ...config.objective import Objective
from ...events.trials import TrialState
from ...results.runs import RunResult
from ...space.domains import Choice, Domain, Integer, LogUniform
from ...space.search_space import Space
from ...util.seeding import generator
from ..spaces import alike, completed, searched
from ..tables import Runs
from .style import (
    FAILED,
    FAINT,
    GOOD,
    INK,
    MUTED,
    good_and_bad,
    new_figure,
    note,
    nothing,
    objective_label,
    performance_ticks,
    pick,
    short,
    words,
)

TITLE = "All trials over all hyperparameters"
CAPTION = """\
All trials of the first repeat in parallel coordinates: a line is a trial, which crosses each axis at its value of
that hyperparameter, on the scale of the search space, and ends at its final performance. Darker is better; the worst
tenth share the lightest colour and the lower end of the last axis. The thick black line is the trial that was chosen
on validation. Stopped trials are grey and end in a cross, failed ones are red and end in a triangle: they have no
final performance. *none* marks trials that lack a conditional hyperparameter. Lines through one of few values lie
side by side. Of many trials the best are drawn last and the others pale.

**What to look for:** axes that dark lines cross in one place only.
"""

MOST = 9
"""Most axes of hyperparameters; of more, those whose trials' ends differ most along them."""
ABSENT = -0.13
"""Where a line is that lacks a hyperparameter, below its axis."""
CROWD = 30
"""Trials above which lines through the same value lie side by side within its bin."""
DENSE = 300
"""Trials above which lines are pixels, and all but the best ones pale."""
FIRST, FEW = 0.02, (10, 50)
"""Share of the trials that count as the best ones, where trials are many, and their least and greatest number."""
PALE = 500
"""Most lines besides the best ones, evenly picked from all: more of them would only be a grey area."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Axis:
    name: str
    domain: Domain

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Places in [0, 1] and labels."""
        domain = self.domain
        if isinstance(domain, Choice) or domain.count <= most:
            values = domain.grid(most)
            step = -(-len(values) // (2 * most))
            return [(domain.encode(value), short(value)) for value in values[::step]]
        low, high = (float(bound) for bound in domain.extremes)
        logarithmic = isinstance(domain, LogUniform) or (isinstance(domain, Integer) and domain.log)
        if logarithmic:
            decades = np.log10(high / low)
            subs = (1.0,) if decades > 2.2 else (1.0, 2.0, 5.0)
            places = LogLocator(subs=subs, numticks=most).tick_values(low, high)
        else:
            places = MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        inside = [float(place) for place in places if low <= place <= high]
        if isinstance(domain, Integer):
            return [(domain.encode(int(place)), short(int(place))) for place in inside if place == int(place)]
        return [(domain.encode(place), short(round(place, 12))) for place in inside]


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """Trials of the first repeat as lines over all hyperparameters, one panel per search, coloured by final performance.

    Axes have the scale that the space has. The strip at the right is performance; the worst tenth share its end. The
    chosen trial is black; stopped and failed trials end at the last hyperparameter, having no final performance. Of many
    trials the best are drawn last and the others pale.
    """
    objective = experiment.objective
    spaces = searched(experiment, runs)
    if not any(space.variables for space in spaces.values()):
        figure = new_figure(1.5)
        nothing(figure.subplots(), "no search varies a hyperparameter")
        return figure
    first = {method: runs[method][0] for method in spaces}
    values = [
        value
        for run in first.values()
        for trial in run.trials.values()
        if (value := trial.performance(objective.key)) is not None
    ]
    palette, norm, _ = good_and_bad(values, objective)
    height = 2.25 if len(first) <= 2 else 1.85
    figure = new_figure(0.55 + height * len(first))
    panels = figure.subplots(len(first), 1, squeeze=False)[:, 0]
    names = {
        method: _shown(space, [first[other] for other in methods], objective)
        for space, methods in alike(spaces)
        for method in methods
    }
    for axes, (method, run) in zip(panels, first.items(), strict=True):
        axes.set_title(method, loc="left", pad=34)
        note(axes, _summary(run), 22)
        _panel(axes, run, spaces[method], names[method], objective, palette, norm)
    figure.legend(handles=_legend(list(first.values())), loc="outside upper left", ncols=5, handlelength=2.2)
    return figure


def _panel(
    axes: Axes,
    run: RunResult,
    space: Space,
    names: Sequence[str],
    objective: Objective,
    palette: Colormap,
    norm: Normalize,
) -> None:
    axes.set_axis_off()
    trials = [trial for trial in run.trials.values() if trial.status in ("completed", "stopped", "failed")]
    if not names or not trials:
        nothing(axes, "no trials" if names else "nothing is varied")
        return
    shown = [_Axis(name, space[name]) for name in names]
    lines = _places(shown, trials, run.best)
    last = len(shown)  # the place of the performance axis
    ends = np.array([np.nan if (v := t.performance(objective.key)) is None else v for t in trials])
    up = norm(ends) if objective.mode == "max" else 1 - norm(ends)
    whole = np.column_stack([lines, up])
    status = np.array([trial.status for trial in trials])
    dense = len(trials) > DENSE
    width = 0.9 if len(trials) <= 100 else 0.6 if not dense else 0.35
    x = np.arange(last + 1, dtype=float)
    # All that becomes pixels lies below everything else, so that it becomes one image, on white to keep it small.
    axes.axhspan(-1, 2, facecolor="white", linewidth=0, zorder=0.1, rasterized=dense)
    done = np.flatnonzero(status == "completed")
    done = done[np.argsort(whole[done, -1], kind="stable")]  # the best are drawn last
    best = min(max(FEW[0], round(FIRST * len(done))), FEW[1], len(done)) if dense else len(done)
    first = done[len(done) - best :]
    others = np.array(pick(np.setdiff1d(np.arange(len(trials)), first).tolist(), PALE), dtype=int)
    alpha = max(0.12, min(0.8, 60 / (len(others) + 1)))
    for which, colour, layer in (("stopped", FAINT, 0.2), ("failed", FAILED, 0.3)):
        rows = lines[others[status[others] == which]]
        if len(rows):
            cut = x[:last] if last > 1 else np.array([0.0, 0.25])
            rows = rows if last > 1 else np.repeat(rows, 2, axis=1)
            _lines(axes, cut, rows, colour, width, max(alpha, 0.25), layer, dense)
            axes.plot(
                np.full(len(rows), cut[-1]), rows[:, -1], "x" if which == "stopped" else "v", color=colour,
                markersize=2 if dense else 3.5, markeredgewidth=0.6, zorder=layer, rasterized=dense,
                alpha=max(alpha, 0.25),
            )  # fmt: skip
    pale = done[np.isin(done, others)]
    colours = palette(norm(ends))
    _lines(axes, x, whole[pale], colours[pale], width, alpha, 0.4, dense)
    _lines(axes, x, whole[first], colours[first], 0.8 if dense else width, 0.85, 0.5, dense)
    drawn = len(first) + len(others)
    chosen = [i for i, trial in enumerate(trials) if trial.number == run.best]
    for i in chosen:
        axes.plot(x, whole[i], color="white", linewidth=3.0, zorder=5)
        axes.plot(x, whole[i], color=INK, linewidth=1.5, marker="o", markersize=3, zorder=5)
    for place, axis in enumerate(shown):
        _scale(axes, place, axis, absent=bool(np.any(lines[:, place] == ABSENT)), crowded=len(shown) > 5)
    _strip(axes, last, objective, palette, norm)
    axes.set_xlim(-0.35, last + 0.45)
    axes.set_ylim(ABSENT - 0.05 if np.any(lines == ABSENT) else -0.05, 1.03)
    hidden = len(space.variables) - len(shown)
    remarks = [f"{hidden} more hyperparameter{'s' * (hidden > 1)} not drawn"] if hidden else []
    remarks += [f"{short(drawn)} of {short(len(trials))} drawn"] if drawn < len(trials) else []
    axes.annotate(
        ", ".join(remarks), (1, 1), xytext=(0, 22), ha="right", xycoords="axes fraction",
        textcoords="offset points", fontsize=8, color=MUTED,
    )  # fmt: skip


def _places(shown: Sequence[_Axis], trials: Sequence[TrialState], best: int | None) -> Floats:
    """Where lines cross the axes, shape (trials, axes); that of the best trial at its very values."""
    found = np.full((len(trials), len(shown)), ABSENT)
    for place, axis in enumerate(shown):
        for i, trial in enumerate(trials):
            if axis.name in trial.configuration:
                found[i, place] = axis.domain.encode(trial.configuration[axis.name])
        if axis.domain.count <= len(trials) and len(trials) > CROWD:
            # Lines through one of few values would all lie on each other.
            reach = 0.7 / axis.domain.count
            moved = reach * (generator(0, 0, "parallel", place).random(len(trials)) - 0.5)
            still = [
                value == ABSENT or trial.number == best for value, trial in zip(found[:, place], trials, strict=True)
            ]
            found[:, place] += np.where(still, 0, moved)
    return found


def _lines(
    axes: Axes, x: Floats, rows: Floats, colours: object, width: float, alpha: float, layer: float, dense: bool
) -> None:
    if len(rows):
        segments = np.stack([np.broadcast_to(x, rows.shape), rows], axis=-1)
        axes.add_collection(
            LineCollection(
                list(segments), colors=colours, linewidths=width, alpha=alpha, zorder=layer, rasterized=dense
            ),
            autolim=False,
        )


def _scale(axes: Axes, place: int, axis: _Axis, *, absent: bool, crowded: bool) -> None:
    """A vertical axis with its labels, and its name above."""
    axes.plot([place, place], [0, 1], color=MUTED, linewidth=0.8, zorder=6, solid_capstyle="butt")
    halo = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
    ticks = axis.ticks(5)
    if absent:
        ticks.append((ABSENT, "none"))
    for at, label in ticks:
        axes.plot([place - 0.02, place], [at, at], color=MUTED, linewidth=0.7, zorder=6)
        text = label if len(label) <= 10 else label[:9] + "…"
        axes.annotate(
            text, (place, at), xytext=(-4, 0), textcoords="offset points", ha="right", va="center",
            fontsize=8, zorder=7, bbox=halo,
        )  # fmt: skip
    name = words(axis.name)
    axes.annotate(
        name.replace(" ", "\n", 1) if crowded else name, (place, 1), xytext=(0, 6), textcoords="offset points",
        ha="center", va="baseline", fontsize=8, linespacing=0.95,
    )  # fmt: skip


def _strip(axes: Axes, place: int, objective: Objective, palette, norm: Normalize) -> None:  # type: ignore[no-untyped-def]
    """The performance axis, which is the legend of the colours as well."""
    shades = np.linspace(0, 1, 128)[:, None]
    shades = shades if objective.mode == "max" else 1 - shades
    axes.imshow(
        palette(shades), extent=(place, place + 0.05, 0, 1), aspect="auto", origin="lower", zorder=6,
        interpolation="bilinear",
    )  # fmt: skip
    for value, label in performance_ticks(norm.vmin or 0.0, norm.vmax or 1.0, objective):
        at = float(norm(value)) if objective.mode == "max" else 1 - float(norm(value))
        axes.annotate(
            label, (place + 0.05, at), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8, zorder=7
        )
    axes.annotate(
        objective_label(objective, "final"), (place, 1), xytext=(0, 6), textcoords="offset points", ha="center",
        va="baseline", fontsize=8,
    )  # fmt: skip


def _shown(space: Space, runs: Sequence[RunResult], objective: Objective) -> list[str]:
    """At most so many hyperparameters, as declared: those whose rank correlation with performance is strongest."""
    names = list(space.variables)
    if len(names) <= MOST:
        return names
    from scipy import stats

    strength = dict.fromkeys(names, 0.0)
    for name in names:
        pairs = [(space[name].encode(c[name]), v) for c, v in completed(runs, objective.key) if name in c]
        if len(pairs) > 2 and np.ptp(pairs, axis=0).all():
            strength[name] = abs(float(stats.spearmanr(*np.array(pairs).T).statistic))
    best = sorted(names, key=lambda name: -strength[name])[:MOST]
    return [name for name in names if name in best]


def _summary(run: RunResult) -> str:
    counts = [(status, run.count(status)) for status in ("completed", "stopped", "failed")]
    return ", ".join(f"{short(count)} {status}" for status, count in counts if count)


def _legend(runs: Sequence[RunResult]) -> list[Line2D]:
    """Only what is to be seen."""
    handles = [
        Line2D([], [], color=INK, linewidth=1.5, marker="o", markersize=3, label="chosen"),
        Line2D([], [], color=GOOD(0.6), linewidth=1.2, label="completed (coloured by performance)"),
        Line2D([], [], color=FAINT, linewidth=1, marker="x", markersize=4, label="stopped"),
        Line2D([], [], color=FAILED, linewidth=1, marker="v", markersize=4, label="failed"),
    ]
    present = [any(run.chosen for run in runs)]
    present += [any(run.count(end) for run in runs) for end in ("completed", "stopped", "failed")]
    return [handle for handle, there in zip(handles, present, strict=True) if there]
