"""Searchers: which configurations are tried. Pure; see :mod:`hypercurve.scheduling`."""

from ..config import Setting
from ..curves import Curves
from .base import Searcher
from .independent import GridSearch, RandomSearch, RecordedSearch, SobolSearch


def make_searcher(setting: Setting, repeat: int, curves: Curves | None = None) -> Searcher:
    """The searcher that a method names.

    Args:
        curves: the recorded trainings that a replay searches, in the order in which they arrive.
    """
    assert setting.search is not None
    if curves is not None:
        return RecordedSearch(curves.configurations)
    match setting.search.kind:
        case "random":
            return RandomSearch(setting.space, setting.seed, repeat)
        case "grid":
            return GridSearch(setting.space, setting.search.options.points)
        case "sobol":
            return SobolSearch(setting.space, setting.seed, repeat)
        case kind:
            raise NotImplementedError(f"searcher {kind}")
