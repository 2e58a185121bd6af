"""A run's state: the fold of its events. Pure.

A run is one (experiment, method, repeat). :class:`Run` holds which trials there are and where they stand, knows which
report is due next in virtual time, asks the scheduler what follows an event, and gives the journal line that says so.
Executors train, write the line, and carry its actions out. Folding the lines of a journal gives back the state.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .config import Setting
from .cost import CostModel, TrialCost, report_points, step_at
from .journal import JournalError, Line, without_wall
from .population import Move, PopulationScheduler
from .scheduling import (
    Action,
    Completed,
    Continue,
    Copy,
    Event,
    Failed,
    Reported,
    Scheduler,
    Start,
    Started,
    Stop,
    TrialScheduler,
)
from .search import make_searcher
from .space import Configuration
from .stopping import make_stopper
from .training.base import Trial

FORMAT = 1

Status = Literal["running", "completed", "stopped", "failed"]
EndReason = Literal["finished", "seconds", "samples"]


@dataclass(slots=True)
class TrialState:
    """One trial so far.

    Attributes:
        number: from 0.
        configuration: its hyperparameters.
        status: where it stands.
        progress: share of the training reported, in [0, 1].
        started: virtual time of its start.
        curve: (progress, metrics) of every report.
        performance: the objective's value at the end; None before.
        seconds: computing seconds so far.
        cost: virtual seconds so far.
        samples: training samples so far.
        cost_of: what its training costs.
        reports: number of reports so far.
        anchor: optimizer step from which its hyperparameters hold, counted for learning-rate schedules.
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
    """

    def __init__(self, setting: Setting, repeat: int, *, samples: int, data: str):
        self.setting = setting
        self.repeat = repeat
        self.cost = CostModel(setting.model, setting.cost, samples)
        self._data = data
        self._scheduler = make_scheduler(setting, repeat, samples)
        self.points = report_points(setting, samples)
        self._waiting: dict[int, Due] = {}  # by trial; those going, but not members that wait for the others
        self._queue: list[Due] = []  # the same as a heap; entries that `_waiting` no longer holds are stale
        self.trials: dict[int, TrialState] = {}
        self.time = 0.0
        self.seconds = 0.0
        self.samples = 0
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

    def foresee(self, number: int) -> Configuration | None:
        """The configuration that a trial will have, if it starts, where that is known before its turn."""
        return self._scheduler.foresee(number) if isinstance(self._scheduler, TrialScheduler) else None

    def upcoming(self) -> list[Move]:
        """Copies that members of a population make at their next report: :meth:`PopulationScheduler.upcoming`."""
        return self._scheduler.upcoming() if isinstance(self._scheduler, PopulationScheduler) else []

    def next_check(self, trial: int, progress: float) -> float:
        """The next point after ``progress`` at which an independent trial may be stopped; 1: none before its end."""
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
        state.samples, state.cost, state.progress = trained, due.time - state.started, due.progress
        state.seconds += seconds
        state.reports += not isinstance(event, Started)
        match event:
            case Reported(metrics=metrics):
                state.curve.append((due.progress, metrics))
            case Completed(metrics=metrics):
                state.curve.append((due.progress, metrics))
                state.status = "completed"
                state.performance = metrics[self.setting.objective.key]
                if self._is_best(state):
                    self.best = state
            case Failed():
                state.status = "failed"
        line = encode_event(event)
        line["time"] = due.time
        return self._finish(line, self._scheduler.on(event), wall)

    def end(self, reason: EndReason, wall: Mapping[str, Any] | None = None) -> Line:
        """End the run; trials still going are stopped and do not compete."""
        self.ended = reason
        going = [state.number for state in self.trials.values() if state.status == "running"]
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

    def fold(self, lines: Sequence[Line], source: str) -> None:
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
                if line["reason"] != ("finished" if self.due() is None else self.setting.budget.kind):
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
        for action in actions:
            match action:
                case Continue(trial):  # first, being the most frequent
                    state = self.trials[trial]
                    progress = self.points[state.reports]
                    self._expect(Due(state.started + state.cost_of.seconds(progress), trial, progress))
                case Start(trial, configuration):
                    cost = self.cost.of(configuration)
                    self.trials[trial] = TrialState(trial, configuration, started=self.time, cost_of=cost)
                    self._expect(Due(self.time, trial, 0.0))
                case Stop(trial):
                    self.trials[trial].status = "stopped"
                    self._waiting.pop(trial, None)
                case Copy(trial, _, _, configuration):
                    state = self.trials[trial]
                    state.configuration, state.status = configuration, "running"
                    state.anchor = step_at(state.progress, state.cost_of.steps)
        line["then"] = [encode_action(action) for action in actions]
        if wall:
            line["wall"] = dict(wall)
        return line

    def _expect(self, due: Due) -> None:
        self._waiting[due.trial] = due
        heapq.heappush(self._queue, due)


def check_line(again: Line, line: Line, where: str, why: str) -> None:
    """Compare a journal's line with what it should be, outside ``wall``.

    Args:
        again: what it should be.
        line: what it is.
        where: file and line number, for the message.
        why: what ``again`` comes from, for the message: "... lead".

    Raises:
        JournalError: they differ.
    """
    if without_wall(again) != without_wall(line):
        keys = [key for key in {**again, **line} if again.get(key) != line.get(key) and key != "wall"]
        raise JournalError(
            f"{where}: says {keys[0]} = {_short(line.get(keys[0]))} where {why} to {_short(again.get(keys[0]))}"
        )


def make_scheduler(setting: Setting, repeat: int, samples: int) -> Scheduler:
    """The scheduler of a method."""
    if setting.population is not None:
        return PopulationScheduler(setting, repeat, CostModel(setting.model, setting.cost, samples))
    return TrialScheduler(
        make_searcher(setting, repeat),
        make_stopper(setting),
        slots=setting.slots,
        trials=setting.trials,
        objective=setting.objective.key,
    )


def _progress(event: Event) -> float:
    match event:
        case Reported() | Failed():
            return event.progress
        case Started():
            return 0.0
        case Completed():
            return 1.0


def encode_event(event: Event) -> Line:
    """An event's part of a journal line."""
    match event:
        case Reported(trial, progress, metrics):
            return {"event": "reported", "trial": trial, "progress": progress, "metrics": dict(metrics)}
        case Started(trial):
            return {"event": "started", "trial": trial}
        case Completed(trial, metrics):
            return {"event": "completed", "trial": trial, "metrics": dict(metrics)}
        case Failed(trial, progress, reason):
            return {"event": "failed", "trial": trial, "progress": progress, "reason": reason}


def decode_event(line: Line) -> Event:
    """The event in a journal line.

    Raises:
        ValueError, KeyError, TypeError: it holds none.
    """
    trial = line["trial"]
    if not isinstance(trial, int) or isinstance(trial, bool):
        raise TypeError(f"trial = {trial!r}")
    match line["event"]:
        case "started":
            return Started(trial)
        case "reported":
            return Reported(trial, float(line["progress"]), _metrics(line))
        case "completed":
            return Completed(trial, _metrics(line))
        case "failed":
            return Failed(trial, float(line["progress"]), str(line["reason"]))
        case kind:
            raise ValueError(f"unknown event {kind!r}")


def _metrics(line: Line) -> dict[str, float]:
    metrics = line["metrics"]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in metrics.values()):
        raise TypeError("a metric is not a number")
    return dict(metrics)


def encode_action(action: Action) -> Line:
    """An action's form in a journal line."""
    match action:
        case Continue(trial):
            return {"continue": trial}
        case Start(trial, configuration):
            return {"start": trial, "configuration": configuration}
        case Stop(trial):
            return {"stop": trial}
        case Copy(trial, source, progress, configuration):
            return {"copy": trial, "from": source, "at": progress, "configuration": configuration}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
