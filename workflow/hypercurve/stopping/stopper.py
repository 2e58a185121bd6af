"""What a stopper is."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from ..space.search_space import Configuration


class Decision(Enum):
    """What becomes of a trial that has reported."""

    CONTINUE = "continue"
    PAUSE = "pause"
    """Wait, without a slot, for the others; its session is kept, so it can go on where it is."""
    STOP = "stop"
    """End for good, and free the memory."""


class Stopper(Protocol):
    """Decides which trials go on, from learning curves alone.

    Reports of one trial come in order of progress and without gaps; reports of different trials may interleave. A loss
    that is NaN or infinite never arrives: such a trial has failed.
    """

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """A trial is about to train."""
        ...

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """A trial has reached an accumulation point in (0, 1)."""
        ...

    def next_check(self, trial: int, progress: float) -> float:
        """The next point after ``progress`` at which the trial may be stopped or paused, as far as is known; 1: its end.

        Up to there its training will not be in vain, so executors train it ahead of decisions. Asked of trials that
        have not started as well.
        """
        ...

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """A trial has trained to its end."""
        ...

    def on_failure(self, trial: int) -> None:
        """A trial diverged or raised."""
        ...

    def decide_paused(self) -> Sequence[tuple[int, Decision]]:
        """What becomes of paused trials; asked after every event, and each paused trial is answered for once.

        CONTINUE: it goes on as soon as a slot is free, in this order and before new trials start. STOP: it never goes on.
        What is still paused when nothing is going any more, and no trial is left to start, ends with the run, as stopped.
        A stopper that never pauses returns nothing.
        """
        ...
