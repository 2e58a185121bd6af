"""A bound on what a training costs, which is known before it begins."""

from collections.abc import Mapping
from pathlib import Path

from ..config.objective import COST, Bound
from ..curves.cost import Costs
from ..runs.trial import Trial
from .trainer import Session, Snapshot, Trainer, TrialFailed


class Bounded(Trainer):
    """Opens no session for a trial whose whole training costs more, or less, than is allowed.

    Args:
        trainer: opens all others.
        costs: says what they cost, in virtual seconds.
        bound: on that.
    """

    def __init__(self, trainer: Trainer, costs: Costs, bound: Bound):
        self.trainer, self._costs, self._bound = trainer, costs, bound

    def open(self, trial: Trial) -> Session:
        """A session at the start of its training.

        Raises:
            TrialFailed: its cost is not allowed.
        """
        if reason := self._bound.broken(COST, self._costs.of(trial.configuration).seconds(1.0)):
            raise TrialFailed(reason)
        return self.trainer.open(trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """Metrics on the test set."""
        return self.trainer.test(trial, snapshot)

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """The trained network as a file."""
        return self.trainer.export(trial, snapshot, folder)
