"""Trainers that play recorded curves instead of training.

They turn recorded trials, whether of a table of curves or of a run's batches, into something that schedulers can be driven
with again. Both open the same kind of session.
"""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..config.model import Trained
from ..curves.table import Curve, Curves, key_of
from ..events.events import Completed, Failed, Reported, Started
from ..events.journal import JournalError
from ..events.lines import EventLine
from ..runs.trial import Trial
from ..util.provenance import origin
from .trainer import Report, Session, Snapshot, Trainer, TrialFailed


def comes_out_equal(model: Trained, recorded: Mapping[str, Any] | None) -> bool:
    """Whether a training must come out with equal bits when it is done again here.

    That is promised of built-in models on one kind of processor.

    Args:
        model: what is trained.
        recorded: `wall.origin` of the journal that holds the training; None where it does not say.
    """
    return isinstance(model, str) and recorded is not None and recorded.get("processor") == origin()["processor"]


def retrain(
    trainer: Trainer,
    trial: Trial,
    curve: Iterable[tuple[float, Mapping[str, float]]],
    *,
    equal: bool = True,
    differs: Callable[[float], None] = lambda _: None,
) -> Session:
    """A trial's session, trained from its seed to where its recorded curve ends.

    Args:
        trainer: trains it.
        trial: which trial.
        curve: (progress, metrics) of every recorded report.
        equal: whether it must come out equal: :func:`comes_out_equal`. Otherwise what was recorded stands.
        differs: told the greatest relative difference of a metric, if there is one: the difference over the larger value,
            and 2 where a metric is missing or no number. It is said on standard error, too.

    Raises:
        JournalError: it came out different and must not, so what follows would not be the run that was recorded.
    """
    session = trainer.open(trial)
    greatest = 0.0, ""
    for progress, recorded in curve:
        again = session.advance(progress).metrics
        for name, value in recorded.items():
            if again.get(name) == value:
                continue
            where = (
                f"at {progress:g} of its training: {name} was {value!r}, and training again gave {again.get(name)!r}"
            )
            if equal:
                raise JournalError(
                    f"trial {trial.number} {where} (other libraries? another kind of machine?); the run cannot go on as it "
                    "began"
                )
            greatest = max(greatest, (_difference(value, again.get(name)), where))
    if greatest[0]:
        said = f"trial {trial.number} came out different by up to {greatest[0]:.2g} {greatest[1]}; the recorded values stand"
        print(said, file=sys.stderr, flush=True)
        differs(greatest[0])
    return session


def _difference(recorded: float, again: float | None) -> float:
    """The difference of two numbers over the larger one, in [0, 2]."""
    if again is None or not math.isfinite(again):
        return 2.0
    return abs(recorded - again) / max(abs(recorded), abs(again))


class Played(Protocol):
    """One recorded trial."""

    def report(self, progress: float, before: float) -> Report:
        """What it reported at a share of its training, having been at another before.

        Raises:
            TrialFailed: it had failed by then.
        """
        ...


class RecordedSession:
    """One recorded trial in play."""

    def __init__(self, played: Played):
        self._played, self._progress = played, 0.0

    def advance(self, progress: float) -> Report:
        """The recorded report at this point.

        Raises:
            TrialFailed: the trial failed here.
        """
        report = self._played.report(progress, self._progress)
        self._progress = progress
        return report

    def snapshot(self, out: object = None) -> Snapshot:
        """Records hold no weights."""
        del out
        return Snapshot.empty()

    def restore(self, snapshot: Snapshot) -> None:
        """Nothing to restore."""

    def adjust(self, configuration: Mapping[str, object], anchor: int | None = None) -> None:
        """Not possible: what was recorded was trained under its own configuration."""
        raise TypeError("recorded curves cannot go on under other hyperparameters")


class CurvesTrainer:
    """Plays a table of curves; a trial is known by its configuration.

    At a point between two reports, the earlier one is played; before the first, the first.
    """

    def __init__(self, curves: Curves):
        self._curves = curves

    def open(self, trial: Trial) -> RecordedSession:
        """The trial's recorded curve.

        Raises:
            JournalError: this configuration was not recorded, or not to its end.
        """
        row = self._curves.rows.get(key_of(trial.configuration))
        if row is None or self._curves.curves[row].outcome == "stopped":
            raise JournalError(f"the configuration of trial {trial.number} was not recorded to its end")
        return RecordedSession(_PlayedCurve(self._curves.curves[row]))

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """What was recorded of the test set at the end; nothing if nothing was."""
        del snapshot
        last = self._curves.curves[self._curves.rows[key_of(trial.configuration)]].reports[-1]
        return {name: value for name, value in last.items() if name.startswith("test_")}

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> None:
        """Records hold no networks."""
        del trial, snapshot, folder


class _PlayedCurve(NamedTuple):
    curve: Curve

    def report(self, progress: float, before: float) -> Report:
        curve = self.curve
        if curve.failed_by(progress):
            raise TrialFailed(curve.reason, Report(progress, {}))
        index = curve.at(progress)
        first = curve.at(before) + 1 if before else 0
        return Report(progress, curve.reports[index], seconds=sum(curve.seconds[first : index + 1]))


class RecordedTrainer:
    """Plays the reports of a run's batches, wall-clock part included.

    A trial that was started twice (its job was killed in between) is played as it went the last time; both would be equal.

    Args:
        lines: what the batches' journals hold.
        live: trains what these cannot give: the chosen network, where no test values were reported with it.
        equal: whether that must come out as it was recorded; see :func:`comes_out_equal`.
    """

    def __init__(self, lines: Iterable[EventLine], live: Trainer | None = None, *, equal: bool = True):
        self._reports: dict[int, dict[float, EventLine]] = {}
        self._live, self._equal = live, equal
        self._again: tuple[int, Snapshot] | None = None
        for line in lines:
            if not isinstance(line.event, Started):
                self._reports.setdefault(line.event.trial, {})[line.event.progress] = line

    def open(self, trial: Trial) -> RecordedSession:
        """The trial's recorded reports.

        Raises:
            JournalError: the trial was not recorded.
        """
        if trial.number not in self._reports:
            raise JournalError(f"trial {trial.number} is missing from the batches")
        return RecordedSession(_PlayedLines(trial.number, self._reports[trial.number]))

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """What was measured when it was trained; failing that, train it again, from its seed: batches keep no weights."""
        del snapshot
        reports = self._reports[trial.number]
        if (reported := reports[1.0].wall.test) is not None:
            return reported
        if self._live is None:
            raise RuntimeError("batches hold no networks to test")
        lines = sorted(reports.items())
        curve = [(at, line.event.metrics) for at, line in lines if isinstance(line.event, Reported | Completed)]
        session = retrain(self._live, trial, curve, equal=self._equal)
        self._again = trial.number, session.snapshot()
        return self._live.test(trial, self._again[1])

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """The network, if it had to be trained again to be tested."""
        del snapshot
        if self._live is None or self._again is None or self._again[0] != trial.number:
            return None
        return self._live.export(trial, self._again[1], folder)


class _PlayedLines(NamedTuple):
    number: int
    lines: Mapping[float, EventLine]

    def report(self, progress: float, before: float) -> Report:
        del before
        if progress not in self.lines:
            raise JournalError(f"trial {self.number} has no recorded report at {progress}")
        event, wall, *_ = self.lines[progress]
        if isinstance(event, Failed):
            raise TrialFailed(event.reason, Report(progress, {}, wall=wall))
        return Report(progress, event.metrics if isinstance(event, Reported | Completed) else {}, wall=wall)
