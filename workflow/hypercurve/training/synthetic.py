"""The built-in model `synthetic`: learning curves from a formula, microseconds each, without TensorFlow or data.

For trying methods and for testing the machinery around them; its numbers say nothing about any network. A training's loss
falls as a power law towards a floor. Both depend smoothly on the configuration, with a best learning rate that momentum
and batch size shift, so that searches have something to find and early losses foretell late ones, not perfectly. Some
configurations diverge, and a few raise, as real ones do. What executors need is left to :mod:`hypercurve.training.trainer`.
"""

from collections.abc import Mapping
from math import log, log10
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..config.hyperparameters import resolve
from ..curves.cost import step_at, total_steps
from ..runs.trial import Trial
from ..util.seeding import generator
from .trainer import Report, Session, Snapshot, Trainer

SAMPLES = 50_000
"""Examples in the training part that is pretended."""

CLASSES = 10
WEIGHTS, SLOTS = 1, 8
"""Lengths of a snapshot's vectors."""
_RAISES = 0.02  # share of trials that raise when opened


class SyntheticTrainer(Trainer):
    """Follows :class:`hypercurve.training.trainer.Trainer`.

    Args:
        points: not used, since a loss here is that of a moment; taken so that trainers are made alike.
        evaluate: whether validation is reported at the end only, or always.
        failures: whether some trials diverge and some raise.
    """

    def __init__(
        self, *, points: tuple[float, ...] = (), evaluate: Literal["end", "points"] = "points", failures: bool = True
    ) -> None:
        self.points, self.evaluate, self.failures = points, evaluate, failures

    def open(self, trial: Trial) -> "SyntheticSession":
        """A session at the start of its training.

        Raises:
            RuntimeError: in two trials of a hundred, as a user's model might.
        """
        return SyntheticSession(self, trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> dict[str, float]:
        """`test_loss` and `test_accuracy`."""
        loss = float(snapshot.weights[0]) * _noise(trial, "test", 0, 0.01)
        return {"test_loss": loss, "test_accuracy": _accuracy(loss)}


def _noise(trial: Trial, purpose: str, step: int, size: float) -> float:
    draw = generator(trial.seed, trial.repeat, f"synthetic {purpose}", trial.draws, step)
    return float(np.exp(size * draw.standard_normal()))


def _accuracy(loss: float) -> float:
    """The accuracy of a classifier that is right with the probability that its loss tells of."""
    return float(max(1 / CLASSES, np.exp(-loss)))


class SyntheticSession(Session):
    """Follows :class:`hypercurve.training.trainer.Session`; it is not saved, since it takes microseconds."""

    def __init__(self, trainer: SyntheticTrainer, trial: Trial) -> None:
        self.trainer, self.trial = trainer, trial
        self.hyperparameters: dict[str, Any] = resolve("synthetic", trial.configuration)
        if trainer.failures and generator(trial.seed, trial.repeat, "synthetic raises", trial.draws).random() < _RAISES:
            raise RuntimeError(f"the synthetic model of trial {trial.number} raises, as it is meant to")
        self.total = total_steps(self.hyperparameters["epochs"], SAMPLES, self.hyperparameters["batch_size"])
        self.progress, self.step = 0.0, 0
        self.loss = log(CLASSES)
        # Hyperparameters hold since this step, where so much of the initial loss was left; `anchor` is what others call it.
        self.since, self.excess, self.anchor = 0, 1.0, 0

    @property
    def _rate(self) -> float:
        """Learning rate per example with momentum's amplification: what sets the pace of gradient descent."""
        h = self.hyperparameters
        return float(h["learning_rate"]) / max(1 - float(h["momentum"]), 1e-3) * 32 / float(h["batch_size"])

    def _loss_at(self, step: int) -> float:
        rate = self._rate
        if self.trainer.failures and rate > 20 and step * 32 > SAMPLES * 20 / rate:
            return float("nan")
        misfit = (log10(max(rate, 1e-9)) + 1) ** 2  # best at a rate of 0.1
        floor = 0.07 + 0.05 * misfit
        return min(floor, 2.0) + log(CLASSES) * self._excess_at(step, 0.9 / (1 + misfit))

    def _excess_at(self, step: int, speed: float) -> float:
        batch_size = int(self.hyperparameters["batch_size"])
        before, now = 1.0 + self.since * batch_size / 500.0, 1.0 + step * batch_size / 500.0
        return self.excess * float((now / before) ** -speed)

    def _step_at(self, progress: float) -> int:
        return step_at(progress, self.total)

    def advance(self, progress: float) -> Report:
        """Go to a share of the training and report; nothing on the way is computed.

        Raises:
            ValueError: `progress` is not in (0, 1], or lies before what is done.
        """
        if not 0 < progress <= 1 or progress < self.progress:
            raise ValueError(f"cannot train from {self.progress} to {progress} of a training")
        self.progress, self.step = progress, max(self.step, self._step_at(progress))
        self.loss = float(self._loss_at(self.step))
        metrics = {"loss": self.loss * _noise(self.trial, "loss", self.step, 0.02)}
        if np.isfinite(self.loss) and (progress == 1 or self.trainer.evaluate == "points"):
            metrics["val_loss"] = 1.05 * self.loss * _noise(self.trial, "validation", self.step, 0.01)
            metrics["val_accuracy"] = _accuracy(metrics["val_loss"])
        return Report(progress, metrics)

    def snapshot(self, out: npt.NDArray[np.float32] | None = None) -> Snapshot:
        """The state now: the loss is the only weight, and how it came about fills the slots."""
        state = np.empty(WEIGHTS + SLOTS, np.float32) if out is None else out
        state[:WEIGHTS] = self.loss
        state[WEIGHTS:].view(np.float64)[:] = self.loss, self.excess, self.since, self.anchor
        return Snapshot(self.progress, self.step, state[:WEIGHTS], state[WEIGHTS:])

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot. Steps are counted as here, where data are pretended."""
        self.loss, self.excess, since, anchor = snapshot.slots.view(np.float64).tolist()
        self.since, self.anchor, self.progress = int(since), int(anchor), snapshot.progress
        self.step = self._step_at(self.progress)

    def adjust(self, configuration: Mapping[str, Any], anchor: int | None = None) -> None:
        """Go on with other hyperparameters: what is left of the loss falls towards another floor at another pace."""
        self.hyperparameters = resolve("synthetic", configuration)
        anchor = self.step if anchor is None else anchor
        if anchor != self.anchor:
            self.excess, self.since, self.anchor = self.loss / log(CLASSES), self.step, anchor
