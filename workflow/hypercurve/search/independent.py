"""Searchers whose configurations do not depend on what other trials found: random, grid, Sobol, recorded."""

from collections.abc import Sequence

from ..space.search_space import Configuration, Space
from ..util.seeding import generator, integer_seed


class IndependentSearch:
    """What independent searchers share: they do not listen."""

    independent = True

    def on_result(self, trial: int, progress: float, performance: float | None, completed: bool) -> None:
        """Nothing follows from a trial's outcome."""


class RandomSearch(IndependentSearch):
    """Independent draws from the space (Bergstra and Bengio 2012).

    Trial ``t`` of a repeat is the same configuration in every method that searches the same space at random, so methods
    are compared on equal draws.
    """

    def __init__(self, space: Space, seed: int, repeat: int):
        self._space, self._seed, self._repeat = space, seed, repeat

    def suggest(self, trial: int) -> Configuration:
        """The draw that belongs to this trial."""
        return self._space.sample(generator(self._seed, self._repeat, "configuration", trial))


class GridSearch(IndependentSearch):
    """Every combination, the last axis fastest; the same in all repeats.

    Args:
        points: points on each continuous axis that does not name its own number.
    """

    def __init__(self, space: Space, points: int):
        self._configurations = space.grid(points)

    def suggest(self, trial: int) -> Configuration | None:
        """The grid's configuration with this number."""
        return self._configurations[trial] if trial < len(self._configurations) else None


class SobolSearch(IndependentSearch):
    """A scrambled Sobol sequence (Sobol 1967, Owen 1998), scrambled anew in each repeat."""

    def __init__(self, space: Space, seed: int, repeat: int):
        self._space = space
        self._seed = integer_seed(seed, repeat, "sobol")
        self._configurations: list[Configuration] = []

    def suggest(self, trial: int) -> Configuration:
        """The sequence's point with this number."""
        if trial >= len(self._configurations):
            # A longer sequence starts with the shorter one, so doubling keeps what was given out.
            self._configurations = self._space.sobol(max(64, 2 * trial), self._seed)
        return self._configurations[trial]


class RecordedSearch(IndependentSearch):
    """The searcher of replays: the configurations of a table of curves, in its order, since nothing else can be played.

    Which ones these are, and in which order, is drawn beforehand (:meth:`hypercurve.curves.table.Curves.drawn`), so that all
    methods of a repeat search the same ones.
    """

    def __init__(self, configurations: Sequence[Configuration]):
        self._configurations = configurations

    def suggest(self, trial: int) -> Configuration | None:
        """The configuration with this number."""
        return self._configurations[trial] if trial < len(self._configurations) else None
