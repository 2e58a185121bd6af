"""The slides' table of methods with numbers in it: the figure `traits`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...config.experiment import Experiment
from ..tables import Runs
from ..traits import TRAITS, Trait, slides
from ..traits import traits as table_of
from .style import INK, MUTED, WIDTH, new_figure

TITLE = "Traits of the methods"
CAPTION = """\
The slides' table of methods, measured: darker cells hold more, relative to 100 % or, for numbers, to the row's
greatest. Ticks and crosses are what the slides say of grid search, random search and Population Based Training. *Time
spent training* leaves out waiting and compilation. *Trainings ended early* are stopped trials and members replaced by
a copy; only the former save training. *Changes* are copies that go on with other hyperparameters than their donor
had; decay by a schedule does not count.

**What to look for:** rows in which the columns differ: what a method gives that the others do not.
"""

TINT = LinearSegmentedColormap.from_list("tint", ["#ffffff", "#cfe3f1", "#7fb5da", "#2f7fb8"])
LABELS = 2.55
"""Width of the rows' labels, in inches."""


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """A row per trait, a column per method, darker where there is more; the slides' ticks and crosses above each group."""
    table = table_of(experiment, runs).set_index("method")
    groups = list(dict.fromkeys(trait.group for trait in TRAITS))
    methods = list(experiment.methods)
    width = min(1.35, (WIDTH - LABELS) / len(methods))
    height = 0.31 * (len(TRAITS) + 1) + 0.36 * len(groups) + 0.25
    figure = new_figure(height, width=LABELS + width * len(methods))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-LABELS, width * len(methods))
    axes.set_ylim(height - 0.1, -0.1)
    for i, method in enumerate(methods):
        axes.text(
            (i + 0.5) * width, 0.12, _folded(method, width), ha="center", va="center", weight="bold", fontsize=8.5
        )
    y = 0.3
    for group in groups:
        axes.plot([-LABELS, width * len(methods)], [y + 0.02] * 2, color="#cccccc", linewidth=0.6)
        axes.text(-LABELS, y + 0.2, group, va="center", weight="bold", fontsize=8.5)
        for i, method in enumerate(methods):
            said = slides(experiment.methods[method], group)
            if said is not None:
                place = ((i + 0.5) * width, y + 0.2)
                axes.text(*place, "✓" if said else "✗", ha="center", va="center", color=MUTED, fontsize=9)
        y += 0.36
        for trait in (trait for trait in TRAITS if trait.group == group):
            _row(axes, experiment, table[trait.column], trait, y, width)
            y += 0.31
    axes.text(-LABELS, y + 0.14, "✓ ✗  as the slides have it", va="center", color=MUTED, fontsize=8)
    return figure


def _row(axes: Axes, experiment: Experiment, values: pd.Series, trait: Trait, y: float, width: float) -> None:
    axes.text(-LABELS + 0.08, y + 0.155, trait.text, va="center", fontsize=8)
    top = 1.0 if trait.form == "share" else max(values.fillna(0).max(), 1e-12)
    for i, value in enumerate(values):
        known = not np.isnan(value)
        strength = float(np.clip(value / top, 0, 1)) * 0.85 if known else 0.0
        axes.add_patch(
            Rectangle(
                (i * width + 0.02, y + 0.015), width - 0.04, 0.28, facecolor=TINT(strength), edgecolor="#dddddd", lw=0.4
            )
        )
        text = written(value, trait, experiment) if known else "–"
        axes.text(
            (i + 0.5) * width, y + 0.155, text, ha="center", va="center", color=INK if known else MUTED, fontsize=8.5
        )


def written(value: float, trait: Trait, experiment: Experiment) -> str:
    """A trait's value as a reader wants it."""
    if trait.form == "share":
        return f"{100 * value:.0f}\u202f%"
    if trait.form == "performance":
        return f"{100 * value:.2f} points" if experiment.objective.metric == "accuracy" else f"{value:.3g}"
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def _folded(name: str, width: float) -> str:
    """A method's name in a column, cut where it is too long."""
    most = max(4, int(width * 11))
    return name if len(name) <= most else name[: most - 1] + "…"
