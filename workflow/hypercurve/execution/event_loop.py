"""What all executors of independent trials have in common: taking reports in order until the run ends.

Where reports come from, and what becomes of decisions, is the part of a :class:`Source`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..events.events import Event, Started
from ..events.journal import Line
from ..runs.known import Curve, KnownTrainings
from ..runs.run import Due, Run
from ..runs.trial import Trial
from ..training.recorded_curves import train_again
from ..training.trainer import Session, Snapshot, Trainer
from .advance import Wall

Watch = Callable[[Run], None]


class Source(Protocol):
    """Where reports come from."""

    worker: int

    def due(self) -> Due | None:
        """The report to take next; None: no trial is going."""
        ...

    def report(self, due: Due) -> tuple[Event, Wall]:
        """That report, waited for or trained for."""
        ...

    def decided(self, event: Event) -> None:
        """An event has been taken and decided on: carry out the run's actions."""
        ...


def drive(run: Run, source: Source, write: Callable[[Line], None], known: KnownTrainings | None = None) -> None:
    """Take reports until the run ends.

    Args:
        run: a run that has begun.
        source: where reports come from that are not known.
        write: takes the journal's lines; called before the line's actions are carried out.
        known: trainings that were recorded earlier: what they reported is taken, and not trained again.
    """
    bound = run.setting.budget.bound
    seconds = bound == "seconds"
    while run.ended is None:
        due = source.due()
        if due is None:
            write(run.end("finished", {"at": time.time()}))
        elif bound in ("samples", "cost") and not run.budget_left(due):
            write(run.end(bound, {"at": time.time()}))
        elif due.progress == 0:
            event: Event = Started(due.trial)
            write(run.step(event, {"worker": source.worker, "at": time.time()}))
            source.decided(event)
        else:
            event, wall = _known(run, due, known) or source.report(due)
            if seconds and not run.budget_left(due, wall["seconds"]):
                write(run.end("seconds", {"at": time.time()}))
                return
            write(run.step(event, wall))
            source.decided(event)


def _known(run: Run, due: Due, known: KnownTrainings | None) -> tuple[Event, Wall] | None:
    """The report that is due, if it was recorded earlier."""
    found = None if known is None else known.report(run.trial(due.trial), due.progress)
    return None if found is None else (found.event, dict(found.wall))


def retraced(run: Run, trainer: Trainer, number: int) -> Session:
    """A trial's session, trained again from its seed to where its recorded curve ends.

    Raises:
        JournalError: it came out different, so what follows would not be the run that was begun.
    """
    return train_again(trainer, run.trial(number), run.trials[number].curve)


@dataclass(frozen=True, slots=True)
class Best:
    """The best completed trial, and what its test metrics come from.

    Attributes:
        trial: the trial.
        curve: its curve, to train it again if nothing else is left.
        reported: what it reported of the test part by itself, as loops and programs may.
        snapshot: its trained network, where it is at hand.
    """

    trial: Trial
    curve: Curve
    reported: Mapping[str, float] | None = None
    snapshot: Snapshot | None = None

    def test(self, trainer: Trainer, known: KnownTrainings | None) -> Mapping[str, float]:
        """Its metrics on the test part: as they were reported, else measured; trained again only where nothing is left."""
        if self.reported is not None:
            return self.reported
        if self.snapshot is None and known is not None and (found := known.test(self.trial)) is not None:
            return found
        return trainer.test(self.trial, self.snapshot or train_again(trainer, self.trial, self.curve).snapshot())


def best_of(run: Run, snapshot: Snapshot | None = None) -> Best:
    """The chosen trial of a run that has one, with its network where it is at hand."""
    assert run.best is not None
    return Best(run.trial(run.best.number), run.best.curve, run.best_test, snapshot)
