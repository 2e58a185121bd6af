"""A trainer that plays recorded curves instead of training.

It turns any recorded run, or the batches of one, into something that schedulers can be driven with again.
"""

from collections.abc import Iterable, Mapping

from ..journal import JournalError, Line
from .base import Report, Session, Snapshot, Trainer, Trial, TrialFailed


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


class RecordedTrainer:
    """Plays the reports of recorded trials.

    A trial that was started twice (its job was killed in between) is played as it went the last time; both would be equal.

    Args:
        lines: journal lines (``reported``, ``completed``, ``failed``); others are passed over.
        live: trains what the records cannot give: the chosen network, for the test set.
    """

    def __init__(self, lines: Iterable[Line], live: Trainer | None = None):
        self._reports: dict[int, dict[float, Line]] = {}
        self._live = live
        for line in lines:
            if line["event"] in ("reported", "completed", "failed"):
                progress = 1.0 if line["event"] == "completed" else float(line["progress"])
                self._reports.setdefault(line["trial"], {})[progress] = line

    def open(self, trial: Trial) -> "RecordedSession":
        """The trial's recorded reports.

        Raises:
            JournalError: the trial was not recorded.
        """
        if trial.number not in self._reports:
            raise JournalError(f"trial {trial.number} is missing from the records")
        return RecordedSession(trial.number, self._reports[trial.number])

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """Train the network again, from its seed, and test that: records hold no weights."""
        if self._live is None:
            raise RuntimeError("recorded curves hold no networks to test")
        curve = [(progress, line["metrics"]) for progress, line in sorted(self._reports[trial.number].items())]
        session = train_again(self._live, trial, curve)
        return self._live.test(trial, session.snapshot())


class RecordedSession:
    """One recorded trial."""

    def __init__(self, number: int, reports: dict[float, Line]):
        self._number = number
        self._reports = reports

    def advance(self, progress: float) -> Report:
        """The recorded report at this point.

        Raises:
            TrialFailed: the trial failed here.
            JournalError: nothing was recorded here.
        """
        if progress not in self._reports:
            raise JournalError(f"trial {self._number} has no recorded report at {progress}")
        line = self._reports[progress]
        report = Report(progress, line.get("metrics", {}), wall=line.get("wall", {}))
        if line["event"] == "failed":
            raise TrialFailed(line["reason"], report)
        return report

    def snapshot(self, out: object = None) -> Snapshot:
        """Not recorded: see :meth:`RecordedTrainer.test`."""
        del out
        return Snapshot.empty()

    def restore(self, snapshot: Snapshot) -> None:
        """Nothing to restore."""

    def adjust(self, configuration: Mapping[str, object], anchor: int | None = None) -> None:
        """Not possible: what was recorded was trained under its own configuration."""
        raise TypeError("recorded curves cannot go on under other hyperparameters")
