"""Events and actions, and the scheduler that turns one into the other.

A scheduler decides; executors carry out. It takes one event and returns the actions that follow. It reads no clock, does
no I/O and draws random numbers only from keyed generators, so the same events always give the same actions: that is what
makes a run resumable (fold its journal) and the same on any number of processes.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .search.base import Searcher
from .space import Configuration
from .stopping.base import Decision, Stopper


@dataclass(frozen=True, slots=True)
class Started:
    """A trial occupies a slot and is about to train."""

    trial: int


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
    configuration: Configuration


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
    configuration: Configuration


Action = Start | Continue | Stop | Pause | Resume | Copy


class Scheduler(Protocol):
    """What an executor asks for decisions."""

    def open(self) -> list[Action]:
        """The first actions of a run."""
        ...

    def on(self, event: Event) -> list[Action]:
        """The actions that follow an event."""
        ...


class TrialScheduler:
    """A searcher with or without a stopper: the scheduler of every method that trains independent trials.

    Args:
        searcher: gives the configurations, in the order of their trial numbers.
        stopper: decides which trials go on; None: all do.
        slots: how many trials are going at once.
        trials: how many trials are started at most; None: as many as the searcher gives.
        curve: the metric that makes up a learning curve, lower is better.
        objective: the metric that is a trial's performance at its end.
        admits: whether the trial that is next may start, as things stand; asked again after every event. None: always.
    """

    def __init__(
        self,
        searcher: Searcher,
        stopper: Stopper | None,
        *,
        slots: int,
        trials: int | None,
        objective: str,
        curve: str = "loss",
        admits: Callable[[int], bool] | None = None,
    ):
        self._searcher = searcher
        self._stopper = stopper
        self._free = slots
        self._trials = trials
        self._objective = objective
        self._curve = curve
        self._admits = admits or (lambda _: True)
        self._next = 0
        self._exhausted = False
        self._starting: dict[int, Configuration] = {}  # by trial; those not yet reported as started
        self._paused: dict[int, tuple[float, float]] = {}  # by trial: progress and loss where it was paused
        self._resuming: deque[int] = deque()  # paused trials that go on as soon as a slot is free

    def open(self) -> list[Action]:
        """Fill the slots."""
        return self._refill()

    def on(self, event: Event) -> list[Action]:
        """Continue, pause or stop; let paused trials go on or stop; refill the slots that are free."""
        actions: list[Action] = []
        stopper = self._stopper
        match event:
            case Reported(trial, progress, metrics):
                if stopper is None:
                    return [Continue(trial)]
                loss = metrics[self._curve]
                match stopper.reported(trial, progress, loss):
                    case Decision.CONTINUE:
                        actions.append(Continue(trial))
                    case Decision.PAUSE:
                        self._paused[trial] = progress, loss
                        self._free += 1
                        actions.append(Pause(trial))
                    case Decision.STOP:
                        self._free += 1
                        self._searcher.told(trial, progress, loss, False)
                        actions.append(Stop(trial))
            case Started(trial):
                configuration = self._starting.pop(trial)
                if stopper is not None:
                    stopper.started(trial, configuration)
                actions.append(Continue(trial))
            case Completed(trial, metrics):
                if stopper is not None:
                    stopper.completed(trial, metrics[self._curve], metrics[self._objective])
                self._free += 1
                self._searcher.told(trial, 1.0, metrics[self._objective], True)
            case Failed(trial, progress):
                if stopper is not None:
                    stopper.failed(trial)
                self._free += 1
                self._searcher.told(trial, progress, None, False)
        if stopper is not None:
            for trial, decision in stopper.settle():
                if decision is Decision.CONTINUE:
                    self._resuming.append(trial)
                else:
                    self._searcher.told(trial, *self._paused.pop(trial), False)
                    actions.append(Stop(trial))
        return actions + self._refill() if self._free else actions

    def foresee(self, trial: int) -> Configuration | None:
        """The configuration that a trial will have, if it starts, where that is known before its turn."""
        if not self._searcher.independent or (self._trials is not None and trial >= self._trials):
            return None
        if not self._admits(trial):
            return None
        return self._searcher.suggest(trial)

    def next_check(self, trial: int, progress: float) -> float:
        """The next point after ``progress`` at which the trial may be stopped or paused; 1: none before its end."""
        return 1.0 if self._stopper is None else self._stopper.next_check(trial, progress)

    def _refill(self) -> list[Action]:
        """Fill the slots that are free: paused trials that may go on come before new ones."""
        actions: list[Action] = []
        while self._free and self._resuming:
            trial = self._resuming.popleft()
            del self._paused[trial]
            self._free -= 1
            actions.append(Resume(trial))
        while self._free and not self._exhausted and self._admits(self._next):
            more = self._trials is None or self._next < self._trials
            configuration = self._searcher.suggest(self._next) if more else None
            if configuration is None:
                self._exhausted = True
                break
            self._starting[self._next] = configuration
            actions.append(Start(self._next, configuration))
            self._next += 1
            self._free -= 1
        return actions
