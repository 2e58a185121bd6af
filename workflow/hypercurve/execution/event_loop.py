"""What all executors of independent trials have in common: taking reports in order until the run ends.

Where reports come from, and what becomes of decisions, is the part of a :class:`Source`.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..events.events import Event, Started
from ..events.lines import EventLine, Line, Wall
from ..events.networks import copied, described
from ..runs.known import KnownTrainings
from ..runs.run import Due, Run
from ..runs.trial import Trial
from ..training.recorded_curves import retrain
from ..training.trainer import Snapshot, Trainer
from ..util.provenance import origin

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


def drive(run: Run, source: Source, write: Callable[[Line], None], known: KnownTrainings | None = None) -> None:
    """Take reports until the run ends.

    Args:
        run: a run that has begun.
        source: where reports come from that are not known.
        write: takes the journal's lines; called before the line's actions are carried out.
        known: trainings that were recorded earlier: what they reported is taken, and not trained again.

    Raises:
        Hopeless: its trials fail alike.
    """
    bound = run.setting.budget.bound
    seconds = bound == "seconds"
    while run.ended is None:
        check_failures(run)
        due = source.due()
        if due is None:
            check_failures(run, over=True)
            write(run.end("finished", Wall(at=time.time())))
        elif bound in ("samples", "cost") and not run.budget_left(due):
            write(run.end(bound, Wall(at=time.time())))
        elif due.progress == 0:
            event: Event = Started(due.trial)
            write(run.step(event, Wall(worker=source.worker, at=time.time())))
            source.decided(event)
        else:
            event, wall, *_ = _known(run, due, known) or source.report(due)
            if seconds and not run.budget_left(due, wall.seconds or 0.0):
                write(run.end("seconds", Wall(at=time.time())))
                return
            write(run.step(event, wall))
            if run.repeats and known is not None:
                known.add(run.trial(due.trial), event, wall)
            source.decided(event)


def check_failures(run: Run, over: bool = False) -> None:
    """End a run whose trials all fail, by :meth:`hypercurve.runs.failures.Failures.check`; a warning is said before."""
    if run.failures.warning is not None:
        print(f"warning: {run.failures.warning}", file=sys.stderr, flush=True)
        run.failures.warning = None
    run.failures.check(over)


def _known(run: Run, due: Due, known: KnownTrainings | None) -> EventLine | None:
    """The report that is due, if it was recorded earlier."""
    found = None if known is None else known.report(run.trial(due.trial), due.progress)
    return None if found is None else EventLine(found.event, found.wall)


def must_equal(run: Run, known: KnownTrainings | None) -> bool:
    """Whether what is trained again must come out with equal bits: ours must, on the kind of processor that trained it."""
    return equal_bits(run, None if known is None else known.processors)


def equal_bits(run: Run, processors: Collection[Any] | None) -> bool:
    """The same, given the names of the processors that trained what is known; None: nothing but what this one has."""
    ours = isinstance(run.setting.model, str)
    return ours and (processors is None or set(processors) <= {origin()["processor"]})


@dataclass(frozen=True, slots=True)
class Best:
    """The best completed trial of a run or batch.

    Attributes:
        trial: the trial.
        curve: its curve, to train it again if nothing else is left.
        reported: what it reported of the test part by itself, as loops and programs may.
        snapshot: its trained network, where it is at hand.
    """

    trial: Trial
    curve: Sequence[tuple[float, Mapping[str, float]]]
    reported: Mapping[str, float] | None = None
    snapshot: Snapshot | None = None

    def finish(
        self, trainer: Trainer, known: KnownTrainings | None, folder: Path | None, equal: bool
    ) -> tuple[Mapping[str, float], Wall]:
        """Its metrics on the test part, as they were reported, else measured; and its network as a file.

        It is trained again only where neither the metrics are known nor the network is at hand.

        Args:
            trainer: measures, writes, and trains if need be.
            known: trainings that were recorded earlier.
            folder: where the network is put; None: it is not kept.
            equal: whether it must come out equal if it is trained again.

        Returns:
            The metrics, and the part of the journal's line that may differ between equal runs.
        """
        snapshot, metrics, file = self.snapshot, self.reported, None
        differs: list[float] = []
        if snapshot is None and known is not None:
            metrics, file = metrics or known.test(self.trial), known.network(self.trial)
        if snapshot is None and (metrics is None or file is None):
            snapshot = trainer.kept(self.trial)
        if metrics is None:
            if snapshot is None:
                session = retrain(trainer, self.trial, self.curve, equal=equal, differs=differs.append)
                snapshot = session.snapshot()
            metrics = trainer.test(self.trial, snapshot)
        path = None
        if folder is not None and snapshot is not None:
            path = trainer.export(self.trial, snapshot, folder)
        elif folder is not None and file is not None:
            path = copied(file, folder)
        network = None if path is None else described(path)
        return metrics, Wall(at=time.time(), network=network, differs=differs[0] if differs else None)


def finish(
    run: Run, trainer: Trainer, snapshot: Snapshot | None, known: KnownTrainings | None, folder: Path | None
) -> Line:
    """The last line of a run that has chosen a trial; the trial's network is put beside the journal."""
    assert run.best is not None
    best = Best(run.trial(run.best.number), run.best.curve, run.best_test, snapshot)
    return run.test(*best.finish(trainer, known, folder, must_equal(run, known)))
