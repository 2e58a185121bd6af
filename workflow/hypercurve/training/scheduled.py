"""Trials that are trained under a given schedule, from scratch, and tested at their ends.

The schedule is played by adjusting a session at the recorded steps, which is what a population does to its members: so a
member that never copied and its retraining from the same seed are the same training, bit for bit.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..config.segments import Segment
from ..curves.cost import step_at
from ..runs.trial import Trial
from ..space.search_space import Value
from .trainer import Report, Session, Snapshot, Trainer


class ScheduledTrainer(Trainer):
    """Trains every trial under one schedule; see :class:`hypercurve.training.trainer.Trainer`.

    Args:
        trainer: what trains.
        segments: the schedule; not empty. A trial's own configuration is not asked for.
        total: optimizer steps of the whole training.
    """

    def __init__(self, trainer: Trainer, segments: Sequence[Segment], total: int) -> None:
        self.trainer, self.segments, self.total = trainer, segments, total

    def open(self, trial: Trial) -> "ScheduledSession":
        """A session at the start of its training."""
        return ScheduledSession(self, replace(trial, configuration=self.segments[0].configuration))

    def test(self, trial: Trial, snapshot: Snapshot) -> Mapping[str, float]:
        """Metrics of a trained network on the test set, as ``test_...``."""
        return self.trainer.test(trial, snapshot)

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """The trained network as a file; its hyperparameters are those at its end."""
        return self.trainer.export(replace(trial, configuration=self.segments[-1].configuration), snapshot, folder)


class ScheduledSession(Session):
    """One trial in training; see :class:`hypercurve.training.trainer.Session`."""

    def __init__(self, trainer: ScheduledTrainer, trial: Trial) -> None:
        self._trainer, self._trial = trainer, trial
        self._session: Session = trainer.trainer.open(trial)
        self._step, self._next = 0, 1  # the next segment

    def advance(self, progress: float) -> Report:
        """Train up to a share of the training and report.

        Returns:
            What the session reports there; at the end with ``test_...`` beside it, unless the training has diverged.
        """
        target = step_at(progress, self._trainer.total)
        seconds = overhead = 0.0
        for segment in self._trainer.segments[self._next :]:
            if segment.step >= target:
                break
            if segment.step > self._step:
                passed = self._session.advance(segment.step / self._trainer.total)
                seconds, overhead = seconds + passed.seconds, overhead + passed.overhead
            self._session.adjust(segment.configuration, segment.step)
            self._step, self._next = segment.step, self._next + 1
        report = self._session.advance(progress)
        self._step, self.progress = target, progress
        metrics = dict(report.metrics)
        if progress == 1 and math.isfinite(metrics["loss"]):
            metrics |= self._trainer.test(self._trial, self._session.snapshot())
        return replace(report, metrics=metrics, seconds=seconds + report.seconds, overhead=overhead + report.overhead)

    def snapshot(self, out: npt.NDArray[np.float32] | None = None) -> Snapshot:
        """The state now."""
        return self._session.snapshot(out)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, under the schedule's part from there."""
        self._session.restore(snapshot)
        self._step, self.progress = snapshot.step, snapshot.progress
        segments = self._trainer.segments
        # A segment that begins at this very step is not in force yet: that follows when training goes on.
        self._next = max(1, bisect_right(segments, snapshot.step - 1, key=lambda segment: segment.step))
        now = segments[self._next - 1]
        self._session.adjust(now.configuration, now.step)

    def adjust(self, configuration: Mapping[str, Value], anchor: int | None = None) -> None:
        """Not possible: the schedule says what holds when.

        Raises:
            ValueError: always.
        """
        raise ValueError("a training under a given schedule takes no other hyperparameters")

    def can_save(self) -> bool:
        """Whether the session under the schedule can."""
        return self._session.can_save()

    def watch(self, every: float | None, between: Callable[[float], None]) -> None:
        """Safe moments are those of the session under the schedule."""
        self._session.watch(every, between)

    def close(self) -> None:
        """The trial is over."""
        self._session.close()
