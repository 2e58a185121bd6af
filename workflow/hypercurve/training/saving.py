"""Trials in flight that survive: a trainer around any other saves the states of its sessions while they train.

A session is saved at safe moments within its training, into one file that the next state replaces. A trial that is opened
again goes on from there to equal bits, and gives once more what it had reported. Sessions that wait, such as those of paused
trials, leave memory beyond a bound and come back when they are trained on. The files are those of
:mod:`hypercurve.training.saved_states`.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ..runs.trial import Trial
from ..util.errors import UserError
from .saved_states import SavedState, read_state, write_state
from .saving_bounds import Bounds
from .saving_session import SavingSession
from .trainer import Snapshot, Trainer

MOST = 10
"""Of how many of its best trials a run keeps the networks."""
MOST_BYTES = 2**30
"""Bytes that these may have together; the network of the best trial is kept in any case."""
BEST = "best-"
"""How the files of these begin."""


def described(trial: Trial) -> str:
    """What a trial's training depends on, as far as the trial knows."""
    return json.dumps([trial.number, dict(trial.configuration), trial.seed, trial.repeat])


def identity_of(training: str | None) -> Callable[[Trial], str]:
    """What tells the trials of one kind of training from all others: see :mod:`hypercurve.config.identity`."""
    return lambda trial: f"{training} {described(trial)}"


class SavingTrainer(Trainer):
    """A trainer around any other. Sessions must be closed when their trials are over.

    Args:
        trainer: trains.
        folder: where states are; made when there is one. No two processes may have the same trial open.
        minutes: after how many a state is saved whatever that costs; sooner where all saving together costs less than 2 % of
            the training and 10 ms for each trial. 0: at every safe moment; None: never.
        memory: bytes of states beyond which the sessions that were trained longest ago leave memory; None: no bound.
        identity: what a trial's training depends on: its state is used by trainings of the same identity only.
        ask: called at safe moments: raises where the run is asked to end, and all states are saved before that.
        runs: the folder of an experiment's runs, where other methods may have kept the network of a trial; None: not used.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        *,
        minutes: float | None = 5.0,
        memory: int | None = 2 * 2**30,
        identity: Callable[[Trial], str] = described,
        ask: Callable[[], None] = lambda: None,
        runs: Path | None = None,
    ) -> None:
        self.trainer, self.folder, self.identity = trainer, folder, identity
        self.runs, self.most = runs, MOST
        self.bounds = Bounds(minutes, memory, ask)

    def open(self, trial: Trial) -> SavingSession:
        """A session where its saved state stands, or at the start of its training.

        Raises:
            Exception: what the trainer raises.
        """
        return SavingSession(self.trainer, trial, self._path(trial), self.identity(trial), self.bounds)

    def forget(self, trial: Trial) -> None:
        """Delete what was saved of a trial that is over and has no session here."""
        self._path(trial).unlink(missing_ok=True)

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """Metrics of a trained network on the test set, as ``test_...``."""
        return self.trainer.test(trial, snapshot)

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """See :meth:`hypercurve.training.trainer.Trainer.export`."""
        return self.trainer.export(trial, snapshot, folder)

    def keep(self, trial: Trial, snapshot: Callable[[], Snapshot], loss: float) -> None:
        """Keep a complete trial's network, if it is among the best so far, in place of the worst of these.

        They stay when the run is over: another method, or a longer search, may choose another trial than this run does.
        """
        path = self.folder / f"{self._best(trial)}{float(loss)!r}.state"
        before = sorted(self.folder.glob(f"{BEST}*.state"), key=_loss)
        if self.bounds.minutes is None or (len(before) >= self.most and _loss(before[self.most - 1]) <= loss):
            return
        try:
            write_state(path, SavedState(self.identity(trial), snapshot(), 1.0, 0.0, ()))
        except UserError as error:  # a full disk, say: the run does not depend on it
            self.bounds.warn("keep", f"the best network so far cannot be kept over the end of this process: {error}")
            return
        self.most = min(self.most, max(1, MOST_BYTES // path.stat().st_size))
        for other in sorted({*before, path}, key=_loss)[self.most :]:
            other.unlink(missing_ok=True)  # another process of this run may have been faster

    def kept(self, trial: Trial) -> Snapshot | None:
        """The network of a trial, if this or an earlier process has kept it, for this run or for another method."""
        name = f"{self._best(trial)}*.state"
        others = () if self.runs is None else sorted(self.runs.glob(f"*/{trial.repeat}/**/{name}"))
        states = (read_state(path, self.identity(trial), None) for path in (*self.folder.glob(name), *others))
        return next((state.snapshot for state in states if state is not None), None)

    def _path(self, trial: Trial) -> Path:
        return self.folder / f"{trial.repeat}-{trial.number}.state"

    def _best(self, trial: Trial) -> str:
        """How the name of the file of its network begins; its objective follows."""
        return f"{BEST}{trial.repeat}-{trial.number}_"

    @property
    def training(self) -> bool:
        """Whether a session is being trained at this moment."""
        return self.bounds.training

    def save_now(self) -> None:
        """Save all sessions that have trained since they were saved; not to be called while one is training."""
        self.bounds.save_now()

    def clear(self) -> None:
        """Delete the states of trials in flight: the run is over. Networks of the best trials stay."""
        self.bounds.awake.clear()
        for path in self.folder.glob("*"):
            if not path.name.startswith(BEST):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # it is not there, or not empty
            self.folder.rmdir()


def _loss(path: Path) -> float:
    """The objective of a kept network, of which less is better, as its file's name says."""
    return float(path.stem.rpartition("_")[2])
