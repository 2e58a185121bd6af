"""Figures by name: of an experiment and its runs in :data:`FIGURES`, of tables of replays in :data:`TABLE_FIGURES`."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ...config.experiment import Experiment
from ..tables import Runs
from .curves import curves
from .grid import grid
from .importance import importance
from .parallel import parallel
from .population import fitness, population
from .progress import best, budgets
from .replays import heatmaps, pareto
from .retrained import retrained
from .schedules import schedules
from .style import save
from .timeline import timeline
from .traits import traits

FIGURES: dict[str, Callable[[Experiment, Runs], Figure]] = {
    "best": best,
    "curves": curves,
    "parallel": parallel,
    "importance": importance,
    "budgets": budgets,
    "grid": grid,
    "schedules": schedules,
    "population": population,
    "fitness": fitness,
    "timeline": timeline,
    "traits": traits,
}

FOLDER_FIGURES: dict[str, Callable[[Experiment, Runs, Path], Figure]] = {"retrained": retrained}
"""Figures that are drawn from more of an experiment's results folder than its runs."""

TABLE_FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {"pareto": pareto, "heatmaps": heatmaps}
TABLES = {"pareto": "replay.csv", "heatmaps": "vary.csv"}
"""The table in an experiment's results that each of these is drawn from."""

__all__ = ["FIGURES", "FOLDER_FIGURES", "TABLES", "TABLE_FIGURES", "save"]
