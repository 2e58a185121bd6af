"""Random search: the searcher ``random``."""

from typing_extensions import override

from ..space.search_space import Configuration
from ..util.seeding import generator
from .searcher import Searcher, SearchOptions


class RandomSearch(Searcher):
    """Independent draws from the space; methods that draw from the same space draw the same configurations.

    Trial ``t`` of a repeat is the same configuration in every method that searches the same space at random, so methods
    are compared on equal draws.
    """

    source = "Bergstra and Bengio 2012, Random search for hyper-parameter optimization, JMLR 13"
    independent = True
    sample = True

    @override
    @classmethod
    def explain(cls, options: SearchOptions) -> str:
        return "Random search: independent draws from the space."

    @override
    def suggest(self, trial: int) -> Configuration:
        """The draw that belongs to this trial."""
        return self.context.space.sample(generator(self.context.seed, self.context.repeat, "configuration", trial))
