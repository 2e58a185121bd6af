"""What training loops and programs of users have in common: trainings that report so and so often.

A report is called an epoch, whatever is trained for it.

A report at a point of the training is what was reported at the last whole epoch before it; nothing is averaged. Metrics
called ``test_...`` stay out of the search: every report carries those reported last beside the others.
"""

import math
import re
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config.hyperparameters import resolve
from ..config.model import CommandSpec, LoopSpec
from ..curves.cost import step_at
from ..runs.trial import Trial
from ..space.search_space import Value
from ..util.errors import UserError, in_a_line
from ..util.words import cut_short
from .trainer import Report, Session, Snapshot, TrialFailed
from .user_states import (
    LAST_BYTES,
    State,
    Vector,
    bytes_in,
    last_in,
    last_vector,
    length_for,
    state_in,
    trimmed,
    vector_of,
)

METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEST = "test_"
_NOTHING = np.empty(0, np.float32)
SPARE = 1 << 16
"""Bytes by which a state in bytes may outgrow the first ones of a population."""


class EpochSession(Session, ABC):
    """One trial in training; follows :class:`hypercurve.training.trainer.Session`.

    Args:
        spec: what the experiment says of the model.
        trial: the trial.
        exchanges: whether its state will be asked for, as those of a population's members are.

    Attributes:
        epochs: how many the whole training has.
        done: how many have been reported.
        age: how many its state has been trained for: with `lag: 1`, a member copies a state that is younger than itself.
        restored: whether it went on from another state than its own.
        since: the epoch of the trial since which its hyperparameters hold.
    """

    def __init__(self, spec: LoopSpec | CommandSpec, trial: Trial, exchanges: bool) -> None:
        self.spec, self.trial, self.exchanges = spec, trial, exchanges
        self.hyperparameters: dict[str, Any] = resolve(spec, trial.configuration)
        self.epochs = int(self.hyperparameters["epochs"])
        self.progress, self.done, self.age = 0.0, 0, 0
        self.restored, self.since = False, 0
        self._last: dict[str, float] = {}
        self._state: Vector | None = None
        self._room: int | None = None  # what members of a population have agreed on
        self._every: float | None = None
        self._between: Callable[[float], None] = lambda _: None

    def advance(self, progress: float) -> Report:
        """Train up to a share of the training, rounded to whole epochs but at least one, and report.

        Raises:
            TrialFailed: what was reported is no report, or the training is over too early or goes on too long.
            ValueError: `progress` is not in (0, 1], or lies before what is done.
        """
        if not 0 < progress <= 1 or progress < self.progress:
            raise ValueError(f"cannot train from {self.progress} to {progress} of a training")
        start = time.perf_counter()
        try:
            metrics = self._advance(progress)
        except TrialFailed as failure:
            failure.report = failure.report or Report(progress, {}, time.perf_counter() - start)
            failure.said = failure.said or self._said()
            raise
        test = {name: value for name, value in self._last.items() if name.startswith(_TEST)}
        return Report(progress, metrics, time.perf_counter() - start, test=test)

    def _advance(self, progress: float) -> dict[str, float]:
        target = max(self.done, step_at(progress, self.epochs))
        trained = target > self.done
        while self.done < target:
            self._begin(target)
            self._last = checked(self._next(), self.done + 1)
            self.done += 1
            self.age += 1
            self._passed()
            self._between(self.done / self.epochs)
        try:
            last_vector(self.age, self._last)
        except ValueError as error:
            raise TrialFailed(str(error)) from None
        if trained or progress == 1:
            self._reached(end=progress == 1)
        self.progress = progress
        metrics = {name: value for name, value in self._last.items() if not name.startswith(_TEST)}
        if self.exchanges and trained:
            self._state = self._now()
            if self._room is not None and len(self._state) > self._room:
                raise TrialFailed(
                    f"its state has grown to {4 * len(self._state)} bytes; members have agreed on {4 * self._room} after "
                    "their first reports: say in `state_bytes` how large states become"
                )
        return metrics

    def _now(self) -> Vector:
        """The state now."""
        return vector_of(self._save())

    @abstractmethod
    def _begin(self, until: int) -> None:
        """Make ready to train the next epoch, and on until another is done."""

    @abstractmethod
    def _next(self) -> object:
        """What is reported of the next epoch."""

    def _passed(self) -> None:
        """An epoch has been reported."""

    def _said(self) -> str | None:
        """The end of what the user's code wrote to standard error, if that is known."""
        return None

    @abstractmethod
    def _reached(self, end: bool) -> None:
        """All epochs up to a point have been reported.

        Args:
            end: whether this is the end of the training.
        """

    @abstractmethod
    def _save(self) -> State:
        """The state now; in a population, asked for at points of the training only."""

    @abstractmethod
    def _load(self, state: bytes | dict[str, npt.NDArray[Any]]) -> None:
        """Go on from a state."""

    def watch(self, every: float | None, between: Callable[[float], None]) -> None:
        """Safe moments are between epochs; see :meth:`hypercurve.training.trainer.Session.watch`."""
        self._every, self._between = every, between

    def snapshot(self, out: Vector | None = None) -> Snapshot:
        """The state now, if states are asked for or this is the end; otherwise nothing but the last report.

        See :meth:`hypercurve.training.trainer.Session.snapshot`.

        Raises:
            UserError: it does not have the size of other members' states.
            Exception: whatever a user's `save` raises, in a session that is watched.
        """
        slots = last_vector(self.age, self._last)
        if self._every is not None and self.progress < 1 and self.can_save():
            return Snapshot(self.progress, self.done, self._now(), slots)
        if self._state is None and self.progress == 1:
            self._state = self._last_state()
        weights = _NOTHING if self._state is None else self._state
        if out is None:
            return Snapshot(self.progress, self.done, weights.copy(), slots)
        end = len(out) - len(slots)
        if end < len(weights) or (end > len(weights) and bytes_in(weights) is None):
            raise UserError(
                f"the state of trial {self.trial.number} has {4 * len(weights)} bytes, that of others "
                f"{4 * len(out) - LAST_BYTES}: members of a population exchange states, so what shapes them must be a "
                "constant"
            )
        out[: len(weights)], out[len(weights) : end], out[end:] = weights, 0, slots
        return Snapshot(self.progress, self.done, out[:end], out[end:])

    def sizes(self) -> tuple[int, int]:
        """Room for states in bytes that grow; see :meth:`hypercurve.training.trainer.Session.sizes`."""
        weights = _NOTHING if self._state is None else self._state
        needed = len(weights)
        if needed and (content := bytes_in(weights)) is not None:
            needed = max(length_for(len(content) + SPARE), length_for(self.spec.state_bytes))
        return needed, LAST_BYTES // 4

    def agree(self, weights: int) -> None:
        """See :meth:`hypercurve.training.trainer.Session.agree`."""
        self._room = weights

    def _last_state(self) -> Vector:
        """The state at the end; nothing where none can be had, which is no fault of the trial's."""
        try:
            state = self._end_state()
            return _NOTHING if state is None else vector_of(state)
        except (Exception, SystemExit) as error:  # a model may well call sys.exit
            print(f"warning: trial {self.trial.number}: has no state: {in_a_line(error)}", file=sys.stderr, flush=True)
            return _NOTHING

    @abstractmethod
    def _end_state(self) -> State | None:
        """The state at the end of a training, where one can be had."""

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; see :meth:`hypercurve.training.trainer.Session.restore`."""
        weights = trimmed(snapshot.weights)
        if self._state is None or len(self._state) != len(weights) or not self.exchanges:
            weights = weights.copy()
        else:
            self._state[:] = weights
            weights = self._state
        if self.exchanges:
            self._state = weights
        self.age, self._last = last_in(snapshot.slots)
        self.progress, self.done, self.restored = snapshot.progress, snapshot.step, True
        self._take(weights)

    def _take(self, vector: Vector) -> None:
        """Go on from a state that :meth:`_now` gave."""
        self._load(state_in(vector))

    def adjust(self, configuration: Mapping[str, Value], anchor: int | None = None) -> None:
        """Go on with other hyperparameters; schedules are the model's own affair, and count from `anchor`."""
        new: dict[str, Any] = resolve(self.spec, configuration)
        if new["epochs"] != self.epochs:
            raise ValueError("epochs cannot change during training")
        since = self.done if anchor is None else anchor
        if new != self.hyperparameters or since != self.since:
            self.hyperparameters, self.since = new, since
            self._adjust()

    @abstractmethod
    def _adjust(self) -> None:
        """Take over new hyperparameters."""


def checked(given: object, epoch: int) -> dict[str, float]:
    """What was reported of an epoch, as numbers by name; None, as JSON's null, is NaN.

    Raises:
        TrialFailed: it is not that, or has no loss.
    """
    if not isinstance(given, Mapping):
        raise TrialFailed(f"epoch {epoch}: reported {_short(given)}, which is no mapping of metrics")
    metrics = {}
    for name, value in given.items():
        if not isinstance(name, str) or not METRIC.fullmatch(name):
            raise TrialFailed(f"epoch {epoch}: reported {_short(name)}, which cannot be a metric's name")
        try:
            if isinstance(value, str):
                raise TypeError
            metrics[name] = math.nan if value is None else float(value)
        except (TypeError, ValueError, OverflowError):
            raise TrialFailed(f"epoch {epoch}: {name} = {_short(value)} is no number") from None
    if "loss" not in metrics:
        raise TrialFailed(f"epoch {epoch}: reported no loss, only {', '.join(metrics) or 'nothing'}")
    return metrics


def tested(snapshot: Snapshot) -> dict[str, float]:
    """The metrics on the test part that a training reported last."""
    return {name: value for name, value in last_in(snapshot.slots)[1].items() if name.startswith(_TEST)}


def _short(value: object) -> str:
    text = re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x...", repr(value))
    return cut_short(text, 100)
