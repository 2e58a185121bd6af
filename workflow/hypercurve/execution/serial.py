"""The serial executor: one process carries out a run in virtual-time order.

With a trainer that trains, this is a search; with one that plays recorded curves
(:mod:`hypercurve.training.recorded_curves`), it is a replay. Trials that are going at once (``slots``), and
those that are paused, are open sessions that take turns.
"""

import time

from ..events.events import Completed, Event, Failed, Stop
from ..events.journal import Journal
from ..events.lines import EventLine, Wall
from ..runs.known import KnownTrainings
from ..runs.run import Due, Run
from ..training.recorded_curves import follow, retrain
from ..training.trainer import Session, Snapshot, Trainer
from ..util.provenance import origin
from .advance import ReportCheck, advance
from .event_loop import Watch, drive, finish, must_equal


def execute(
    run: Run,
    trainer: Trainer,
    journal: Journal | None,
    *,
    known: KnownTrainings | None = None,
    worker: int = 0,
    watch: Watch = lambda _: None,
) -> None:
    """Carry a run to its end, going on from whatever its journal already holds.

    Args:
        run: a new run; the journal's lines are folded into it first.
        trainer: trains the trials.
        journal: where every event is written before its actions take effect; None for a run that nobody goes back to.
        known: trainings that were recorded earlier, and are not done again.
        worker: number of this worker, for the journal's ``wall``.
        watch: called after every event, for progress displays.
    """
    write = (lambda _: None) if journal is None else journal.append
    if journal is None:
        run.start()
    else:
        run.fold(journal.lines, str(journal.path))
        if not journal.lines:
            journal.append(run.start(Wall(at=time.time(), origin=origin())))
    sessions = Sessions(run, trainer, worker, watch, must_equal(run, known))
    drive(run, sessions, write, known)
    if run.best is not None and run.tested is None:
        best = sessions.best if sessions.best_trial == run.best.number else None
        write(finish(run, trainer, best, known, None if journal is None else journal.path.parent))
    watch(run)


class Sessions:
    """The open sessions of a run."""

    def __init__(self, run: Run, trainer: Trainer, worker: int, watch: Watch, equal: bool):
        self.worker = worker
        self.best_trial: int | None = None
        self.best: Snapshot | None = None
        self._run, self._trainer, self._watch, self._equal = run, trainer, watch, equal
        self._check = ReportCheck.of(run.setting)
        self._open: dict[int, Session] = {}

    def due(self) -> Due | None:
        """The report to take next."""
        return self._run.due()

    def report(self, due: Due) -> EventLine:
        """Train for it."""
        told = self._check.told(self._run.trials[due.trial].curve)
        line, _ = advance(lambda: self._session(due.trial), due.trial, due.progress, self._check, self.worker, told)
        return line

    def decided(self, event: Event) -> None:
        """Keep the best network, and drop sessions that are over; those of paused trials stay open."""
        run, number = self._run, event.trial
        if isinstance(event, Completed):
            session = self._open.get(number)  # none, or one on its way, where the end was known
            trained = session is not None and session.progress == 1
            if session is not None and trained:
                self._trainer.keep(run.trial(number), session.snapshot, run.setting.objective.loss(event.metrics))
            if run.best is not None and run.best.number == number:
                self.best_trial, self.best = number, session.snapshot() if session is not None and trained else None
        over = [number] if isinstance(event, Completed | Failed) else []
        for number in over + [action.trial for action in run.actions if isinstance(action, Stop)]:
            if (session := self._open.pop(number, None)) is not None:
                session.close()
        self._watch(run)

    def _session(self, number: int) -> Session:
        """The trial's session, trained to where its journal stands: it may go on after a resume, or after known reports."""
        trial, curve = self._run.trial(number), self._run.trials[number].curve
        session = self._open.get(number)
        if session is None:
            session = self._open[number] = retrain(self._trainer, trial, curve, equal=self._equal)
        elif curve and curve[-1][0] > session.progress:
            follow(session, trial, [point for point in curve if point[0] > session.progress], equal=self._equal)
        return session
