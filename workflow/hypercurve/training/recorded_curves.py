"""Trainers that play recorded curves instead of training.

They turn recorded trials, whether of a table of curves or of a run's batches, into something that schedulers can be driven
with again. Both open the same kind of session.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from ..curves.table import Curve, Curves, key_of
from ..events.events import Completed, Failed, Reported, Started
from ..events.journal import JournalError
from ..events.lines import EventLine
from ..runs.trial import Trial
from .trainer import Report, Session, Snapshot, Trainer, TrialFailed


def retrain(trainer: Trainer, trial: Trial, curve: Iterable[tuple[float, Mapping[str, float]]]) -> Session:
    """A trial's session, trained from its seed to where its recorded curve ends.

    Raises:
        JournalError: it came out different, so what follows would not be the run that was recorded.
    """
    session = trainer.open(trial)
    for progress, recorded in curve:
        again = session.advance(progress).metrics
        for name, value in recorded.items():
            if again.get(name) != value:
                raise JournalError(
                    f"trial {trial.number} at {progress:g} of its training: {name} was {value!r}, and training again gave "
                    f"{again.get(name)!r} (other libraries? another kind of machine?); the run cannot go on as it began"
                )
    return session


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
        live: trains what these cannot give: the chosen network, for the test set.
    """

    def __init__(self, lines: Iterable[EventLine], live: Trainer | None = None):
        self._reports: dict[int, dict[float, EventLine]] = {}
        self._live = live
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
        """Train the network again, from its seed, and test that: batches keep no weights."""
        if self._live is None:
            raise RuntimeError("batches hold no networks to test")
        reports = sorted(self._reports[trial.number].items())
        curve = [(at, line.event.metrics) for at, line in reports if isinstance(line.event, Reported | Completed)]
        session = retrain(self._live, trial, curve)
        return self._live.test(trial, session.snapshot())


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
