"""What a searcher is."""

from typing import Protocol

from ..space import Configuration


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
