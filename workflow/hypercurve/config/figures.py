"""Which figures there are, and which of them an experiment gets.

Snakemake asks while it reads its rules, so nothing here imports a plotting library. How a figure is drawn, its title and its
caption stand in the module of its name in :mod:`hypercurve.analysis.figures`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..space.domains import Constant
from .model import RECORDED, counts_epochs

Experiment: TypeAlias = Any
"""A :class:`hypercurve.config.experiment.Experiment`, whose module imports this one."""

AXES = 3
"""Axes of the `grid` figure."""
FEWEST = 20
"""Completed trials below which the importance of hyperparameters is not looked for."""


def applicable(experiment: Experiment) -> list[str]:
    """The figures that fit an experiment, in the order of its report."""
    return [name for name, fits in FIGURES.items() if fits(experiment)]


def searches(experiment: Experiment) -> list[str]:
    """The methods that are searches."""
    return [name for name, method in experiment.methods.items() if method.population is None]


def populations(experiment: Experiment) -> list[str]:
    """The methods that are populations."""
    return [name for name, method in experiment.methods.items() if method.population is not None]


def grid_method(experiment: Experiment) -> str | None:
    """The first method that searches a grid of at least three axes."""
    name: str
    for name, method in experiment.methods.items():
        grid = method.search is not None and method.search.options.size(experiment.space_of(name)) is not None
        if grid and len(experiment.setting("", name).space.variables) >= AXES:
            return name
    return None


def decays(experiment: Experiment, method: str) -> bool:
    """Whether a method's space has a decay ratio that is not the constant 1."""
    space = experiment.setting("", method).space
    if "decay_ratio" not in space or counts_epochs(experiment.model):
        return False
    domain = space["decay_ratio"]
    return not (isinstance(domain, Constant) and domain.constant == 1)


def _several(experiment: Experiment) -> list[str]:
    """The searches that vary two hyperparameters or more."""
    return [name for name in searches(experiment) if len(experiment.space_of(name).variables) > 1]


def _enough(experiment: Experiment) -> bool:
    """Whether such a search can have enough trials to tell which hyperparameters matter."""
    trials = [experiment.setting("", name).trials for name in _several(experiment)]
    return any(count is None or count * experiment.repeats >= FEWEST for count in trials)


def _decaying(experiment: Experiment) -> bool:
    """Whether some learning rate decays, and validation is recorded on the way."""
    return experiment.evaluates and any(decays(experiment, method) for method in searches(experiment))


def _at_once(experiment: Experiment) -> bool:
    """Whether trials go on at once."""
    return any(
        method.population is not None or max(method.tasks or 1, method.workers or 1, method.slots) > 1
        for method in experiment.methods.values()
    )


FIGURES: dict[str, Callable[[Experiment], bool]] = {
    "pareto": lambda experiment: bool(experiment.model == RECORDED),
    "heatmaps": lambda experiment: bool(experiment.vary),
    "best": lambda _: True,
    "curves": lambda _: True,
    "parallel": lambda experiment: bool(_several(experiment)),
    "importance": _enough,
    "budgets": lambda experiment: bool(experiment.budget.at),
    "grid": lambda experiment: grid_method(experiment) is not None,
    "schedules": _decaying,
    "retrained": lambda experiment: bool(experiment.retrain),
    "population": lambda experiment: bool(populations(experiment)),
    "fitness": lambda experiment: bool(populations(experiment)),
    "timeline": _at_once,
    "traits": lambda _: False,  # only where an experiment asks for it
}
"""Every figure, in the order of reports, and which experiments it fits."""

if TYPE_CHECKING:
    FigureName: TypeAlias = str
else:
    FigureName = Literal[*FIGURES]
