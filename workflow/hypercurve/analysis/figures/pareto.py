"""What methods cost against what they lose, on recorded curves: the figure `pareto`."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from .style import COLOURS, MARKERS, MUTED, new_figure, share_axis, short

TITLE = "Cost against regret"
CAPTION = """\
What each method cost, as a share of training all trials to their ends, against its regret: (found − best) / (median −
best), of the final performances of all trials. Below and to the left is better. Points are means over repeats, bars
are their 95 % bootstrap intervals. Grey stairs join the methods that no other beats in both; regrets below 0.01 are
drawn on a linear scale.

**What to look for:** the methods on the stairs; every other costs more than one of them and finds nothing better.
"""
TABLE = "replay.csv"

LINEAR = 0.01
"""Regrets below this are drawn on a linear scale, since the best are 0."""
COLUMNS = 3
"""Panels beside each other."""


def draw(table: pd.DataFrame) -> Figure:
    """Cost against regret, a panel per task: below and to the left is better.

    Args:
        table: as :func:`hypercurve.analysis.replays.summary` made it.
    """
    tasks = list(dict.fromkeys(table["task"]))
    methods = list(dict.fromkeys(table["method"]))
    columns = min(COLUMNS, len(tasks))
    rows = -(-len(tasks) // columns)
    figure = new_figure(0.5 + (2.4 if columns > 1 else 3.6) * rows + 0.17 * -(-len(methods) // 4))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(tasks) :]:
        axes.set_axis_off()
    for i, task in enumerate(tasks):
        axes = grid.flat[i]
        own = table[table["task"] == task]
        for row in own.to_dict("records"):
            look = methods.index(row["method"])
            marker = MARKERS[(look + look // len(COLOURS)) % len(MARKERS)]
            _point(axes, row, COLOURS[look % len(COLOURS)], marker, hollow=look >= len(COLOURS))
        _front(axes, own)
        axes.set_title(_title(str(task), 24 if columns > 1 else 60), loc="left", fontsize=8)
        axes.tick_params(labelbottom=i + columns >= len(tasks), labelleft=i % columns == 0)
        if i + columns >= len(tasks):
            axes.set_xlabel("cost, share of full training")
        if i % columns == 0:
            axes.set_ylabel("regret")
    for axes in grid.flat[: len(tasks)]:
        _scales(axes, table)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _point(axes: Axes, row: dict[Any, Any], colour: str, marker: str, hollow: bool) -> None:
    x, y = (
        [[max(0.0, row[name] - row[f"{name}_low"])], [max(0.0, row[f"{name}_high"] - row[name])]]
        if pd.notna(row[f"{name}_low"])
        else None
        for name in ("cost", "regret")
    )
    axes.errorbar(
        row["cost"],
        row["regret"],
        y,
        x,
        fmt=marker,
        color=colour,
        markerfacecolor="white" if hollow else colour,
        markersize=5,
        linewidth=1,
        label=row["method"],
    )


def _front(axes: Axes, table: pd.DataFrame) -> None:
    """Join the methods that no other beats in both, as stairs."""
    best, costs, regrets = np.inf, [], []
    for cost, regret in sorted(zip(table["cost"], table["regret"], strict=True)):
        if regret < best:
            best = regret
            costs.append(cost)
            regrets.append(regret)
    axes.step(costs, regrets, where="post", color=MUTED, linewidth=0.8, zorder=1)


def _scales(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_xscale("log")
    low = float(table["cost"].min())
    axes.set_xlim(low * 0.8, 1.25)
    ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if tick >= low * 0.8]
    axes.set_xticks(ticks)
    axes.xaxis.set_minor_locator(NullLocator())
    share_axis(axes.xaxis)
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=0.4)
    top = float(np.nanmax([table["regret"].max(), table["regret_high"].max()]))
    axes.set_ylim(-0.15 * LINEAR, max(top * 1.3, 2 * LINEAR))
    axes.set_yticks([tick for tick in (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if tick <= top * 1.3])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.yaxis.set_minor_locator(NullLocator())


def _title(text: str, most: int) -> str:
    """A task's name, without its middle where it is too long."""
    half = most // 2
    return text if len(text) <= most else f"{text[: half - 1]}…{text[-half:]}"
