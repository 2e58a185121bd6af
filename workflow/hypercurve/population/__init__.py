"""Populations: members that train together and learn from each other. Pure; see :mod:`hypercurve.scheduling`."""

from .evolution import Move, evolve
from .scheduler import PopulationScheduler

__all__ = ["Move", "PopulationScheduler", "evolve"]
