"""A run's state: the fold of its events. Pure.

A run is one (experiment, method, repeat). :class:`Run` holds which trials there are and where they stand, knows which
report is due next in virtual time, asks the scheduler what follows an event, and gives the journal line that says so.
Executors train, write the line, and carry its actions out. Folding the lines of a journal gives back the state.
"""

import heapq
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..config.cost import CostModel, report_points
from ..config.identity import training_digest
from ..config.setting import Setting
from ..curves.cost import Costs, TrialCost, distinct_points, step_at
from ..curves.record import Record
from ..curves.table import Curves
from ..events.encoding import RawLine, decode_line
from ..events.events import Action, Completed, Continue, Copy, Event, Failed, Reported, Resume, Start, Stop
from ..events.journal import UNREADABLE, JournalError, check_line
from ..events.lines import NO_WALL, BatchHeader, Ended, EndReason, EventLine, Line, RunHeader, Tested, Wall
from ..events.trials import TrialState
from ..population.scheduler import PopulationScheduler
from ..space.search_space import MOST_COUNTED, Configuration
from .failures import Failures
from .schedulers import make_scheduler
from .trial import Trial
from .trial_scheduler import TrialScheduler


@dataclass(slots=True)
class CostedTrial(TrialState):
    """A trial whose cost is known.

    Its curve is kept as long as it may have to be trained again: while it is not over, and of the best one so far.

    Attributes:
        cost_of: what its training costs.
        points: where it reports.
    """

    cost_of: TrialCost = field(kw_only=True)
    points: tuple[float, ...] = field(kw_only=True)

    @property
    def anchor(self) -> int:
        """Optimizer step from which its hyperparameters hold, counted for learning-rate schedules."""
        return step_at(self.history[-1].progress, self.cost_of.steps)


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
        fail_fast: whether failures that are alike end the run: :mod:`hypercurve.runs.failures`.

    Attributes:
        header: the journal's first line, before anything is decided.
        points: where trials report at most: see :meth:`points_of`.
        repeats: whether trials with equal configurations are one training.
        actions: what followed the last event.
        reported: the metrics that came with it.
        spent: virtual seconds of all trials so far.
        failures: of its trials so far.
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
        fail_fast: bool = False,
    ):
        self.setting = setting
        self.repeat = repeat
        self.cost: Costs = CostModel(setting.model, setting.cost, samples) if curves is None else curves
        self._most = math.inf  # virtual seconds that may be spent
        if setting.budget.cost is not None:
            assert curves is not None, "checked with the experiment"
            self._most = setting.budget.cost * curves.full_cost * (1 + 1e-9)
        calibration = None if record is None else record.calibration
        self.header = RunHeader(
            setting.experiment,
            setting.method,
            repeat,
            setting.digest,
            data,
            self.cost.samples,
            model,
            rules,
            None if record is None else record.digest,
            None if calibration is None else calibration.stopping_rate,
            setting.seed,
            training_digest(setting, data, model),
        )
        self._scheduler = make_scheduler(setting, repeat, samples, curves, record)
        self.points = report_points(setting, samples)
        fresh = (
            setting.schedule or setting.population is not None or not setting.space.variables
        )  # seeds are what differs
        self.repeats = not fresh and setting.space.combinations <= MOST_COUNTED
        self._firsts: dict[str, int] = {}  # by configuration: the first trial that has it
        self.failures = Failures(setting, ends=fail_fast)
        self._waiting: dict[int, Due] = {}  # by trial; those going, but not who is paused or waits for others
        self._queue: list[Due] = []  # the same as a heap; entries that `_waiting` no longer holds are stale
        self.trials: dict[int, CostedTrial] = {}
        self.actions: Sequence[Action] = ()
        self.reported: Mapping[str, float] = {}
        self.time = 0.0
        self.seconds = 0.0
        self.samples = 0
        self.spent = 0.0
        self.best: CostedTrial | None = None
        self.best_test: Mapping[str, float] | None = None  # what it reported of the test part by itself
        self.ended: EndReason | None = None
        self.tested: Mapping[str, float] | None = None

    def batch_header(self, number: int) -> BatchHeader:
        """The first line of a batch of this run's trials."""
        header = self.header
        return BatchHeader(header.setting, header.repeat, number, header.model, header.seed, header.training)

    def start(self, wall: Wall = NO_WALL) -> Line:
        """Start the first trials; the journal's first line."""
        return replace(self.header, actions=self._carry(self._scheduler.open()), wall=wall)

    def due(self) -> Due | None:
        """The report that comes next, or None when nothing is going."""
        while self._queue and self._waiting.get(self._queue[0].trial) is not self._queue[0]:
            heapq.heappop(self._queue)
        return self._queue[0] if self._queue else None

    def due_of(self, trial: int) -> Due | None:
        """The next report of one trial, or None when it is not going."""
        return self._waiting.get(trial)

    def going(self) -> list[Due]:
        """The next reports of all trials that are going, in virtual time."""
        return sorted(self._waiting.values())

    def points_of(self, cost: TrialCost) -> tuple[float, ...]:
        """Where a training reports that costs so much: no point of the run twice at one step, or at one epoch."""
        return distinct_points(self.points, cost.steps)

    def trial(self, number: int) -> Trial:
        """A trial as trainers want it."""
        return self.trial_of(number, self.trials[number].configuration)

    def trial_of(self, number: int, configuration: Configuration) -> Trial:
        """The same of a trial that has not started; to be asked in the order of their numbers.

        A searcher may suggest a configuration again where there are few. Its training is then the first one's, whatever
        the method: it is not done again.
        """
        first = number
        if self.repeats:
            first = self._firsts.setdefault(json.dumps(configuration, sort_keys=True), number)
        return Trial(number, configuration, self.setting.seed, self.repeat, None if first == number else first)

    def peek(self, number: int) -> Configuration | None:
        """The configuration that a trial will have, if it starts, where that is known before its turn."""
        return self._scheduler.peek(number) if isinstance(self._scheduler, TrialScheduler) else None

    def upcoming(self) -> list[Copy]:
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
        trial = self.trials[due.trial]
        if budget.samples is not None:
            trained = trial.cost_of.trained(due.progress) - trial.cost_of.trained(trial.progress)
            return self.samples + trained <= budget.samples
        if budget.cost is not None:
            return self.spent + trial.cost_of.seconds(due.progress) - trial.cost <= self._most
        return True

    def step(self, event: Event, wall: Wall = NO_WALL) -> Line:
        """Take an event and decide what follows. In virtual order, it must be the one that is due.

        Returns:
            The journal line. Write it before carrying out its actions.
        """
        due = self._waiting[event.trial]
        if event.progress != due.progress:
            raise ValueError("a trial's reports come in order")
        if self.setting.order == "virtual" and due is not self.due():
            raise ValueError("events come in virtual-time order")
        del self._waiting[event.trial]
        self.time = max(self.time, due.time)
        trial, seconds = self.trials[event.trial], wall.seconds or 0.0
        trained, cost = trial.cost_of.trained(trial.progress), trial.cost
        trial.take(event, due.time, seconds)
        self.failures.take(event, trial.configuration, wall.traceback)
        self.samples += trial.cost_of.trained(trial.progress) - trained
        self.spent += trial.cost - cost
        self.seconds += seconds
        self.reported = event.metrics if isinstance(event, Reported | Completed) else {}
        if isinstance(event, Completed):
            over = trial
            if self._is_best(trial):
                over, self.best, self.best_test = self.best or trial, trial, wall.test
            if over is not self.best:
                over.curve = []
        elif isinstance(event, Failed):
            trial.curve = []
        return EventLine(event, wall, due.time, self._carry(self._scheduler.on(event)))

    def end(self, reason: EndReason, wall: Wall = NO_WALL) -> Line:
        """End the run; trials still going or paused are stopped and do not compete."""
        self.ended = reason
        going = [trial.number for trial in self.trials.values() if trial.status in ("running", "paused")]
        best = None if self.best is None else self.best.number
        return Ended(reason, best, self.time, self._carry([Stop(number) for number in going]), wall)

    def test(self, metrics: Mapping[str, float], wall: Wall = NO_WALL) -> Line:
        """Take the chosen trial's metrics on the test set: the last line of a run that found anything.

        Those that are not finite are left out: they are undefined, which must not keep a run from its end.
        """
        assert self.best is not None
        self.tested = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return Tested(self.best.number, self.tested, wall)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.ended is not None and (self.best is None or self.tested is not None)

    def fold(self, lines: Iterable[RawLine], source: str, first: int = 1) -> None:
        """Take lines of a journal, deciding anew and comparing with what was decided.

        Args:
            source: the journal's name, for messages.
            first: number of the first of them; those before it have been taken.

        Raises:
            JournalError: a line is damaged, out of order, or holds another decision than these settings lead to.
        """
        for number, raw in enumerate(lines, start=first):
            where = f"{source}:{number}"
            try:
                again = self._again(number, decode_line(raw))
            except (*UNREADABLE, AssertionError) as error:
                raise JournalError(f"{where}: does not follow from the lines before it ({error!r})") from None
            check_line(again, raw, where, "the settings and the lines before it lead")

    def _again(self, number: int, line: Line) -> Line:
        """A line as it follows from those before it."""
        if self.complete:
            raise ValueError("the run is complete before it")
        if (number == 1) != isinstance(line, RunHeader):
            raise ValueError("exactly the first line must be a `run` line")
        match line:
            case EventLine(event, wall):
                return self.step(event, wall)
            case RunHeader():
                if line.training is None:  # older journals do not say what their trainings are
                    self.header = replace(self.header, seed=None, training=None)
                return self.start(line.wall)
            case Ended(reason):
                if reason != ("finished" if self.due() is None else self.setting.budget.bound):
                    raise ValueError(f"reason = {reason}")
                return self.end(reason, line.wall)
            case Tested():
                return self.test(line.metrics, line.wall)
        raise ValueError("a line of another kind of file")

    def _is_best(self, trial: TrialState) -> bool:
        key = self.setting.objective.key
        performance = trial.metrics[key]
        if not math.isfinite(performance):
            return False
        if self.best is None:
            return True
        best = self.best.metrics[key]
        if performance == best:  # ties: the lower trial number, whatever finished first
            return trial.number < self.best.number
        return self.setting.objective.better(performance, best)

    def _carry(self, actions: Sequence[Action]) -> Sequence[Action]:
        """Carry actions out on the state; gives them back."""
        self.actions = actions
        for action in actions:
            if isinstance(action, Start):
                cost = self.cost.of(action.configuration)
                points = self.points_of(cost)
                trial = CostedTrial(action.trial, action.configuration, self.time, cost_of=cost, points=points)
                self.trials[action.trial] = trial
                self.trial(action.trial)  # so that it is known which was the first
                self._expect(Due(self.time, action.trial, 0.0))
                continue
            trial = self.trials[action.trial]
            if not isinstance(action, Continue):
                trial.apply(action, self.time)
            if isinstance(action, Continue | Resume):
                self._go_on(trial)
            elif isinstance(action, Stop):
                trial.curve = []
                self._waiting.pop(action.trial, None)
        return actions

    def _go_on(self, trial: CostedTrial) -> None:
        progress = trial.points[trial.reports]
        self._expect(Due(trial.origin + trial.cost_of.seconds(progress), trial.number, progress))

    def _expect(self, due: Due) -> None:
        self._waiting[due.trial] = due
        heapq.heappush(self._queue, due)
