"""Random search: the searcher ``random``."""

from typing_extensions import override

from ..space.search_space import Configuration, Space
from ..util.seeding import generator
from .searcher import SearchContext, Searcher, SearchOptions


class RandomSearch(Searcher):
    """Independent draws from the space; methods that draw from the same space draw the same configurations.

    Trial ``t`` of a repeat is the same configuration in every method that searches the same space at random, so methods
    are compared on equal draws.
    """

    source = "Bergstra and Bengio 2012, Random search for hyper-parameter optimization, JMLR 13"
    independent = True
    sample = True

    def __init__(self, space: Space, seed: int, repeat: int):
        self._space, self._seed, self._repeat = space, seed, repeat

    @override
    @classmethod
    def build(cls, options: SearchOptions, context: SearchContext) -> "RandomSearch":
        return cls(context.space, context.seed, context.repeat)

    @override
    @classmethod
    def explain(cls, options: SearchOptions) -> str:
        return "Random search: independent draws from the space."

    @override
    def suggest(self, trial: int) -> Configuration:
        """The draw that belongs to this trial."""
        return self._space.sample(generator(self._seed, self._repeat, "configuration", trial))
