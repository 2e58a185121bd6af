"""The space as a grid search saw it: the figure `grid` (poster, "OpenDIEL Grid Search": training across a 3D grid)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import seaborn as sns
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from ...config.experiment import Experiment
from ...config.figures import AXES, grid_method
from ...results.runs import RunResult
from ...space.domains import Domain, Integer, LogUniform
from ..tables import Runs
from .style import MUTED, good_and_bad, new_figure, nothing, objective_label, performance_axis, short, words

TITLE = "The grid"
CAPTION = """\
Final validation performance over the first three axes of the grid: in space, coloured and sized by performance, and
as three maps, each the best over all other axes, since points in space hide each other. Values are means over
repeats, in percent for accuracies. The colours of the worst tenth are not told apart. Grey cells with a cross hold
failed trials only.

**What to look for:** whether the best cells are one region, and whether it touches an edge: then the best lies
outside the grid.
"""

LABELS = {"x": 5, "y": 7}
"""Most labels on an axis of a map."""
CELLS = 7
"""Most rows and columns of a heat map whose cells also say their value."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Axis:
    name: str
    values: list[object]
    places: Floats  # where the values stand: themselves, their logarithms, or 0, 1, 2...
    scale: str

    @property
    def label(self) -> str:
        return words(self.name) + (" (log)" if self.scale == "log" else "")


def draw(experiment: Experiment, runs: Runs) -> Figure:
    """Final performance over the first three axes of a grid search.

    In space, coloured and sized by performance; and as three maps, each the best over all other axes, because points in
    space hide each other. Performances are means over repeats.
    """
    objective = experiment.objective
    figure = new_figure(6.0)
    method = grid_method(experiment)
    if method is None:
        nothing(figure.subplots(), "no method searches a grid of three axes")
        return figure
    space = experiment.setting("", method).space
    names = space.variables[:AXES]
    found = _performances(runs[method], names, objective.key, max if objective.mode == "max" else min)
    axes = [_axis(name, space[name], {key[i] for key in found}) for i, name in enumerate(names)]
    known = {key: value for key, value in found.items() if np.isfinite(value)}
    if not known:
        nothing(figure.subplots())
        return figure

    palette, norm, extend = good_and_bad(list(known.values()), objective)
    spots = figure.add_gridspec(2, 2, height_ratios=(1.15, 1))
    _scatter(figure, spots[0, 0], axes, known, norm, palette, objective.mode == "min")
    for spot, (i, j) in zip((spots[0, 1], spots[1, 0], spots[1, 1]), combinations(range(AXES), 2), strict=True):
        panel = figure.add_subplot(spot)
        table = _marginal(axes, known, i, j, np.fmax if objective.mode == "max" else np.fmin)
        small = max(table.shape) <= CELLS
        text = np.vectorize(
            lambda v: "" if np.isnan(v) else f"{100 * v:.1f}" if objective.metric == "accuracy" else f"{v:.3g}"
        )
        sns.heatmap(
            table,
            ax=panel,
            mask=np.isnan(table),
            cmap=palette,
            norm=norm,
            cbar=False,
            linewidths=0.6,
            linecolor="white",
            annot=text(table) if small else False,
            fmt="",
            annot_kws={"fontsize": 8 if max(table.shape) <= 6 else 7.5},
            rasterized=table.size > 2000,
        )
        panel.set_facecolor("#eeeeee")
        for y, x in np.argwhere(np.isnan(table)) if small else ():  # every trial failed
            panel.text(x + 0.5, y + 0.5, "×", ha="center", va="center", color=MUTED)
        panel.invert_yaxis()
        panel.grid(visible=False)
        third = next(k for k in range(AXES) if k not in (i, j))
        panel.set_title(f"best over {words(axes[third].name)}", loc="left")
        _label(panel, "x", axes[i])
        _label(panel, "y", axes[j])
    bar = figure.colorbar(
        ScalarMappable(norm, palette), ax=figure.axes, location="bottom", shrink=0.5, aspect=40, pad=0.02, extend=extend
    )
    bar.set_label("final " + objective_label(objective))
    bar.outline.set_visible(False)
    performance_axis(bar.ax.xaxis, objective)
    return figure


def _performances(
    runs: Sequence[RunResult], names: Sequence[str], objective: str, best: object
) -> dict[tuple[object, ...], float]:
    """Performance by the three values: the mean over repeats, then the best over further axes; NaN if all failed."""
    repeated: dict[tuple[tuple[str, object], ...], list[float]] = {}
    for run in runs:
        for trial in run.trials.values():
            value = trial.performance(objective)
            repeated.setdefault(tuple(trial.configuration.items()), []).append(np.nan if value is None else value)
    result: dict[tuple[object, ...], float] = {}
    for configuration, values in repeated.items():
        key = tuple(dict(configuration).get(name) for name in names)
        finite = [value for value in values if np.isfinite(value)]
        mean = float(np.mean(finite)) if finite else np.nan
        before = result.get(key, np.nan)
        result[key] = mean if np.isnan(before) else before if np.isnan(mean) else best([before, mean])  # type: ignore[operator]
    return result


def _axis(name: str, domain: Domain, seen: set[object]) -> _Axis:
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in seen)
    listed = list(domain.extremes)
    values = sorted(seen) if numeric else [*(v for v in listed if v in seen), *(v for v in seen if v not in listed)]  # type: ignore[type-var]
    if isinstance(domain, LogUniform) or (isinstance(domain, Integer) and domain.log):
        return _Axis(name, values, np.log10(np.array(values, dtype=float)), "log")
    spaced = numeric and hasattr(domain, "points")
    places = np.array(values, dtype=float) if spaced else np.arange(len(values), dtype=float)
    return _Axis(name, values, places, "linear" if spaced else "listed")


def _scatter(figure, spot, axes, known, norm, palette, reverse) -> None:  # type: ignore[no-untyped-def]
    panel = figure.add_subplot(spot, projection="3d")
    places = [dict(zip(axis.values, axis.places, strict=True)) for axis in axes]
    points = np.array([[place[value] for place, value in zip(places, key, strict=True)] for key in known])
    values = np.array(list(known.values()))
    rank = norm(values)
    size = (1 - rank if reverse else rank) * 1.0
    dense = len(values) > 500
    panel.scatter(
        *points.T,
        c=values,
        s=(4 if dense else 10) + (20 if dense else 55) * size**2,
        cmap=palette,
        norm=norm,
        alpha=0.9,
        linewidths=0.3,
        edgecolors="white",
        depthshade=False,
        rasterized=dense,
    )
    panel.view_init(elev=22, azim=-58)
    for which, axis in zip("xyz", axes, strict=True):
        chosen = _few(len(axis.values), 3)
        getattr(panel, f"set_{which}ticks")(
            [axis.places[k] for k in chosen], [short(axis.values[k], 2) for k in chosen]
        )
        getattr(panel, f"set_{which}label")(axis.label, labelpad=-4)
        getattr(panel, f"{which}axis").set_tick_params(pad=-2)
        getattr(panel, f"{which}axis").pane.set(facecolor="#f7f7f7", edgecolor="#dddddd")
    panel.set_box_aspect((1, 1, 0.85), zoom=0.92)


def _marginal(
    axes: Sequence[_Axis], known: Mapping[tuple[object, ...], float], i: int, j: int, best: np.ufunc
) -> Floats:
    """Rows: axis j, columns: axis i."""
    table = np.full((len(axes[j].values), len(axes[i].values)), np.nan)
    column = {value: k for k, value in enumerate(axes[i].values)}
    row = {value: k for k, value in enumerate(axes[j].values)}
    for key, value in known.items():
        at = row[key[j]], column[key[i]]
        table[at] = best(table[at], value)
    return table


def _label(panel, which: str, axis: _Axis) -> None:  # type: ignore[no-untyped-def]
    chosen = _few(len(axis.values), LABELS[which])
    labels = [short(axis.values[k], 2) for k in chosen]
    getattr(panel, f"set_{which}ticks")([k + 0.5 for k in chosen], labels, rotation=0)
    getattr(panel, f"set_{which}label")(words(axis.name))
    panel.tick_params(length=0, colors=MUTED, labelcolor="#222222")


def _few(count: int, most: int) -> list[int]:
    """Evenly picked places, first and last among them."""
    if count <= most:
        return list(range(count))
    return sorted({int(k) for k in np.linspace(0, count - 1, most).round()})
