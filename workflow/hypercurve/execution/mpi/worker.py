"""A worker: the trials that one rank has, and which of them it trains next. Sends and receives nothing itself."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from ...curves.cost import TrialCost
from ...events.events import Completed, Reported
from ...events.lines import EventLine, Tested
from ...runs.run import Run
from ...runs.trial import Trial
from ...space.search_space import Configuration
from ...training.recorded_curves import retrain
from ...training.trainer import Session, Snapshot, Trainer
from ..advance import ReportCheck, advance
from ..event_loop import Best, equal_bits
from . import messages as wire
from .comm import Tag

Priority = tuple[bool, float, int]


@dataclass(slots=True)
class Going:
    """A trial that a rank has.

    Attributes:
        trial: the trial.
        cost: what its training costs.
        points: where it reports.
        done: to how many of them it has trained.
        limit: how many it will train to whatever is decided meanwhile; what goes beyond may be in vain.
        started: virtual time of its start, later by what it was paused; infinite before.
        curve: what was reported before a resume, or is known.
        processors: names of those that trained it; None: this rank's only.
        session: None before it is opened.
        told: whether it has had a number in its learning curve.
        priority: the trial with the least is trained next.
    """

    trial: Trial
    cost: TrialCost
    points: tuple[float, ...]
    done: int
    limit: int
    started: float
    curve: wire.Curve
    processors: Collection[str | None] | None = None
    session: Session | None = None
    told: bool = False
    priority: Priority = (False, 0.0, 0)


_priority = attrgetter("priority")


class Worker:
    """The trials of a rank.

    It always trains something, as long as it has anything: what is wanted first in virtual time; failing that, the first
    stretch of trials that have not started; failing that, past a check point while the answer is still on its way.

    Args:
        run: gives settings, points and costs; only rank 0's has state.
        trainer: opens sessions.
        rank: this worker's number.
    """

    def __init__(self, run: Run, trainer: Trainer, rank: int):
        self.rank = rank
        self._numbers = {point: number for number, point in enumerate(run.points)}
        self._run, self._cost, self._trainer = run, run.cost, trainer
        self._seed, self._repeat, self._objective = run.setting.seed, run.repeat, run.setting.objective
        self._check = ReportCheck.of(run.setting)
        self._going: dict[int, Going] = {}
        self._over: dict[int, Session] = {}  # complete, but that may not be written yet
        self._kept: dict[int, tuple[Trial, Snapshot]] = {}  # complete, and perhaps the best
        self._best: tuple[int, float] | None = None
        self._performances: dict[int, float] = {}

    def handle(self, tag: Tag, message: bytes | bytearray) -> None:
        """Do what a message of the supervisor says."""
        match tag:
            case Tag.START:
                self.start(*wire.unpack_start(message))
            case Tag.GO:
                self.go(*wire.unpack_go(message))
            case Tag.RELEASE:
                self.release(*wire.unpack_release(message))
            case _:
                raise AssertionError(f"a message {tag!r} to a worker")

    def start(
        self,
        number: int,
        configuration: Configuration,
        curve: wire.Curve,
        limit: int,
        started: float,
        processors: Collection[str | None] | None = None,
        first: int | None = None,
    ) -> None:
        """Take a trial.

        Args:
            number: the trial's.
            configuration: its hyperparameters.
            curve: what was reported before a resume, or is known; the trial is trained to there again.
            limit: points that it will train to whatever is decided.
            started: virtual time of its start; infinite: it has not started, and may never.
            processors: names of those that trained the curve: see :func:`hypercurve.execution.event_loop.equal_bits`.
            first: the trial whose training it repeats: see :class:`Trial`.
        """
        trial = Trial(number, configuration, self._seed, self._repeat, first)
        cost = self._cost.of(configuration)
        going = Going(trial, cost, self._run.points_of(cost), len(curve), limit, started, curve, processors)
        going.told = self._check.told(curve)
        self._going[number] = going
        self._rank(going)

    def go(self, number: int, limit: int, started: float) -> None:
        """Let a trial go on; it may be over already."""
        if (going := self._going.get(number)) is not None:
            going.limit, going.started = limit, started
            self._rank(going)

    def release(self, number: int, best: bool) -> None:
        """Drop a trial that is over.

        Args:
            number: the trial's.
            best: it is complete, and the best of the run so far: keep its network in place of the one kept so far.
        """
        going = self._going.pop(number, None)
        session = self._over.pop(number, None) if going is None else going.session
        if session is not None:
            session.close()
        performance = self._performances.pop(number, None)
        if not best:
            self._kept.pop(number, None)
            return
        if self._best is not None:
            self._kept.pop(self._best[0], None)
        assert performance is not None
        self._best = (number, performance)

    def choose(self) -> int | None:
        """The trial to train next, or None."""
        return min(self._going.values(), key=_priority).trial.number if self._going else None

    def advance(self, number: int) -> tuple[int, EventLine]:
        """Train a trial to its next point.

        Returns:
            The number of the point among the run's, from 0; and the event.
        """
        going = self._going[number]
        point = going.points[going.done]
        line, session = advance(lambda: self._session(going), number, point, self._check, self.rank, going.told)
        event = line.event
        going.told = going.told or (isinstance(event, Reported) and self._check.curve in event.metrics)
        going.done += 1
        if session is None or isinstance(event, Completed):
            del self._going[number]
            if session is not None and isinstance(event, Completed):
                self._keep(going.trial, session, event.metrics)
                session.rest()
                self._over[number] = session  # a report may wait for long until it is written
            elif going.session is not None:
                going.session.close()
        else:
            self._rank(going)
        return self._numbers[point], line

    def test(self, number: int, reported: Mapping[str, float] | None, folder: Path) -> Tested:
        """Measure the best trial's network on the test set, and put its file beside the journal.

        Args:
            number: the trial's.
            reported: metrics on the test set that the trial has reported by itself.
            folder: of the journal.
        """
        trial, snapshot = self._kept[number]
        metrics, wall = Best(trial, (), reported, snapshot).finish(self._trainer, None, folder, equal=True)
        return Tested(number, metrics, wall)

    def _session(self, going: Going) -> Session:
        if going.session is None:
            equal = equal_bits(self._run, going.processors)
            going.session = retrain(self._trainer, going.trial, going.curve, equal=equal)
        return going.session

    def _keep(self, trial: Trial, session: Session, metrics: Mapping[str, float]) -> None:
        """Keep a network until it is known whether it is the best; one that is worse than the best of this rank is not."""
        performance = self._performances[trial.number] = metrics[self._objective.key]
        self._trainer.keep(trial, session.snapshot, self._objective.loss(metrics))
        if self._best is None or not self._objective.better(self._best[1], performance):
            self._kept[trial.number] = (trial, session.snapshot())

    def _rank(self, going: Going) -> None:
        due = going.started + going.cost.seconds(going.points[going.done])
        going.priority = (going.done >= going.limit, due, going.trial.number)
