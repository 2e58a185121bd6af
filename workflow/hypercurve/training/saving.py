"""Trials in flight that survive: a trainer around any other saves the states of its sessions while they train.

A session is saved at safe moments within its training, into one file that the next state replaces. A trial that is opened
again goes on from there to equal bits, and gives once more what it had reported. Sessions that wait, such as those of paused
trials, leave memory beyond a bound and come back when they are trained on. The files are those of
:mod:`hypercurve.training.saved_states`.
"""

import json
import shutil
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from ..runs.trial import Trial
from .saving_session import SavingSession
from .trainer import Snapshot, Trainer

SHARE = 0.02
"""Seconds spent saving, of those trained, up to which states are saved before they must be."""
ALLOWANCE = 0.01
"""Seconds that may be spent on saving each trial besides."""
SELDOM = 5.0
"""Seconds between two such saves, once a trial's allowance is spent: many processes may share a file system."""


def described(trial: Trial) -> str:
    """What a trial's training depends on, as far as the trial knows."""
    return json.dumps([trial.number, dict(trial.configuration), trial.seed, trial.repeat])


class SavingTrainer:
    """Follows :class:`hypercurve.training.trainer.Trainer`. Sessions must be closed when their trials are over.

    Args:
        trainer: trains.
        folder: where states are; made when there is one. No two processes may have the same trial open.
        minutes: after how many a state is saved whatever it costs; earlier where saving costs little (:data:`SHARE`).
            0: at every safe moment; None: never.
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
        self.trainer, self.folder, self.minutes, self.memory, self.identity = trainer, folder, minutes, memory, identity
        self.trained = self.saving = 0.0  # seconds
        self.cost = 0.0  # seconds that the last save took
        self.trials = 0
        self.awake: OrderedDict[SavingSession, None] = OrderedDict()  # sessions in memory, trained longest ago first
        self._interruption: BaseException | None = None
        self._told: set[str] = set()

    @property
    def every(self) -> float | None:
        """After how many seconds sessions are to come to a safe moment; None: they are never asked for their state."""
        if self.minutes is None:
            return None if self.memory is None else float("inf")
        return 60 * self.minutes

    def open(self, trial: Trial) -> SavingSession:
        """A session where its saved state stands, or at the start of its training.

        Raises:
            Exception: what the trainer raises.
        """
        self.trials += 1
        return SavingSession(self, trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """Metrics of a trained network on the test set, as ``test_...``."""
        return self.trainer.test(trial, snapshot)

    def interrupt(self, error: BaseException) -> None:
        """Let the next safe moment save all sessions and then raise an error. To be called by handlers of signals."""
        self._interruption = error

    def save_now(self) -> None:
        """Save all sessions that have trained since they were saved, as far as they can be saved as they are."""
        for session in reversed(list(self.awake)):
            session.save()

    def clear(self) -> None:
        """Delete all states: the run is over."""
        self.awake.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def allows(self, waited: float, spent: float) -> bool:
        """Whether a state is to be saved.

        Args:
            waited: seconds since that was last done.
            spent: seconds that saving this trial has taken so far.
        """
        if self.minutes is None:
            return False
        every = 60 * self.minutes
        if waited >= every or spent + self.cost <= ALLOWANCE:
            return True
        allowed = SHARE * self.trained + ALLOWANCE * self.trials
        return waited >= min(SELDOM, every / 2) and self.saving + self.cost <= allowed

    def check(self) -> None:
        """Save and raise, if that was asked for."""
        if self._interruption is not None:
            self.save_now()
            raise self._interruption

    def make_room(self, using: SavingSession, more: int = 0) -> None:
        """Let sessions leave memory until the bound is kept.

        Args:
            using: stays, and counts as trained last.
            more: bytes that are about to be needed.
        """
        if using in self.awake:
            self.awake.move_to_end(using)
        if self.memory is None:
            return
        total = more + sum(session.size for session in self.awake)
        for session in list(self.awake):
            if total <= self.memory:
                return
            if session is not using and session.park():
                total -= session.size

    def warn(self, about: str, text: str) -> None:
        """Tell the user something, once for everything that it is about."""
        if about not in self._told:
            self._told.add(about)
            print(f"warning: {text}", file=sys.stderr, flush=True)
