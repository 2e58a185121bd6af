"""Which hyperparameters decide how well networks do: the figure `importance`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...config.experiment import Experiment
from ...config.figures import FEWEST
from ..importance import Importance, importances
from ..tables import Runs
from .style import FAINT, INK, MUTED, NEUTRAL, new_figure, note, nothing, share_axis, short, words

TITLE = "Importance of hyperparameters"
CAPTION = """\
How much of the variance of final performance over the search space each hyperparameter makes by itself: functional
analysis of variance on random forests (Hutter, Hoos and Leyton-Brown 2014), fitted to the completed trials of all
methods that search the same space. Bars are means over repeats, dots single repeats, whiskers the 95 % confidence
intervals of the means (Student's t). *Interactions, noise* is what no hyperparameter makes alone. The dashed line is
the most that copies of the hyperparameters get whose values are shuffled among the trials: a bar that does not reach
beyond it says nothing. The panel says how well the forests foretell trials that they were not fitted to; where they
cannot, or trials are too few, nothing is drawn. The worst twentieth of the performances count as the best of them.
Stopped and failed trials are left out, so causes of failure are not seen here.

**What to look for:** the few bars that reach well beyond the dashed line: what is worth searching next time, and more
finely.
"""

MOST = 15
"""Most hyperparameters that have bars, the most important ones."""
ROW = 0.24
"""Height of a bar with its gap, in inches."""


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """Main effects of hyperparameters as shares of the variance of performance, a panel per space.

    Bars are means over repeats, dots single repeats, whiskers 95 % intervals of the means. The dashed line is the most that
    shuffled copies of the hyperparameters get: what does not reach beyond it may well do nothing.
    """
    found = importances(experiment, runs)
    if not found:
        figure = new_figure(1.5)
        nothing(figure.subplots(), "no search varies a hyperparameter")
        return figure
    rows = [min(len(one.names), MOST) + 1 if one.known else 2 for one in found]
    figure = new_figure(0.75 + sum(ROW * count + 0.55 for count in rows))
    panels = figure.subplots(len(found), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    for axes, one in zip(panels, found, strict=True):
        title = "" if len(found) == 1 else ", ".join(one.methods)
        axes.set_title(title if len(title) <= 70 else title[:69] + "…", loc="left", pad=19)
        note(axes, _summary(one))
        axes.grid(visible=False, axis="y")
        if one.known:
            _bars(axes, one)
        else:
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            axes.tick_params(axis="x", length=0, labelbottom=any(other.known for other in found))
            nothing(axes, _silence(one))
    panels[-1].set_xlim(0, 1)
    share_axis(panels[-1].xaxis)
    if any(one.known for one in found):
        panels[-1].set_xlabel(f"share of the variance of final {experiment.objective.metric}")
        figure.legend(handles=_legend(found), loc="outside upper left", ncols=4, handlelength=1.6)
    return figure


def _bars(axes: Axes, one: Importance) -> None:
    mean = one.shares.mean(axis=0)
    order = np.argsort(-mean, kind="stable")[:MOST]
    places = np.arange(len(order))
    samples = len(one.shares)
    axes.barh(places, mean[order], height=0.7, color=NEUTRAL, linewidth=0)
    axes.barh(len(order), one.rest.mean(), height=0.7, color=FAINT, alpha=0.6, linewidth=0)
    interval = one.interval()
    if interval is not None:
        low, high = interval
        axes.hlines(places, low[order], high[order], color=INK, linewidth=1.1, zorder=3)
        shift = np.linspace(-0.2, 0.2, samples) if samples <= 20 else np.zeros(samples)
        for row, offset in zip(one.shares, shift, strict=True):
            axes.plot(row[order], places + offset, "o", color=INK, markersize=2, alpha=0.55, mew=0, zorder=4)
    for place, value in enumerate([*mean[order], one.rest.mean()]):
        axes.annotate(
            f"{100 * value:.0f}\u202f%", (1.06, place), xycoords=("axes fraction", "data"), ha="right", va="center",
            fontsize=8, color=MUTED if place == len(order) else INK,
        )  # fmt: skip
    axes.axvline(one.idle.mean(), color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), zorder=2)
    axes.set_yticks([*places, len(order)], [*(words(one.names[i]) for i in order), "interactions, noise"])
    axes.get_yticklabels()[-1].set_color(MUTED)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(order) + 0.6, -0.6)


def _summary(one: Importance) -> str:
    low, high = min(one.trials), max(one.trials)
    trials = short(low) if low == high else f"{short(low)} to {short(high)}"
    if one.pooled:
        text = f"{trials} completed trials, of all repeats together"
    elif len(one.trials) > 1:
        text = f"{len(one.trials)} repeats of {trials} completed trials"
    else:
        text = f"{trials} completed trial{'s' * (high != 1)}, one repeat"
    if one.known:
        text += f"; {100 * one.explained.mean():.0f}\u202f% of the variance of held-out trials foretold"
    return text


def _silence(one: Importance) -> str:
    if min(one.trials) < FEWEST:
        return f"too few completed trials to say: at least {FEWEST} are needed"
    if not len(one.shares):
        return "nothing to explain: all trials did equally well"
    return "nothing can be said: held-out trials cannot be foretold from hyperparameters"


def _legend(found: Sequence[Importance]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [Patch(color=NEUTRAL, label="alone")]
    if any(len(one.shares) > 1 for one in found if one.known):
        handles[0].set_label("alone, mean over repeats")
        handles.append(
            Line2D([], [], color=INK, linewidth=1.1, marker="o", markersize=2.5, label="95\u202f% interval, repeats")
        )
    handles.append(
        Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)), label="most that shuffled values get")
    )
    return handles
