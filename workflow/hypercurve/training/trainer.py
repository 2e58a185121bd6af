"""What every trainer offers to the executors: trials that are trained in pieces.

A *trainer* opens *sessions*; a session is one trial in training. Executors ask a session to go on up to a share of its
training and get the metrics there. A session's metrics depend on its configuration and seed alone, never on how the
training was cut into pieces or on which other sessions live in the process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..events.lines import Wall
from ..runs.trial import Trial
from ..space.search_space import Value

ALIGNMENT = 64
"""Bytes to which TensorFlow wants data aligned that it takes without a copy."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session's whole state; restoring it continues as if the training had never stopped, bit for bit.

    Attributes:
        progress: share of the training done, in [0, 1].
        step: optimizer steps done.
        weights: every variable of the network, trainable ones first, flattened to one float32 vector.
        slots: the optimizer's slot variables, flattened to one float32 vector.
    """

    progress: float
    step: int
    weights: npt.NDArray[np.float32]
    slots: npt.NDArray[np.float32]

    @classmethod
    def empty(cls) -> "Snapshot":
        """A snapshot of nothing, from trainers without weights."""
        return cls(0.0, 0, np.empty(0, np.float32), np.empty(0, np.float32))


@dataclass(frozen=True, slots=True)
class Report:
    """What a trial says at a point of its training.

    Attributes:
        progress: share of the training done, in (0, 1].
        metrics: ``loss`` (mean training loss since the last point) and, where validation was asked for, ``val_...``.
            May hold NaN or infinity: judging that is the executor's part.
        seconds: wall-clock seconds of training and evaluation since the last point, compilation excluded.
        overhead: wall-clock seconds of compilation and initialisation since the last point.
        compiler: who ran a network, where the compiler that it was meant for refused it: ``graph`` or ``eager``.
        wall: the whole wall-clock part of a report that was recorded earlier; None for one made now.
        test: what the model itself has measured on the test part, as ``test_...``; None where :meth:`Trainer.test` does.
    """

    progress: float
    metrics: Mapping[str, float]
    seconds: float = 0.0
    overhead: float = 0.0
    compiler: str = ""
    wall: Wall | None = None
    test: Mapping[str, float] | None = None


class TrialFailed(Exception):
    """Raised by a session that knows why its trial failed; any other exception fails the trial as well.

    Args:
        reason: why, in a line.
        report: what is known of the failing stretch of training.
        said: what the user's code said of it, such as the end of what a program wrote to standard error.
    """

    def __init__(self, reason: str, report: Report | None = None, said: str | None = None):
        super().__init__(reason)
        self.reason = reason
        self.report = report
        self.said = said


def aligned(rows: int, size: int) -> npt.NDArray[np.float32]:
    """Memory for snapshots' vectors, from which large arrays become tensors without a copy; shape (rows, size)."""
    room = np.empty(rows * size + ALIGNMENT // 4, np.float32)
    start = -room.ctypes.data % ALIGNMENT // 4
    return room[start : start + rows * size].reshape(rows, size)


class Session(Protocol):
    """One trial in training. What follows :meth:`adjust` has a body that fits a session which cannot save its state.

    Attributes:
        progress: the share of its training that it reported last; 0 at the start.
    """

    progress: float = 0.0

    def advance(self, progress: float) -> Report:
        """Train up to a share of the training in (0, 1] and report."""
        ...

    def snapshot(self, out: npt.NDArray[np.float32] | None = None) -> Snapshot:
        """The state now.

        Args:
            out: a vector as long as weights and slots together, to write them into, one after the other; the snapshot
                then holds views of it. By default, memory of the snapshot's own.
        """
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, of this or of another session with the same structure; own hyperparameters stay.

        Its arrays are copied: they may change as soon as this returns. A member of a population that copies another keeps
        its own place in the training: it restores the other's weights and slots under its own `progress` and `step`.
        """
        ...

    def adjust(self, configuration: Mapping[str, Value], anchor: int | None = None) -> None:
        """Go on with other numeric hyperparameters.

        Args:
            configuration: the whole new configuration.
            anchor: the step from which it holds, for schedules; the next step if not given.
        """
        ...

    def sizes(self) -> tuple[int, int]:
        """Lengths of weights and slots that this session's snapshots may come to, after its first report."""
        snapshot = self.snapshot()
        return len(snapshot.weights), len(snapshot.slots)

    def agree(self, weights: int) -> None:
        """Members of a population have room for so many weights from now on; a session that needs more must fail."""
        return

    def can_save(self) -> bool:
        """Whether a snapshot taken now holds all that another session of this trial needs to go on."""
        return False

    def watch(self, every: float | None, between: Callable[[float], None]) -> None:
        """Be asked for snapshots within :meth:`advance` too; called before it is first trained.

        Args:
            every: after how many seconds of training a safe moment is wished for; None: snapshots are not asked for.
            between: to be called at safe moments, with the share of the training that is done. It may take a snapshot, and
                may raise to end the training.
        """
        return

    def rest(self) -> None:
        """The training is over, but its last report is not recorded yet: leave memory; what was saved stays."""
        self.close()

    def close(self) -> None:
        """The trial is over, and all that was kept of it but its reports may go."""
        return


class Trainer(Protocol):
    """Opens sessions. What follows :meth:`test` has a body that fits a trainer without networks to keep."""

    def open(self, trial: Trial) -> Session:
        """A session at the start of its training.

        Raises:
            Exception: whatever the user's model raises; the trial is then recorded as failed.
        """
        ...

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """Metrics of a trained network on the test set, as ``test_...``."""
        ...

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """Write a trained network to a file that can be used without us; see :mod:`hypercurve.events.networks`.

        Args:
            trial: whose it is; of a population's member with the configuration at its end.
            snapshot: its state at the end.
            folder: where the file appears by rename, in place of one that is there.

        Returns:
            The file; None where there is nothing to write. Why something cannot be written is said on standard error.

        Raises:
            UserError: the folder cannot be written.
        """
        return None

    def keep(self, trial: Trial, snapshot: Callable[[], Snapshot], loss: float) -> None:
        """Keep a complete trial's network over the end of this process, if it is among the best.

        Args:
            trial: the trial.
            snapshot: gives its state at the end.
            loss: its objective, negative where more is better.
        """
        return

    def kept(self, trial: Trial) -> Snapshot | None:
        """The network of a trial, if it was kept by this run or another one of the experiment."""
        return None


class LazyTrainer(Trainer):
    """A trainer that is made when something must be trained: making one may import TensorFlow.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], "Trainer"]):
        self._make = cache(make)

    def open(self, trial: Trial) -> Session:
        """A session of the trainer that is made now, if it was not before."""
        return self._make().open(trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """Likewise."""
        return self._make().test(trial, snapshot)

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """Likewise."""
        return self._make().export(trial, snapshot, folder)
