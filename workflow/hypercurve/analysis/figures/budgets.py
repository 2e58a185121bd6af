"""How good the best trial is at smaller budgets: the figure `budgets`."""

import math
from itertools import pairwise

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ...config.experiment import Experiment
from ..tables import Runs, at_budgets
from .style import looks, new_figure, nothing, objective_label, performance_axis, short

TITLE = "At smaller budgets"
CAPTION = """\
The best validation performance at smaller budgets and at the whole one: mean and sample standard deviation over
repeats. Methods stand a little beside each other, so that their bars do not hide one another; the budget is where the
tick is. What counts are the trials that had completed before the budget was used up.

**What to look for:** where the lines cross: the budget from which one method pays.
"""


def draw(experiment: Experiment, runs: Runs) -> Figure:
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
