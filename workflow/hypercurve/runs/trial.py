"""A trial, as those who train it know it."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..space.search_space import Value


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration to train.

    Attributes:
        number: the trial's number in its run, from 0.
        configuration: hyperparameters by name; inactive conditional ones are absent.
        seed: the experiment's seed.
        repeat: the repeat that the trial belongs to.
        first: the trial whose training this one repeats, the first with its configuration where a space has few; None:
            itself.
    """

    number: int
    configuration: Mapping[str, Value]
    seed: int = 0
    repeat: int = 0
    first: int | None = None

    @property
    def draws(self) -> int:
        """The number that its random numbers are drawn by."""
        return self.number if self.first is None else self.first
