"""A trainer that plays a table of recorded curves instead of training."""

from collections.abc import Iterable, Mapping

from ..curves.table import Curve, Curves, key_of
from ..events.journal import JournalError
from ..runs.trial import Trial
from .trainer import Report, Session, Snapshot, Trainer, TrialFailed


def train_again(trainer: Trainer, trial: Trial, curve: Iterable[tuple[float, Mapping[str, float]]]) -> Session:
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
        return RecordedSession(self._curves.curves[row])

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """What was recorded of the test set at the end; nothing if nothing was."""
        del snapshot
        last = self._curves.curves[self._curves.rows[key_of(trial.configuration)]].reports[-1]
        return {name: value for name, value in last.items() if name.startswith("test_")}
