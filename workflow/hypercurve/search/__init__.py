"""Searchers: which configurations are tried. Pure; see :mod:`hypercurve.scheduling`."""

from ..config import Setting
from .base import Searcher
from .independent import GridSearch, RandomSearch, SobolSearch


def make_searcher(setting: Setting, repeat: int) -> Searcher:
    """The searcher that a method names."""
    assert setting.search is not None
    match setting.search.kind:
        case "random":
            return RandomSearch(setting.space, setting.seed, repeat)
        case "grid":
            return GridSearch(setting.space, setting.search.options.points)
        case "sobol":
            return SobolSearch(setting.space, setting.seed, repeat)
        case kind:
            raise NotImplementedError(f"searcher {kind}")
