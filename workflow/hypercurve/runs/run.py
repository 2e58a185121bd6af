"""A run's state: the fold of its events. Pure.

A run is one (experiment, method, repeat). :class:`Run` holds which trials there are and where they stand, knows which
report is due next in virtual time, asks the scheduler what follows an event, and gives the journal line that says so.
Executors train, write the line, and carry its actions out. Folding the lines of a journal gives back the state.
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ..config.cost import CostModel, report_points
from ..config.experiment import Setting
from ..curves.cost import Costs, TrialCost, step_at
from ..curves.record import Record
from ..curves.table import Curves
from ..events.encoding import decode_event, encode_action, encode_event
from ..events.events import (
    Action,
    Completed,
    Continue,
    Copy,
    Event,
    Failed,
    Pause,
    Reported,
    Resume,
    Start,
    Started,
    Stop,
)
from ..events.journal import JournalError, Line, check_line
from ..population.evolution import Move
from ..population.scheduler import PopulationScheduler
from ..space.search_space import Configuration
from .schedulers import make_scheduler
from .trial import Trial
from .trial_scheduler import TrialScheduler

FORMAT = 1

Status = Literal["running", "paused", "completed", "stopped", "failed"]
EndReason = Literal["finished", "seconds", "samples", "cost"]


@dataclass(slots=True)
class TrialState:
    """One trial so far.

    Attributes:
        number: from 0.
        configuration: its hyperparameters.
        status: where it stands.
        progress: share of the training reported, in [0, 1].
        started: virtual time of its start.
        curve: (progress, metrics) of every report, as long as the trial may have to be trained again: while it is not over,
            and of the best one so far.
        performance: the objective's value at the end; None before.
        seconds: computing seconds so far.
        cost: virtual seconds so far.
        samples: training samples so far.
        cost_of: what its training costs.
        reports: number of reports so far.
        anchor: optimizer step from which its hyperparameters hold, counted for learning-rate schedules.
        paused: virtual seconds for which it has been paused.
    """

    number: int
    configuration: Configuration
    started: float
    cost_of: TrialCost
    status: Status = "running"
    progress: float = 0.0
    curve: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)
    performance: float | None = None
    seconds: float = 0.0
    cost: float = 0.0
    samples: int = 0
    reports: int = 0
    anchor: int = 0
    paused: float = 0.0

    @property
    def origin(self) -> float:
        """Virtual time at which it would have started, had it never been paused: it reaches cost c at origin + c."""
        return self.started + self.paused


class Due(NamedTuple):  # and not a dataclass: a heap compares millions of them
    """The next report in virtual time; ties go to the lower trial number."""

    time: float
    trial: int
    progress: float


class Run:
    """State of one run.

    Args:
        setting: what the run depends on.
        repeat: which repeat, from 0.
        samples: size of the training part.
        data: digest of the prepared data set.
        curves: the recorded trainings that a replay searches, in the order in which they arrive.
        record: earlier experiments, where the method has a record.
        model: digest of the user's own code that is trained; None for a built-in model.
        rules: digest of the user's own searcher and stopper; None without any.

    Attributes:
        actions: what followed the last event.
        reported: the metrics that came with it.
        spent: virtual seconds of all trials so far.
    """

    def __init__(
        self,
        setting: Setting,
        repeat: int,
        *,
        samples: int,
        data: str,
        curves: Curves | None = None,
        record: Record | None = None,
        model: str | None = None,
        rules: str | None = None,
    ):
        self.setting = setting
        self.repeat = repeat
        self.cost: Costs = CostModel(setting.model, setting.cost, samples) if curves is None else curves
        self._most = math.inf  # virtual seconds that may be spent
        if setting.budget.cost is not None:
            assert curves is not None, "checked with the experiment"
            self._most = setting.budget.cost * curves.full_cost * (1 + 1e-9)
        self._data, self._own = data, {"model": model, "rules": rules}
        self._record = None if record is None else record.digest
        self._calibration = None if record is None else record.calibration
        self._scheduler = make_scheduler(setting, repeat, samples, curves, record)
        self.points = report_points(setting, samples)
        self._waiting: dict[int, Due] = {}  # by trial; those going, but not who is paused or waits for others
        self._queue: list[Due] = []  # the same as a heap; entries that `_waiting` no longer holds are stale
        self.trials: dict[int, TrialState] = {}
        self.actions: Sequence[Action] = ()
        self.reported: Mapping[str, float] = {}
        self.time = 0.0
        self.seconds = 0.0
        self.samples = 0
        self.spent = 0.0
        self.best: TrialState | None = None
        self.ended: EndReason | None = None
        self.tested: Mapping[str, float] | None = None

    def begin(self, wall: Mapping[str, Any] | None = None) -> Line:
        """The journal's first line."""
        line: Line = {
            "event": "run",
            "format": FORMAT,
            "experiment": self.setting.experiment,
            "method": self.setting.method,
            "repeat": self.repeat,
            "setting": self.setting.digest,
            "data": self._data,
            "samples": self.cost.samples,
        }
        line |= {key: digest for key, digest in self._own.items() if digest is not None}
        if self._record is not None:
            line["record"] = self._record
        if self._calibration is not None:
            line["stopping_rate"] = self._calibration.stopping_rate
        return self._finish(line, self._scheduler.open(), wall)

    def due(self) -> Due | None:
        """The report that comes next, or None when nothing is going."""
        while self._queue and self._waiting.get(self._queue[0].trial) is not self._queue[0]:
            heapq.heappop(self._queue)
        return self._queue[0] if self._queue else None

    def due_of(self, trial: int) -> Due | None:
        """The next report of one trial, or None when it is not going."""
        return self._waiting.get(trial)

    def trial(self, number: int) -> Trial:
        """A trial as trainers want it."""
        return Trial(number, self.trials[number].configuration, self.setting.seed, self.repeat)

    def peek(self, number: int) -> Configuration | None:
        """The configuration that a trial will have, if it starts, where that is known before its turn."""
        return self._scheduler.peek(number) if isinstance(self._scheduler, TrialScheduler) else None

    def upcoming(self) -> list[Move]:
        """Copies that members of a population make at their next report: :meth:`PopulationScheduler.upcoming`."""
        return self._scheduler.upcoming() if isinstance(self._scheduler, PopulationScheduler) else []

    def next_check(self, trial: int, progress: float) -> float:
        """The next point after ``progress`` at which a trial may be stopped or paused; 1: none before its end."""
        assert isinstance(self._scheduler, TrialScheduler)
        return self._scheduler.next_check(trial, progress)

    def budget_left(self, due: Due, seconds: float = 0.0) -> bool:
        """Whether the budget allows the due report, which took ``seconds``."""
        budget = self.setting.budget
        if budget.seconds is not None:
            return self.seconds + seconds <= budget.seconds
        if budget.samples is not None:
            state = self.trials[due.trial]
            trained = state.cost_of.trained(due.progress) - state.samples
            return self.samples + trained <= budget.samples
        if budget.cost is not None:
            state = self.trials[due.trial]
            return self.spent + state.cost_of.seconds(due.progress) - state.cost <= self._most
        return True

    def step(self, event: Event, wall: Mapping[str, Any] | None = None) -> Line:
        """Take an event and decide what follows. In virtual order, it must be the one that is due.

        Returns:
            The journal line. Write it before carrying out its actions.
        """
        due = self._waiting[event.trial]
        if _progress(event) != due.progress:
            raise ValueError("a trial's reports come in order")
        if self.setting.order == "virtual" and due is not self.due():
            raise ValueError("events come in virtual-time order")
        del self._waiting[event.trial]
        self.time = max(self.time, due.time)
        state = self.trials[event.trial]
        seconds = float((wall or {}).get("seconds", 0.0))
        trained = state.cost_of.trained(due.progress)
        self.samples += trained - state.samples
        self.seconds += seconds
        cost = due.time - state.origin
        self.spent += cost - state.cost
        state.samples, state.cost, state.progress = trained, cost, due.progress
        state.seconds += seconds
        state.reports += not isinstance(event, Started)
        self.reported = {}
        match event:
            case Reported(metrics=metrics):
                self.reported = metrics
                state.curve.append((due.progress, metrics))
            case Completed(metrics=metrics):
                self.reported = metrics
                state.curve.append((due.progress, metrics))
                state.status = "completed"
                state.performance = metrics[self.setting.objective.key]
                if self._is_best(state):
                    state, self.best = self.best or state, state
                if state is not self.best:
                    state.curve = []
            case Failed():
                state.status, state.curve = "failed", []
        line = encode_event(event)
        line["time"] = due.time
        return self._finish(line, self._scheduler.on(event), wall)

    def end(self, reason: EndReason, wall: Mapping[str, Any] | None = None) -> Line:
        """End the run; trials still going or paused are stopped and do not compete."""
        self.ended = reason
        going = [state.number for state in self.trials.values() if state.status in ("running", "paused")]
        line: Line = {
            "event": "ended",
            "reason": reason,
            "best": None if self.best is None else self.best.number,
            "time": self.time,
        }
        return self._finish(line, [Stop(number) for number in going], wall)

    def test(self, metrics: Mapping[str, float], wall: Mapping[str, Any] | None = None) -> Line:
        """Take the chosen trial's metrics on the test set: the last line of a run that found anything.

        Those that are not finite are left out: they are undefined, which must not keep a run from its end.
        """
        assert self.best is not None
        self.tested = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return self._finish({"event": "tested", "trial": self.best.number, "metrics": dict(self.tested)}, [], wall)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.ended is not None and (self.best is None or self.tested is not None)

    def fold(self, lines: Iterable[Line], source: str) -> None:
        """Take all lines of a journal, deciding anew and comparing with what was decided.

        Args:
            source: the journal's name, for messages.

        Raises:
            JournalError: a line is damaged, out of order, or holds another decision than these settings lead to.
        """
        for number, line in enumerate(lines, start=1):
            where = f"{source}:{number}"
            try:
                again = self._take(number, line)
            except (KeyError, TypeError, ValueError, AssertionError, AttributeError) as error:
                raise JournalError(f"{where}: does not follow from the lines before it ({error!r})") from None
            check_line(again, line, where, "the settings and the lines before it lead")

    def _take(self, number: int, line: Line) -> Line:
        wall = line.get("wall")
        if self.complete:
            raise ValueError("the run is complete before it")
        if (number == 1) != (line["event"] == "run"):
            raise ValueError("exactly the first line must be a `run` line")
        match line["event"]:
            case "run":
                return self.begin(wall)
            case "ended":
                if line["reason"] != ("finished" if self.due() is None else self.setting.budget.bound):
                    raise ValueError(f"reason = {line['reason']}")
                return self.end(line["reason"], wall)
            case "tested":
                return self.test(line["metrics"], wall)
            case _:
                return self.step(decode_event(line), wall)

    def _is_best(self, state: TrialState) -> bool:
        performance = state.performance
        if performance is None or not math.isfinite(performance):
            return False
        if self.best is None or self.best.performance is None:
            return True
        if performance == self.best.performance:  # ties: the lower trial number, whatever finished first
            return state.number < self.best.number
        return self.setting.objective.better(performance, self.best.performance)

    def _finish(self, line: Line, actions: Sequence[Action], wall: Mapping[str, Any] | None) -> Line:
        self.actions = actions
        for action in actions:
            match action:
                case Continue(trial):  # first, being the most frequent
                    self._go_on(self.trials[trial])
                case Start(trial, configuration):
                    cost = self.cost.of(configuration)
                    self.trials[trial] = TrialState(trial, configuration, started=self.time, cost_of=cost)
                    self._expect(Due(self.time, trial, 0.0))
                case Stop(trial):
                    state = self.trials[trial]
                    state.status, state.curve = "stopped", []
                    self._waiting.pop(trial, None)
                case Pause(trial):
                    self.trials[trial].status = "paused"
                case Resume(trial):
                    state = self.trials[trial]
                    state.status, state.paused = "running", self.time - state.cost - state.started
                    self._go_on(state)
                case Copy(trial, _, _, configuration):
                    state = self.trials[trial]
                    state.configuration, state.status = configuration, "running"
                    state.anchor = step_at(state.progress, state.cost_of.steps)
        line["then"] = [encode_action(action) for action in actions]
        if wall:
            line["wall"] = dict(wall)
        return line

    def _go_on(self, state: TrialState) -> None:
        progress = self.points[state.reports]
        self._expect(Due(state.origin + state.cost_of.seconds(progress), state.number, progress))

    def _expect(self, due: Due) -> None:
        self._waiting[due.trial] = due
        heapq.heappush(self._queue, due)


def _progress(event: Event) -> float:
    match event:
        case Reported() | Failed():
            return event.progress
        case Started():
            return 0.0
        case Completed():
            return 1.0
