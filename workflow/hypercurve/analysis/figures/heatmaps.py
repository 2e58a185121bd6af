"""What settings of methods cost and lose, on recorded curves: the figure `heatmaps`."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLOURS, new_figure, nothing, short, words

TITLE = "What settings cost and lose"
CAPTION = """\
What a method's settings cost, as a share of full training, and the regret that they lead to, means over repeats;
darker is more. All other settings are as the method has them.

**What to look for:** cells that are light in both panels of a setting: little cost and little regret.
"""
TABLE = "vary.csv"


def draw(table: pd.DataFrame) -> Figure:
    """A row per entry of `vary`: what its settings cost, and the regret that they lead to.

    Args:
        table: as :func:`hypercurve.analysis.replays.variants` made it.
    """
    names = list(dict.fromkeys(table["vary"]))
    if not names:
        figure = new_figure(1.5)
        nothing(figure.subplots(), "nothing is varied")
        return figure
    heights = []
    for name in names:
        settings = [json.loads(text) for text in table.loc[table["vary"] == name, "settings"]]
        first = next(iter(settings[0]))
        heights.append(max(2, len({_shown(values[first]) for values in settings})))
    figure = new_figure(0.28 * sum(heights) + 0.95 * len(names))
    grid = figure.subplots(len(names), 2, squeeze=False, gridspec_kw={"height_ratios": [h + 1.5 for h in heights]})
    for name, pair in zip(names, grid, strict=True):
        own = table[table["vary"] == name]
        method = str(own["method"].iloc[0])
        _map(pair[0], own, "cost", f"{method}: cost")
        _map(pair[1], own, "regret", f"{method}: regret")
    return figure


def _map(axes: Axes, table: pd.DataFrame, value: str, title: str) -> None:
    settings = [json.loads(text) for text in table["settings"]]
    names = list(settings[0])
    rows = _distinct([values[names[0]] for values in settings])
    columns = _distinct([values[names[1]] for values in settings]) if len(names) > 1 else [""]
    cells = np.full((len(rows), len(columns)), np.nan)
    for values, found in zip(settings, table[value], strict=True):
        column = columns.index(_shown(values[names[1]])) if len(names) > 1 else 0
        cells[rows.index(_shown(values[names[0]])), column] = found
    written = [[_cell(cell, value) for cell in line] for line in cells]
    sns.heatmap(
        cells,
        ax=axes,
        annot=np.array(written),
        fmt="",
        cmap=sns.light_palette(COLOURS[0] if value == "cost" else COLOURS[1], as_cmap=True),
        vmin=0,
        cbar=False,
        linewidths=1,
        xticklabels=columns,
        yticklabels=rows if value == "cost" else False,
        annot_kws={"fontsize": 8},
    )
    axes.grid(False)
    axes.tick_params(length=0, rotation=0)
    axes.set_title(title, loc="left")
    axes.set_ylabel(words(names[0]) if value == "cost" else "")
    axes.set_xlabel(words(names[1]) if len(names) > 1 else "")


def _cell(value: float, kind: str) -> str:
    return f"{100 * value:.0f}\u202f%" if kind == "cost" else f"{value:.3f}"


def _shown(value: Any) -> str:
    return ", ".join(short(part) for part in value) if isinstance(value, list) else short(value)


def _distinct(values: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(_shown(value) for value in values))
