"""Figures of an experiment, each a function of the experiment and its runs, by name in :data:`FIGURES`."""

from collections.abc import Callable

from matplotlib.figure import Figure

from ...config import Experiment
from ..tables import Runs
from .curves import curves
from .grid import grid
from .population import fitness, population
from .progress import best, budgets
from .schedules import schedules
from .style import save
from .timeline import timeline
from .traits import traits

FIGURES: dict[str, Callable[[Experiment, Runs], Figure]] = {
    "best": best,
    "curves": curves,
    "budgets": budgets,
    "grid": grid,
    "schedules": schedules,
    "population": population,
    "fitness": fitness,
    "timeline": timeline,
    "traits": traits,
}

__all__ = ["FIGURES", "save"]
