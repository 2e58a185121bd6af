"""The one visual language of all figures: sizes, fonts, colours, and how numbers and names are written.

Made for print at 16 cm: no text below 8 pt, methods told apart by line style and marker as well as by colour (Okabe and
Ito's, which hold for colour-blind readers), dense layers rasterised so that a figure of 10,000 trials stays small.
"""

import functools
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from ...config.experiment import Experiment
from ...config.objective import Objective
from ...util.files import appearing
from ...util.words import short as short

WIDTH = 6.3  # inches: 16 cm
DENSE = 400
"""Curves in a panel above which only this many are drawn, evenly picked, and the panel says so."""
INK, MUTED, FAINT, NEUTRAL = "#222222", "#666666", "#b8b8b8", "#8796a5"
FAILED = "#b2182b"
GOOD = sns.color_palette("crest", as_cmap=True)
"""How well a trial does, from light (worst) to dark (best): unlike any method's colour, FAILED or the greys."""

# Okabe and Ito 2008, without yellow, which vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_RC: dict[str, Any] = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper"),
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same bytes on every machine
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "axes.linewidth": 0.7,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "xtick.minor.size": 2,
    "ytick.minor.size": 2,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": True,  # without an edge: only keeps lines from running through names
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "svg.fonttype": "path",  # looks alike wherever it is opened or printed, fonts or not
    "svg.hashsalt": "hypercurve",  # the same bytes from the same data
}

Draw = Callable[..., Figure]


def styled(draw: Draw) -> Draw:
    """Draw with this style, whatever the process has set."""

    @functools.wraps(draw)
    def wrapper(*args: Any, **kwargs: Any) -> Figure:
        with mpl.rc_context(_RC):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return wrapper


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write a figure as SVG and PNG; equal figures give equal bytes."""
    with mpl.rc_context(_RC):  # type: ignore[arg-type]
        with appearing(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": "hypercurve"}, dpi=200)
        with appearing(png) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": "hypercurve"}, dpi=200)


class Shown(Figure):
    """A figure that notebooks show when it is the last value of a cell, whatever plotting backend is set."""

    def _repr_png_(self) -> bytes:
        with mpl.rc_context(_RC), io.BytesIO() as file:  # type: ignore[arg-type]
            self.savefig(file, format="png", dpi=130)
            return file.getvalue()


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure whose parts make room for each other; sizes in inches."""
    return Shown(figsize=(width, height), layout=ConstrainedLayoutEngine(wspace=0.06, hspace=0.04))


@dataclass(frozen=True)
class Look:
    """How a method is drawn, in all figures."""

    colour: str
    line: Any
    marker: str


def looks(experiment: Experiment) -> dict[str, Look]:
    """The look of each method, by its place in the experiment."""
    return {
        method: Look(COLOURS[i % len(COLOURS)], LINES[i % len(LINES)], MARKERS[i % len(MARKERS)])
        for i, method in enumerate(experiment.methods)
    }


def objective_label(objective: Objective, prefix: str = "validation") -> str:
    """The objective in words, such as ``validation accuracy``."""
    return f"{prefix} {objective.metric}"


def format_performance(value: float, objective: Objective, digits: int = 2) -> str:
    """A performance as a reader wants it: accuracies in percent."""
    return f"{100 * value:.{digits}f}\u202f%" if objective.metric == "accuracy" else f"{value:.4g}"


def performance_axis(axis: Any, objective: Objective) -> None:
    """Write an axis of performances as a reader wants it."""
    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
    if objective.metric == "accuracy":
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}\u202f%"))


def good_and_bad(
    values: Sequence[float], objective: Objective
) -> tuple[Any, Normalize, Literal["neither", "min", "max"]]:
    """The colours of performances: a palette, darkest for the best, its scale, and at which end the scale is cut.

    The worst tenth would take up most of the scale; they all have the lightest colour.
    """
    known = [value for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    full = low, high
    if known and objective.mode == "max":
        low = max(low, float(np.quantile(known, 0.1)))
    elif known:
        high = min(high, float(np.quantile(known, 0.9)))
    if low >= high:
        low, high = full = limits(known)
    extend: Literal["neither", "min", "max"] = "min" if low > full[0] else "max" if high < full[1] else "neither"
    return GOOD if objective.mode == "max" else GOOD.reversed(), Normalize(low, high, clip=True), extend


def performance_ticks(low: float, high: float, objective: Objective) -> list[tuple[float, str]]:
    """Round performances between two bounds, as a reader wants them written."""
    axis = Figure().subplots().yaxis
    performance_axis(axis, objective)
    places = [float(place) for place in axis.get_major_locator().tick_values(low, high) if low <= place <= high]
    return list(zip(places, axis.get_major_formatter().format_ticks(places), strict=True))


def share_axis(axis: Any) -> None:
    """Write an axis of shares of training in percent."""
    axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol="\u202f%"))


def log_axis(axis: Any) -> None:
    """A logarithmic axis with plain numbers where they are short, and labels between the decades if there are few."""
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low) if low > 0 else 3.0
    subs = (1.0, 2.0, 5.0) if decades < 2.2 else (1.0,)
    crowded = axis.axis_name == "x" and decades > 4  # labels stand beside each other there
    axis.set_major_locator(LogLocator(subs=subs, numticks=4 if crowded else 12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())


def log_if_positive(axes: Axes, which: str = "y") -> None:
    """Make an axis logarithmic if everything on it is above zero."""
    low, high = getattr(axes.dataLim, f"interval{which}")
    if np.isfinite(low) and 0 < low < high:
        getattr(axes, f"set_{which}scale")("log")
        # Rates that decay for long reach nothing: ten decades tell all there is to see.
        room = (high / low) ** 0.05
        getattr(axes, f"set_{which}lim")(max(low, high * 1e-10) / room, high * room)
        log_axis(getattr(axes, f"{which}axis"))


def iteration_axis(axis: Any, most: int = 8) -> None:
    """Write an axis of iterations, thousands as k."""
    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10], integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"))


def zoom(axes: Axes, values: Sequence[float], objective: Objective, cut: float, keep: float | None = None) -> None:
    """Bounds of a performance axis that leave out what is far worse than most, so that good ends can be told apart.

    Args:
        values: what the axis is for; not empty.
        cut: the share of them, the worst, that may lie outside.
        keep: what must lie inside with room below it.
    """
    low, high = min(values), max(values)
    if objective.mode == "max":
        low = float(np.quantile(values, cut))
    else:
        high = float(np.quantile(values, 1 - cut))
    if keep is not None:
        low = min(low, keep - 0.5 * (high - keep)) if objective.mode == "max" else low
        high = max(high, keep + 0.5 * (keep - low)) if objective.mode == "min" else high
    room = 0.06 * (high - low) or max(abs(high) * 0.02, 1e-6)
    top = high + room
    if objective.metric == "accuracy" and high <= 1:
        top = min(top, 1 + 0.02 * (high - low + room))
    axes.set_ylim(low - room, top)


def note(axes: Axes, text: str, above: float = 5) -> None:
    """A line under a panel's title, which needs a pad of 14 points more than this line has above the panel."""
    axes.annotate(
        text, (0, 1), xytext=(0, above), xycoords="axes fraction", textcoords="offset points", fontsize=8, color=MUTED
    )


def words(name: str) -> str:
    """A hyperparameter's name as a label."""
    return name.replace("_", " ")


def pick(items: Sequence[Any], most: int = DENSE) -> list[Any]:
    """At most so many, evenly from all."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def limits(values: Iterable[float], *, margin: float = 0.05) -> tuple[float, float]:
    """Bounds of an axis that holds all values with some room; never empty."""
    known: npt.NDArray[np.float64] = np.array([value for value in values if math.isfinite(value)], dtype=float)
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    room = margin * (high - low) or max(abs(high) * 0.02, 1e-6)
    return low - room, high + room


def nothing(axes: Axes, text: str = "no trial completed") -> None:
    """Say in a panel why it is empty."""
    if not axes.has_data():
        axes.set_xticks([])
        axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
