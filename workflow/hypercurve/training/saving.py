"""Trials in flight that survive: a trainer around any other saves the states of its sessions while they train.

A session is saved at safe moments within its training, into one file that the next state replaces. A trial that is opened
again goes on from there to equal bits, and gives once more what it had reported. Sessions that wait, such as those of paused
trials, leave memory beyond a bound and come back when they are trained on. The files are those of
:mod:`hypercurve.training.saved_states`.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from ..runs.trial import Trial
from .saving_bounds import Bounds
from .saving_session import SavingSession
from .trainer import Snapshot, Trainer


def described(trial: Trial) -> str:
    """What a trial's training depends on, as far as the trial knows."""
    return json.dumps([trial.number, dict(trial.configuration), trial.seed, trial.repeat])


class SavingTrainer:
    """Follows :class:`hypercurve.training.trainer.Trainer`. Sessions must be closed when their trials are over.

    Args:
        trainer: trains.
        folder: where states are; made when there is one. No two processes may have the same trial open.
        minutes: after how many a state is saved whatever that costs; sooner where all saving together costs less than 2 % of
            the training and 10 ms for each trial. 0: at every safe moment; None: never.
        memory: bytes of states beyond which the sessions that were trained longest ago leave memory; None: no bound.
        identity: what a trial's training depends on: its state is used by trainings of the same identity only.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        *,
        minutes: float | None = 5.0,
        memory: int | None = 2 * 2**30,
        identity: Callable[[Trial], str] = described,
    ) -> None:
        self.trainer, self.folder, self.identity = trainer, folder, identity
        self.bounds = Bounds(minutes, memory)

    def open(self, trial: Trial) -> SavingSession:
        """A session where its saved state stands, or at the start of its training.

        Raises:
            Exception: what the trainer raises.
        """
        path = self.folder / f"{trial.repeat}-{trial.number}.state"
        return SavingSession(self.trainer, trial, path, self.identity(trial), self.bounds)

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """Metrics of a trained network on the test set, as ``test_...``."""
        return self.trainer.test(trial, snapshot)

    def interrupt(self, error: BaseException) -> None:
        """Let the next safe moment save all sessions and then raise an error. To be called by handlers of signals."""
        self.bounds.interruption = error

    def save_now(self) -> None:
        """Save all sessions that have trained since they were saved; not to be called while one is training."""
        self.bounds.save_now()

    def clear(self) -> None:
        """Delete all states: the run is over."""
        self.bounds.awake.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
