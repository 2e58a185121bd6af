"""A trainer that plays a table of recorded curves instead of training."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping

from ..curves.table import Curve, Curves, key_of
from ..events.journal import JournalError
from ..runs.trial import Trial
from .trainer import Report, Session, Snapshot, Trainer, TrialFailed


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
        equal: whether it must come out with equal bits. Otherwise what was recorded stands.
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


class RecordedSession(Session):
    """One recorded training in play."""

    def __init__(self, curve: Curve):
        self._curve = curve

    def advance(self, progress: float) -> Report:
        """The recorded report at this point.

        Raises:
            TrialFailed: the training failed here.
        """
        curve = self._curve
        if curve.failed_by(progress):
            raise TrialFailed(curve.reason, Report(progress, {}))
        index = curve.at(progress)
        first = curve.at(self.progress) + 1 if self.progress else 0
        self.progress = progress
        return Report(progress, curve.reports[index], seconds=sum(curve.seconds[first : index + 1]))

    def snapshot(self, out: object = None) -> Snapshot:
        """Curves hold no weights."""
        del out
        return Snapshot.empty()

    def restore(self, snapshot: Snapshot) -> None:
        """Nothing to restore."""

    def adjust(self, configuration: Mapping[str, object], anchor: int | None = None) -> None:
        """Not possible: what was recorded was trained under its own configuration."""
        raise TypeError("recorded curves cannot go on under other hyperparameters")


class CurvesTrainer(Trainer):
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
        return RecordedSession(self._curves.curves[row])

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """What was recorded of the test set at the end; nothing if nothing was."""
        del snapshot
        last = self._curves.curves[self._curves.rows[key_of(trial.configuration)]].reports[-1]
        return {name: value for name, value in last.items() if name.startswith("test_")}
