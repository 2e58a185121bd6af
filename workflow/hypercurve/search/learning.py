"""What searchers that learn have in common: scores of what came out, and random search until enough is known."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import override

from ..space.search_space import Configuration
from ..util.schema import Problem, Whole
from .outcomes import score
from .random import RandomSearch
from .searcher import SearchContext, Searcher, SearchOptions

Startup = Annotated[Whole, Field(ge=1, le=10_000)]


def rounded(number: float) -> float:
    """Ten significant digits: what last bits of processors and libraries change comes out the same."""
    return float(f"{number:.10g}")


class LearningSearch(Searcher):
    """A searcher whose suggestions depend on the outcomes that it has been told, in the order of the calls.

    It draws from keyed generators alone: the same calls give the same suggestions, which is what lets a journal be folded.
    Where a small space is exhausted it goes on, as random search does: trained again, a configuration has other random
    numbers.

    Args:
        options, context: as of any searcher.
        startup: until this many trials are over, suggestions are those of random search.
    """

    def __init__(self, options: Any, context: SearchContext, startup: int):
        super().__init__(options, context)
        self.space, self.seed, self.repeat = context.space, context.seed, context.repeat
        self._startup = startup
        self._over = 0
        self._random = RandomSearch(SearchOptions(), context)

    @classmethod
    def first_draws(cls, options: Any, context: SearchContext) -> tuple[str, int]:
        """The option that says how many trials are drawn before anything is learned, and how many these are."""
        del context
        return "startup", getattr(options, "startup", 0)

    @override
    @classmethod
    def doubts(cls, options: Any, context: SearchContext) -> Iterator[Problem]:
        """A budget that ends before anything is learned."""
        name, first = cls.first_draws(options, context)
        if context.trials is not None and context.trials <= first and context.space.variables:
            said = (
                f"the first {first} trials are drawn at random, and there are {context.trials}, so nothing is learned"
            )
            yield Problem((name,), f"{said}: take more trials, or a smaller `{name}`")

    @override
    def suggest(self, trial: int) -> Configuration:
        """The next trial's configuration; numbers come in order, each once."""
        if self._over < self._startup:
            configuration = self._random.suggest(trial)
            self.drawn(trial, configuration)
            return configuration
        return self.learned(trial)

    @override
    def on_result(self, trial: int, progress: float, performance: float | None, completed: bool) -> None:
        """A trial's outcome: see :func:`hypercurve.search.outcomes.score`."""
        self._over += 1
        self.learn(trial, score(progress, performance, completed, self.context.mode))

    @abstractmethod
    def drawn(self, trial: int, configuration: Configuration) -> None:
        """A trial has this configuration, drawn at random."""

    @abstractmethod
    def learned(self, trial: int) -> Configuration:
        """A configuration in the light of what has been learned."""

    @abstractmethod
    def learn(self, trial: int, score: float) -> None:
        """A trial is over, with this score; lower is better."""
