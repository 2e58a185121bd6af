"""Events and actions, and the scheduler that turns one into the other.

A scheduler decides; executors carry out. It takes one event and returns the actions that follow. It reads no clock, does
no I/O and draws random numbers only from keyed generators, so the same events always give the same actions: that is what
makes a run resumable (fold its journal) and the same on any number of processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:  # would import pydantic and NumPy
    from ..space.search_space import Configuration


@dataclass(frozen=True, slots=True)
class Started:
    """A trial occupies a slot and is about to train."""

    trial: int
    progress: ClassVar[float] = 0.0


@dataclass(frozen=True, slots=True)
class Reported:
    """A trial has reached an accumulation point before its end."""

    trial: int
    progress: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Completed:
    """A trial has trained to its end."""

    trial: int
    metrics: Mapping[str, float]
    progress: ClassVar[float] = 1.0


@dataclass(frozen=True, slots=True)
class Failed:
    """A trial diverged or raised; it is ranked behind all others and never ends the run."""

    trial: int
    progress: float
    reason: str


Event = Started | Reported | Completed | Failed


@dataclass(frozen=True, slots=True)
class Start:
    """Train a new configuration in a free slot."""

    trial: int
    configuration: "Configuration"


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on to the next accumulation point."""

    trial: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End a trial for good; nothing of it is kept, so its slot and memory are free."""

    trial: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Leave a trial as it is: it gives its slot back, keeps its session, and its virtual clock stands still."""

    trial: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with a paused trial in a free slot."""

    trial: int


@dataclass(frozen=True, slots=True)
class Copy:
    """Go on with another member's weights, optimizer state and hyperparameters, the latter perturbed (PBT).

    Attributes:
        trial: the member that copies.
        source: the member that it copies from.
        progress: share of training at which the source's state is taken.
        configuration: the hyperparameters that the member goes on with.
    """

    trial: int
    source: int
    progress: float
    configuration: "Configuration"


Action = Start | Continue | Stop | Pause | Resume | Copy


class Scheduler(Protocol):
    """What an executor asks for decisions."""

    def open(self) -> Sequence[Action]:
        """The first actions of a run."""
        ...

    def on(self, event: Event) -> Sequence[Action]:
        """The actions that follow an event."""
        ...
