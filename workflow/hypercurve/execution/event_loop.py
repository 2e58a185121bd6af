"""What all executors of independent trials have in common: taking reports in order until the run ends.

Where reports come from, and what becomes of decisions, is the part of a :class:`Source`.
"""

import time
from collections.abc import Callable
from typing import Protocol

from ..events.events import Event, Started
from ..events.lines import EventLine, Line, Wall
from ..runs.run import Due, Run
from ..training.recorded_curves import retrain
from ..training.trainer import Session, Snapshot, Trainer

Watch = Callable[[Run], None]


class Source(Protocol):
    """Where reports come from."""

    worker: int

    def due(self) -> Due | None:
        """The report to take next; None: no trial is going."""
        ...

    def report(self, due: Due) -> EventLine:
        """That report, waited for or trained for."""
        ...

    def decided(self, event: Event) -> None:
        """An event has been taken and decided on: carry out the run's actions."""
        ...


def drive(run: Run, source: Source, write: Callable[[Line], None]) -> None:
    """Take reports until the run ends.

    Args:
        run: a run that has begun.
        source: where its reports come from.
        write: takes the journal's lines; called before the line's actions are carried out.
    """
    bound = run.setting.budget.bound
    seconds = bound == "seconds"
    while run.ended is None:
        due = source.due()
        if due is None:
            write(run.end("finished", Wall(at=time.time())))
        elif bound in ("samples", "cost") and not run.budget_left(due):
            write(run.end(bound, Wall(at=time.time())))
        elif due.progress == 0:
            event: Event = Started(due.trial)
            write(run.step(event, Wall(worker=source.worker, at=time.time())))
            source.decided(event)
        else:
            event, wall, *_ = source.report(due)
            if seconds and not run.budget_left(due, wall.seconds or 0.0):
                write(run.end("seconds", Wall(at=time.time())))
                return
            write(run.step(event, wall))
            source.decided(event)


def reopened(run: Run, trainer: Trainer, number: int) -> Session:
    """A trial's session, trained again from its seed to where its recorded curve ends.

    Raises:
        JournalError: it came out different, so what follows would not be the run that was begun.
    """
    return retrain(trainer, run.trial(number), run.trials[number].curve)


def retrained_best(run: Run, trainer: Trainer) -> Snapshot:
    """The chosen trial's network, trained from its seed: it was chosen before the last resume."""
    assert run.best is not None
    return reopened(run, trainer, run.best.number).snapshot()
