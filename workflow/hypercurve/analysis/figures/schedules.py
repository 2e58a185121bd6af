"""Static against decaying learning rates: the figure `schedules` (poster, "Dynamic Learning Rate", graphs A, B and C)."""

import numpy as np
import numpy.typing as npt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...config.cost import CostModel
from ...config.experiment import Experiment
from ...config.figures import decays
from ...config.hyperparameters import resolve
from ...config.learning_rates import learning_rates
from ...curves.cost import step_at
from ...events.journal import JournalError
from ...events.trials import TrialState
from ...results.runs import RunResult
from ..tables import Runs
from .style import (
    FAILED,
    FAINT,
    MUTED,
    iteration_axis,
    log_axis,
    log_if_positive,
    new_figure,
    nothing,
    objective_label,
    performance_axis,
    pick,
)

TITLE = "Learning rate schedules"
CAPTION = """\
Static learning rates (grey) and decaying ones (coloured by their initial rate). *A*: learning rate over iterations.
*B*: validation performance over iterations. *C*: final performance over the initial learning rate; a red cross on the
axis is a rate whose training failed. A and B show the first repeat, C shows all.

**What to look for:** in *C*, over which range of initial rates the decaying ones end above the static one.
"""

POINTS = 300
"""Most points drawn of a schedule."""

Floats = npt.NDArray[np.float64]


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """(A) Learning rate over iterations; (B) validation performance over iterations; (C) final over initial learning rate.

    Static rates are grey, decaying ones coloured by their initial rate. A and B show the first repeat, C all of them, with a
    line through the mean where the same rates were tried in all.
    """
    objective = experiment.objective
    figure = new_figure(2.85)
    a, b, c = figure.subplots(1, 3)
    methods = [
        m for m, given in experiment.methods.items() if given.population is None
    ]  # which have a figure of their own
    static = [m for m in methods if not decays(experiment, m)]
    decaying = [m for m in methods if decays(experiment, m)]
    initial = [
        rate
        for method in decaying
        for run in runs[method]
        for trial in run.trials.values()
        if (rate := _resolved(experiment, trial)["learning_rate"]) > 0
    ]
    palette = sns.color_palette("flare", as_cmap=True)
    low, high = (min(initial), max(initial)) if initial else (1e-3, 1.0)
    norm: Normalize = LogNorm(low, high if high > low else low * 1.01)

    for method in [*decaying, *static]:
        grey = method in static
        if runs[method]:
            trials = pick(list(runs[method][0].trials.values()), 200)
            dense = len(trials) > 60
            for axes, lines in ((a, _rates), (b, _validation)):
                drawn = [
                    (rate, line)
                    for t in trials
                    if (line := lines(experiment, runs[method][0], t)) is not None
                    for rate in [_rate(experiment, t)]
                ]
                axes.add_collection(
                    LineCollection(
                        [line for _, line in drawn],
                        colors=[MUTED if grey else palette(norm(max(rate, low))) for rate, _ in drawn],
                        linewidths=1.8 if grey else 0.5 if dense else 0.9,
                        zorder=3 if grey else 2,
                        rasterized=dense,
                    )
                )
                axes.autoscale_view()
        _finals(c, experiment, runs, method, grey, palette, norm)

    for axes in (a, b):
        axes.set_xlabel("iteration")
        axes.set_xlim(left=0)
        iteration_axis(axes.xaxis, 4)
    log_if_positive(a)
    log_if_positive(c, "x")
    a.set_ylabel("learning rate")
    b.set_ylabel(objective_label(objective))
    c.set_xlabel("initial learning rate")
    c.set_ylabel("final " + objective_label(objective))
    performance_axis(b.yaxis, objective)
    performance_axis(c.yaxis, objective)
    for axes, letter in zip((a, b, c), "ABC", strict=True):
        axes.set_title(letter, loc="left")
        if not axes.has_data():
            nothing(axes, "no reports")
    if initial:
        bar = figure.colorbar(
            ScalarMappable(norm, palette), ax=[a, b, c], location="bottom", shrink=0.4, aspect=40, pad=0.04
        )
        bar.set_label("initial learning rate (decaying)")
        bar.outline.set_visible(False)
        log_axis(bar.ax.xaxis)
    if static:
        handle = Line2D([], [], color=MUTED, linewidth=1.8, marker="D", markersize=4, label="static")
        b.legend(handles=[handle], loc="lower right" if objective.mode == "max" else "upper right")
    return figure


def _resolved(experiment: Experiment, trial: TrialState) -> dict[str, float]:
    return resolve(experiment.model, trial.configuration)


def _rate(experiment: Experiment, trial: TrialState) -> float:
    return float(_resolved(experiment, trial)["learning_rate"])


def _iterations(experiment: Experiment, run: RunResult, trial: TrialState) -> int:
    """Iterations of the whole training."""
    if run.samples is None:
        raise JournalError(f"{run.method}/{run.repeat}: the journal does not say how many samples are trained on")
    return CostModel(experiment.model, experiment.cost, run.samples).of(trial.configuration).steps


def _rates(experiment: Experiment, run: RunResult, trial: TrialState) -> Floats | None:
    total = _iterations(experiment, run, trial)
    steps = np.unique(np.linspace(0, total - 1, min(total, POINTS)).round().astype(np.int64))
    rates = learning_rates(_resolved(experiment, trial), 0, total).astype(np.float64)[steps]
    return np.column_stack([steps, rates]) if np.isfinite(rates).all() else None


def _validation(experiment: Experiment, run: RunResult, trial: TrialState) -> Floats | None:
    total = _iterations(experiment, run, trial)
    key = experiment.objective.key
    points = [(step_at(progress, total), metrics[key]) for progress, metrics in trial.curve if key in metrics]
    return np.array(points, dtype=float) if points else None


def _finals(
    axes: Axes, experiment: Experiment, runs: Runs, method: str, static: bool, palette: Colormap, norm: Normalize
) -> None:
    """Final performance over initial learning rate, of all repeats."""
    key = experiment.objective.key
    found: dict[float, list[float]] = {}
    lost: set[float] = set()
    for run in runs[method]:
        for trial in run.trials.values():
            value, rate = trial.performance(key), _rate(experiment, trial)
            if value is not None:
                found.setdefault(rate, []).append(value)
            elif trial.status == "failed":
                lost.add(rate)
    if lost:
        axes.plot(
            sorted(lost),
            [0.0] * len(lost),
            "x",
            transform=axes.get_xaxis_transform(),
            color=FAILED,
            markersize=4,
            clip_on=False,
            zorder=4,
        )
    if not found:
        return
    x, y = np.array([(rate, value) for rate, values in found.items() for value in values]).T
    dense = len(x) > 300
    if static:
        axes.plot(x, y, "D", color=MUTED, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5, zorder=3)
        return
    if all(len(values) == len(runs[method]) for values in found.values()) and len(found) > 1:
        rates = sorted(found)
        axes.plot(rates, [np.mean(found[rate]) for rate in rates], color=FAINT, linewidth=0.9, zorder=1)
    axes.scatter(
        x,
        y,
        c=x,
        cmap=palette,
        norm=norm,
        s=5 if dense else 16,
        linewidths=0 if dense else 0.3,
        edgecolors="white",
        zorder=2,
        rasterized=dense,
    )
