"""What a searcher is."""

from typing import Protocol

from ..space.search_space import Configuration


class Searcher(Protocol):
    """Chooses configurations.

    Attributes:
        independent: whether :meth:`suggest` depends on the trial's number alone. Then executors may ask for later trials
            before their turn, and train them while they would otherwise wait.
    """

    independent: bool

    def suggest(self, trial: int) -> Configuration | None:
        """The configuration of a trial, or None when the space is exhausted.

        Args:
            trial: its number, from 0; unless independent, numbers come in order, each once.
        """
        ...

    def on_result(self, trial: int, progress: float, performance: float | None, completed: bool) -> None:
        """A trial's outcome, for searchers that learn from it.

        Args:
            trial: its number.
            progress: share of its training done, in (0, 1].
            performance: the objective's value if it completed, the learning curve's last loss if it was stopped, None if
                it failed.
            completed: whether it trained to its end.
        """
        ...
