"""The searcher of replays; experiments cannot name it."""

from collections.abc import Sequence

from typing_extensions import override

from ..space.search_space import Configuration
from .searcher import Searcher


class RecordedSearch(Searcher):
    """The configurations of a table of curves, in its order, since nothing else can be played.

    Which ones these are, and in which order, is drawn beforehand (:meth:`hypercurve.curves.table.Curves.drawn`), so that all
    methods of a repeat search the same ones.
    """

    independent = True

    def __init__(self, configurations: Sequence[Configuration]):
        self._configurations = configurations

    @override
    def suggest(self, trial: int) -> Configuration | None:
        """The configuration with this number."""
        return self._configurations[trial] if trial < len(self._configurations) else None
