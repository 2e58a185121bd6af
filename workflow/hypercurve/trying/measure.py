"""One training of an experiment, tried: two points of it by the trainer, and with the checks, that a run would use.

It is trained, trained again from its seed, saved and gone on with, and stopped. Nothing of it is recorded.
"""

import gc
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config.model import CommandSpec, counts_epochs
from ..events.checksums import Chain
from ..events.encoding import encode_line
from ..events.events import Failed, Started
from ..events.lines import EventLine
from ..execution.advance import ReportCheck, advance
from ..runs.failures import Alike, is_result
from ..runs.run import Run
from ..runs.trial import Trial
from ..training.saving import SavingTrainer, identity_of
from ..training.trainer import Session, Snapshot, Trainer
from ..util.errors import UserError
from .one_training import Metrics, Training, difference
from .others import Timed, time_others, trial_of
from .processes import own_peak, peak_of, started

MOST_TRIALS = 5
"""Trials that are tried one after the other where they diverge or break a bound, which is no fault of the code."""
TO_THE_END = 10.0
"""Seconds that are spent at most on training to the end, where the objective was not among what was reported."""
REST = 3.0
"""Seconds for which ended processes are waited for, beyond what a program is granted."""


@dataclass(slots=True)
class Tried:
    """What was seen of a training.

    Attributes:
        trial: which.
        points: the shares of the training that were reached.
        seconds: by the clock, until the first point from the start, and from there to the second.
        again: seconds until the first point when it was trained again, in the same process.
        metrics, test: what was reported last, and of the test part.
        early: what was reported last before the end.
        line: bytes of a report in a journal.
        failure: why it failed, and of other trials before it, which diverged or broke a bound.
        results: the others' reasons.
        problem: what else was in the way, for the user.
        memory, programs: bytes at most, of this process, and of those that it has started.
        state: bytes of a saved state; None: it cannot be saved.
        repeated: how a training from the same seed differs; empty: not at all. None: not known.
        resumed: how a training that went on from a saved state differs; None: not known.
        stop: what happened when it was asked to stop.
        faults: what is wrong with how it was stopped.
        ended: whether it was trained to the end, to see what is reported there.
        lines: what a run's journal would hold of the points.
        others: further trials that were timed.
    """

    trial: Trial
    points: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    again: float = math.nan
    metrics: Metrics = field(default_factory=dict)
    test: Metrics = field(default_factory=dict)
    early: Metrics = field(default_factory=dict)
    line: int = 0
    failure: Alike | None = None
    results: list[str] = field(default_factory=list)
    problem: str | None = None
    memory: int = 0
    programs: int = 0
    state: int | None = None
    repeated: str | None = None
    resumed: str | None = None
    stop: str = ""
    faults: list[str] = field(default_factory=list)
    ended: bool = False
    lines: list[EventLine] = field(default_factory=list)
    others: list[Timed] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether it could not be trained."""
        return self.failure is not None or self.problem is not None


def measure(run: Run, trainer: Trainer, folder: Path, mark: str) -> Tried:
    """Try the first trial of a run, or the first that does not diverge.

    Args:
        run: a run that has not begun.
        trainer: trains; not one that saves.
        folder: where states are saved.
        mark: what the processes carry that are started meanwhile: :func:`hypercurve.trying.processes.marking`.
    """
    run.start()
    results: list[str] = []
    for number in range(MOST_TRIALS):
        if (trial := trial_of(run, number)) is None:
            break
        trying = _Trying(run, trainer, folder, mark, trial)
        trying.carry_out()
        tried, tried.results = trying.tried, [*results]
        if tried.failure is None or not is_result(tried.failure.reason):
            break
        results.append(tried.failure.reason)
    if not tried.failed:
        tried.others = time_others(run, trainer, tried.trial, sum(tried.seconds))
    return tried


def decide(run: Run, tried: Tried) -> str | None:
    """Have a run decide on what was reported, as its searcher and stopper would; what the user's own say against it.

    Args:
        run: of a search, with one slot, that has not begun.
        tried: a trial that may be another run's; nothing is decided where this run's own would report elsewhere.
    """
    run.start()
    number = min(run.trials)
    try:
        run.step(Started(number))
        for line in tried.lines:
            due = run.due()
            if due is None or due.trial != number or due.progress != line.event.progress:
                break
            run.step(replace(line.event, trial=number))
    except UserError as error:
        return str(error)
    return None


class _Trying:
    """One trial, tried."""

    def __init__(self, run: Run, trainer: Trainer, folder: Path, mark: str, trial: Trial) -> None:
        self.run, self.trainer, self.folder, self.mark, self.trial = run, trainer, folder, mark, trial
        self.before = started(mark)  # such as the guardian
        self.check = ReportCheck.of(run.setting)
        self.points = run.points_of(run.cost.of(trial.configuration))
        self.tried = Tried(trial)
        self.members = run.setting.population is not None
        self.saved: Snapshot | None = None

    def carry_out(self) -> None:
        """Fill what was seen."""
        try:
            first = self._first()
            if first is not None:
                (self._copied if self.members else self._saved)(first)
                if self.tried.failure is None and self.tried.repeated is None:
                    self._repeated(first)
        except UserError as error:
            self.tried.problem = str(error)
        finally:
            gc.collect()

    def _training(self, trainer: Trainer | None = None, known: Training | None = None) -> Training:
        return Training(trainer or self.trainer, self.trial, self.check, known)

    def _first(self) -> Training | None:
        """Train to the two points, look at what there is, and stop; None where it fails."""
        tried, training = self.tried, self._training()
        try:
            for point in self.points[:2]:
                if not self._reach(training, point):
                    return None
                if self.members and point < 1 and self.saved is None and training.session is not None:
                    self.saved = training.session.snapshot()
            if not self._sees_objective(training):
                return None
        finally:
            running = started(self.mark) - self.before
            alive = training.session is not None and tried.failure is None
            stops = alive and bool(tried.points) and tried.points[-1] < 1
            began = time.monotonic()
            said = training.closed()
            if stops:
                self._stopped(running, began, said)
        return training

    def _reach(self, training: Training, point: float) -> bool:
        """Train to a point; whether it got there."""
        tried = self.tried
        metrics = training.to(point)
        tried.memory = own_peak()
        tried.programs = max(tried.programs, peak_of(started(self.mark) - self.before))
        if metrics is None:
            tried.failure = training.failure
            return False
        assert training.line is not None
        tried.lines.append(training.line)
        tried.points.append(point)
        tried.seconds.append(training.seconds)
        if point < 1:
            tried.early = metrics
        tried.metrics, tried.test = metrics, training.line.wall.test or {}
        tried.line = len(Chain().seal(encode_line(training.line)))
        return True

    def _sees_objective(self, training: Training) -> bool:
        """Train to the end where the objective has not come and that takes seconds; whether it did not fail there."""
        tried, setting = self.tried, self.run.setting
        if setting.objective.key in tried.metrics or not counts_epochs(setting.model) or tried.points[-1] == 1:
            return True
        if tried.seconds[-1] * (len(self.points) - len(tried.points)) > TO_THE_END:
            return True
        seconds = [*tried.seconds]
        reached = self._reach(training, 1.0)
        tried.seconds, tried.ended = seconds, reached
        return reached

    def _stopped(self, running: set[int], began: float, said: list[str]) -> None:
        """Wait until no process is left of a training that was stopped."""
        tried, model = self.tried, self.run.setting.model
        if isinstance(model, CommandSpec) and model.stays and started(self.mark) & running:
            tried.faults += said
            tried.stop = "the program stays for the next trial"
            return
        grace = model.grace if isinstance(model, CommandSpec) else 0.0
        while (left := started(self.mark) & running) and time.monotonic() - began < grace + REST:
            time.sleep(0.02)
        seconds = time.monotonic() - began
        tried.faults += said
        if left:
            tried.stop = f"{_many(left)} left"
            tried.faults.append(f"asked to stop, it leaves {_many(left)} behind that went on for {seconds:.0f} s")
        elif isinstance(model, CommandSpec) and running:
            tried.stop = f"the program has ended after {seconds:.2f} s; no process is left"
            if seconds >= grace > 0:
                tried.stop = f"the program was killed after {grace:g} s (`grace`); no process is left"
                tried.faults.append(
                    f"asked to stop, the program goes on until it is killed {grace:g} s later (`grace`)"
                )
        else:
            own = f" with {_many(running)} of its own" if running else ""
            tried.stop = f"ended{own}; no process is left"

    def _again(self, training: Training, first: Training) -> str | None:
        """Train to the first point again; how that differs, or None where it fails."""
        point = self.tried.points[0]
        metrics = training.to(point)
        if metrics is None:
            self.tried.repeated = f"a repeat fails: {training.failure.reason}"
            return None
        self.tried.again = training.seconds
        return difference(first.curve[point], metrics)

    def _saved(self, first: Training) -> None:
        """Train again, save, and go on from there."""
        tried = self.tried
        # A program writes states at the ends of segments, whose length follows from this.
        states = SavingTrainer(
            self.trainer,
            self.folder,
            minutes=max(tried.seconds[-1], 1e-3) / 60,
            identity=identity_of(self.run.header.training),
        )
        training = self._training(states)
        try:
            differs = self._again(training, first)
            if differs is None:
                return
            if len(tried.points) == 1 or tried.points[0] == 1:  # there is nothing to go on to
                tried.repeated = differs
                return
            session: Any = training.session
            session.save()
            path = self.folder / f"{self.trial.repeat}-{self.trial.number}.state"
            session.rest()
            if path.is_file():
                tried.state = path.stat().st_size
                on = self._training(states, training)
                training.session = None
                try:
                    metrics = on.to(tried.points[1])
                finally:
                    training.session = on.session
                if metrics is None:
                    tried.resumed = f"it fails: {on.failure.reason}"
                    return
                self._went_on(first, metrics, differs)
        finally:
            training.close()

    def _copied(self, first: Training) -> None:
        """Train another member, have it copy the first one's state and other hyperparameters, and go on."""
        tried = self.tried
        if self.saved is None:
            return
        tried.state = self.saved.weights.nbytes + self.saved.slots.nbytes
        training = self._training()
        try:
            differs = self._again(training, first)
            if differs is None or len(tried.points) == 1:
                return
            training.origin = self.saved
            metrics = training.to(tried.points[1])
            if metrics is None:
                tried.failure = training.failure
                return
            self._went_on(first, metrics, differs)
            self._adjusted(training)
        finally:
            training.close()

    def _went_on(self, first: Training, metrics: Metrics, differs: str) -> None:
        """Compare what was reported after a state was taken over: equal digits there tell of the repeat too."""
        self.tried.resumed = difference(first.curve[self.tried.points[1]], metrics)
        if not self.tried.resumed or differs:
            self.tried.repeated = differs

    def _adjusted(self, training: Training) -> None:
        """Give a member another one's hyperparameters, as they are copied, and go on to its next point."""
        if len(self.points) < 3 or len(self.run.trials) < 2 or (session := training.session) is None:
            return
        point = self.points[2]

        def adjusted() -> Session:
            session.adjust(self.run.trials[1].configuration)
            return session

        training.line, _ = advance(adjusted, self.trial.number, point, self.check, 0, True)
        if isinstance(training.line.event, Failed) and not is_result(training.line.event.reason):
            self.tried.failure = training.failure

    def _repeated(self, first: Training) -> None:
        """Train to both points once more, from the same seed."""
        training = self._training()
        try:
            differs = self._again(training, first)
            for point in self.tried.points[1:2]:
                if differs or (metrics := training.to(point)) is None:
                    break
                differs = difference(first.curve[point], metrics)
            self.tried.repeated = self.tried.repeated if differs is None else differs
        finally:
            training.close()


def _many(processes: set[int]) -> str:
    return f"{len(processes)} process{'es' * (len(processes) != 1)}"
