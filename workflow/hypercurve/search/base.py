"""What a searcher is."""

from typing import Protocol

from ..space import Configuration


class Searcher(Protocol):
    """Chooses configurations."""

    def suggest(self, trial: int) -> Configuration | None:
        """The configuration of a trial, or None when the space is exhausted.

        Args:
            trial: its number, from 0; numbers come in order, each once.
        """
        ...
