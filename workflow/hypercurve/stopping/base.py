"""What a stopper is."""

from enum import Enum
from typing import Protocol


class Decision(Enum):
    """What becomes of a trial that has reported."""

    CONTINUE = "continue"
    STOP = "stop"


class Stopper(Protocol):
    """Decides which trials go on, from learning curves alone.

    Reports of one trial come in order of progress and without gaps; reports of different trials may interleave. A loss
    that is NaN or infinite never arrives: such a trial has failed.
    """

    def started(self, trial: int) -> None:
        """A trial is about to train."""
        ...

    def reported(self, trial: int, progress: float, loss: float) -> Decision:
        """A trial has reached an accumulation point in (0, 1)."""
        ...

    def next_check(self, trial: int, progress: float) -> float:
        """The next point after ``progress`` at which the trial may be stopped, as far as is known; 1: it goes to its end.

        Up to there its training will not be in vain, so executors train it ahead of decisions. Asked of trials that
        have not started as well.
        """
        ...

    def completed(self, trial: int, loss: float, performance: float) -> None:
        """A trial has trained to its end."""
        ...

    def failed(self, trial: int) -> None:
        """A trial diverged or raised."""
        ...
