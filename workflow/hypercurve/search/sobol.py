"""Sobol sequences: the searcher ``sobol``."""

from typing_extensions import override

from ..space.search_space import Configuration
from ..util.seeding import integer_seed
from .searcher import SearchContext, Searcher, SearchOptions


class SobolSearch(Searcher):
    """A scrambled Sobol sequence: random-like, but evenly spread; scrambled anew in each repeat."""

    source = "Sobol 1967; scrambled as in Owen 1998"
    independent = True
    sample = True

    def __init__(self, options: SearchOptions, context: SearchContext):
        super().__init__(options, context)
        self._seed = integer_seed(context.seed, context.repeat, "sobol")
        self._configurations: list[Configuration] = []

    @override
    @classmethod
    def explain(cls, options: SearchOptions) -> str:
        return "A scrambled Sobol sequence: random-like draws, but evenly spread."

    @override
    def suggest(self, trial: int) -> Configuration:
        """The sequence's point with this number."""
        if trial >= len(self._configurations):
            # A longer sequence starts with the shorter one, so doubling keeps what was given out.
            self._configurations = self.context.space.sobol(max(64, 2 * trial), self._seed)
        return self._configurations[trial]
