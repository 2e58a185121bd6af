"""Searchers: which configurations are tried. Pure; see :mod:`hypercurve.events.events`."""

from ..config.setting import Setting
from ..curves.table import Curves
from ..search.gaussian_process import GaussianProcessSearch
from ..search.independent import GridSearch, RandomSearch, RecordedSearch, SobolSearch
from ..search.optuna_searchers import CMAESSearch, TPESearch
from ..search.searcher import Searcher
from ..search.swarm import ParticleSwarm


def make_searcher(setting: Setting, repeat: int, curves: Curves | None = None) -> Searcher:
    """The searcher that a method names.

    Args:
        curves: the recorded trainings that a replay searches, in the order in which they arrive.
    """
    assert setting.search is not None
    if curves is not None:
        return RecordedSearch(curves.configurations)
    space, seed, mode = setting.space, setting.seed, setting.objective.mode
    options = setting.search.options
    match setting.search.kind:
        case "random":
            return RandomSearch(space, seed, repeat)
        case "grid":
            return GridSearch(space, options.points)
        case "sobol":
            return SobolSearch(space, seed, repeat)
        case "tpe":
            return TPESearch(space, mode, seed, repeat, startup=options.startup, candidates=options.candidates)
        case "gp":
            return GaussianProcessSearch(
                space, mode, seed, repeat, startup=options.startup, candidates=options.candidates
            )
        case "cmaes":
            return CMAESSearch(space, mode, seed, repeat, population=options.population)
        case "pso":
            return ParticleSwarm(
                space,
                mode,
                seed,
                repeat,
                particles=options.particles,
                inertia=options.inertia,
                own=options.own,
                social=options.social,
            )
        case kind:
            raise NotImplementedError(f"searcher {kind}")
