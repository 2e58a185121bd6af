"""What a searcher is: a rule that says which configurations are tried, and all that the package must know of it.

A searcher is one class in one file, with one line in :mod:`.registry`; or a class of the user's own, named in the experiment
(docs/your-rule.md). Only :meth:`Searcher.suggest` must be written. :mod:`.sobol` is a short one that does not learn;
:mod:`.learning` has what those that learn share.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ..space.search_space import Configuration, Space
from ..util.rule import Rule
from ..util.schema import Model


@dataclass(frozen=True)
class SearchContext:
    """What a searcher may know of its run beside its own options.

    Attributes:
        space: the search space.
        mode: whether a higher (``max``) or a lower (``min``) objective is better.
        seed: the experiment's seed.
        repeat: which repeat of the method this is, from 0.
        trials: the budget's number of trials; None: the budget is in something else.
    """

    space: Space
    mode: Literal["min", "max"] = "max"
    seed: int = 0
    repeat: int = 0
    trials: int | None = None


class SearchOptions(Model):
    """Base of searchers' options."""

    def size(self, space: Space) -> int | None:
        """How many configurations there are to try in all, as in a grid; None: as many as the budget allows."""
        return None

    @property
    def counts_trials(self) -> bool:
        """Whether configurations depend on the budget's number of trials. Then the budget must be in trials."""
        return False


class Searcher(Rule, ABC):
    """Chooses configurations.

    Random numbers come only from :func:`hypercurve.util.seeding.generator`, keyed by seed, repeat, trial and purpose: the
    same calls give the same suggestions.

    Args:
        options: its options, an instance of :attr:`Options`.
        context: what else it may know.

    Attributes:
        rule, source, examples: see :class:`hypercurve.util.rule.Rule`.
        Options: the model of its options; the docstring below each field says what it means.
        independent: whether :meth:`suggest` depends on the trial's number alone. Then executors may ask for later trials
            before their turn, and train them while they would otherwise wait, in other jobs as well.
        sample: whether its configurations are a random sample of the space. Only trials of such a search show what a regret
            budget of ``lcm`` costs (docs/methods.md).
    """

    rule: ClassVar[str] = ""  # so that a subclass that says nothing has none of ours
    Options: ClassVar[type[SearchOptions]] = SearchOptions
    independent: ClassVar[bool] = False
    sample: ClassVar[bool] = False

    def __init__(self, options: Any, context: SearchContext):
        self.options, self.context = options, context

    @classmethod
    def explain(cls, options: Any) -> str:
        """What it does with these options, in a sentence for the report."""
        return cls.with_options(options)

    @abstractmethod
    def suggest(self, trial: int) -> Configuration | None:
        """The configuration of a trial, or None when the space is exhausted.

        Args:
            trial: its number, from 0; unless independent, numbers come in order, each once.
        """

    def on_result(self, trial: int, progress: float, performance: float | None, completed: bool) -> None:
        """A trial's outcome, for searchers that learn from it.

        Args:
            trial: its number.
            progress: share of its training done, in (0, 1].
            performance: the objective's value if it completed, the learning curve's last loss if it was stopped, None if
                it failed.
            completed: whether it trained to its end.
        """
