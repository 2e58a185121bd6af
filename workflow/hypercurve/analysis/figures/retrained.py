"""What runs found and what it is worth from fresh seeds: the figure `retrained` (see :mod:`..schedules_gain`)."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...config.experiment import Experiment
from .. import schedules_export as exporting
from ..lineage import total_steps
from ..schedules_gain import networks, read_retrained
from ..tables import Runs, paired
from .style import (
    INK,
    MUTED,
    iteration_axis,
    log_if_positive,
    looks,
    new_figure,
    note,
    nothing,
    objective_label,
    performance_axis,
    words,
    zoom,
)

TITLE = "What was found, from fresh seeds"
CAPTION = """\
Above: the learning rate over iterations that each method's runs chose, one line per repeat; of a population, what the
weights of its winner went through, from copy to copy. Below: test performance of the networks that the runs found
(open circles, one per repeat) and of those trained again under the same rates from fresh seeds (filled, repeats side
by side); diamonds are means with their 95 % interval over repeats.

**What to look for:** a schedule that is worth reusing lifts the filled circles of its method above those of the
baseline; what of the open circles lies above the filled ones of the same method came from selecting weights.
"""
FOLDER = True

CUT = 0.02
"""Share of the networks, the worst, that may lie outside of the lower panel."""


def draw(experiment: Experiment, runs: Runs, folder: Path) -> Figure:
    """The learning rates that each method's runs chose, and the test performance of found and of retrained networks.

    Args:
        folder: the experiment's results, where the retrainings are.
    """
    table = networks(runs, read_retrained(folder, runs), experiment.objective)
    figure = new_figure(5.6)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.0, 1.15))
    upper, lower = parts[0, 0], parts[1, 0]
    panels = upper.subplots(1, len(runs), sharey=True, sharex=True, squeeze=False)[0]
    for axes, (method, own) in zip(panels, runs.items(), strict=True):
        axes.set_title(method, loc="left", pad=19)
        setting = experiment.setting("", method)
        found = [run for run in own if run.best is not None]
        for run in found:
            used = exporting.rates(exporting.segments(run, setting), total_steps(run, setting), setting.model)
            axes.step(
                np.arange(len(used)), used, where="post", color=looks(experiment)[method].colour, alpha=0.75, lw=1
            )
        note(axes, f"{len(found)} repeat{'s' * (len(found) != 1)}")
        iteration_axis(axes.xaxis, 4)
        axes.set_xlabel("iteration")
    # One axis for all, but each panel knows its own data only.
    panels[0].update_datalim([(0, axes.dataLim.y0) for axes in panels] + [(0, axes.dataLim.y1) for axes in panels])
    log_if_positive(panels[0])
    panels[0].set_ylabel(words("learning_rate"))
    axes = lower.subplots()
    if table["test"].notna().any():
        _strip(axes, experiment, table)
    else:
        nothing(axes)
    return figure


def _strip(axes: Axes, experiment: Experiment, table: pd.DataFrame) -> None:
    """A column of points for the found and the retrained networks of each method, with mean and interval beside it."""
    places: list[str] = []
    for (method, network), rows in table.groupby(["method", "network"], sort=False):
        x, colour = len(places), looks(experiment)[str(method)].colour
        rows = rows.dropna(subset="test")
        repeats = rows["repeat"].rank(method="dense").to_numpy()
        # Repeats side by side, so that one sees the spread over seeds within each.
        across = 0.36 * (repeats - (repeats.max() + 1) / 2) / max(repeats.max() / 2, 1) if len(rows) else repeats
        open_ = network == "found"
        axes.scatter(
            x + across - 0.06,
            rows["test"],
            s=13,
            facecolor="none" if open_ else colour,
            edgecolor=colour,
            lw=0.8,
            zorder=3,
        )
        means = rows.groupby("repeat")["test"].mean()
        units = list(means if len(means) > 1 else rows["test"])
        interval = paired(units)
        if len(units) > 1:
            axes.errorbar(
                x + 0.4,
                interval["difference_mean"],
                yerr=interval["difference_mean"] - interval["difference_low"],
                fmt="D",
                color=INK,
                markersize=4,
                elinewidth=1.2,
                capsize=2,
                zorder=4,
            )
        places.append(f"{method}\n{network}")
    axes.set_xticks(range(len(places)), places)
    axes.set_xlim(-0.6, len(places) - 0.3)
    axes.grid(visible=False, axis="x")
    values = list(table["test"].dropna())
    zoom(axes, values, experiment.objective, CUT if len(values) >= 1 / CUT else 0.0)
    performance_axis(axes.yaxis, experiment.objective)
    axes.set_ylabel(objective_label(experiment.objective, "test"))
    low, high = axes.get_ylim()
    outside = sum(not low <= value <= high for value in values)
    if outside:
        note(axes, f"{outside} of {len(values)} networks outside of the panel")
    handles = [
        Line2D([], [], linestyle="", marker="o", mfc="none", mec=MUTED, ms=4, label="found by the run"),
        Line2D([], [], linestyle="", marker="o", mfc=MUTED, mec=MUTED, ms=4, label="retrained from a fresh seed"),
        Line2D([], [], linestyle="", marker="D", color=INK, ms=4, label="mean and 95\u202f% interval over repeats"),
    ]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=3, frameon=False)
