"""The scheduler of independent trials: a searcher with or without a stopper. Pure."""

import math
from collections import deque
from collections.abc import Mapping

from ..config.objective import JudgedCurve
from ..events.events import Action, Completed, Continue, Event, Failed, Pause, Reported, Resume, Start, Started, Stop
from ..search.searcher import Searcher
from ..space.search_space import Configuration
from ..stopping.stopper import Decision, Stopper


class TrialScheduler:
    """A searcher with or without a stopper: the scheduler of every method that trains independent trials.

    Args:
        searcher: gives the configurations, in the order of their trial numbers.
        stopper: decides which trials go on; None: all do.
        slots: how many trials are going at once.
        trials: how many trials are started at most; None: as many as the searcher gives.
        curve: what the stopper compares of each report. Where a trial has not reported it, the
            stopper is not asked, and the trial goes on.
        objective: the metric that is a trial's performance at its end.
    """

    def __init__(
        self,
        searcher: Searcher,
        stopper: Stopper | None,
        *,
        slots: int,
        trials: int | None,
        objective: str,
        curve: JudgedCurve,
    ):
        self._searcher = searcher
        self._stopper = stopper
        self._free = slots
        self._trials = trials
        self._objective = objective
        self._curve = curve
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
                loss = self._loss(metrics)
                match Decision.CONTINUE if math.isnan(loss) else stopper.on_report(trial, progress, loss):
                    case Decision.CONTINUE:
                        actions.append(Continue(trial))
                    case Decision.PAUSE:
                        self._paused[trial] = progress, loss
                        self._free += 1
                        actions.append(Pause(trial))
                    case Decision.STOP:
                        self._free += 1
                        self._searcher.on_result(trial, progress, loss, False)
                        actions.append(Stop(trial))
            case Started(trial):
                configuration = self._starting.pop(trial)
                if stopper is not None:
                    stopper.on_start(trial, configuration)
                actions.append(Continue(trial))
            case Completed(trial, metrics):
                if stopper is not None:
                    stopper.on_complete(trial, self._loss(metrics), metrics[self._objective])
                self._free += 1
                self._searcher.on_result(trial, 1.0, metrics[self._objective], True)
            case Failed(trial, progress):
                if stopper is not None:
                    stopper.on_failure(trial)
                self._free += 1
                self._searcher.on_result(trial, progress, None, False)
        if stopper is not None:
            for trial, decision in stopper.decide_paused():
                if decision is Decision.CONTINUE:
                    self._resuming.append(trial)
                else:
                    self._searcher.on_result(trial, *self._paused.pop(trial), False)
                    actions.append(Stop(trial))
        return actions + self._refill() if self._free else actions

    def _loss(self, metrics: Mapping[str, float]) -> float:
        loss = self._curve.loss(metrics)
        return math.nan if loss is None else loss

    def peek(self, trial: int) -> Configuration | None:
        """The configuration that a trial will have, if it starts, where that is known before its turn."""
        if not self._searcher.independent or (self._trials is not None and trial >= self._trials):
            return None
        if self._stopper is not None and not self._stopper.can_start(trial):
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
        stopper = self._stopper
        while self._free and not self._exhausted and (stopper is None or stopper.can_start(self._next)):
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
