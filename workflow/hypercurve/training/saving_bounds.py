"""When states of trials in flight are saved, and which sessions stay in memory; for :mod:`hypercurve.training.saving`."""

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

SHARE = 0.02
"""Seconds spent saving, of those trained, up to which states are saved before they must be."""
ALLOWANCE = 0.01
"""Seconds that may be spent on saving each trial besides."""
SELDOM = 5.0
"""Seconds between two such saves, once a trial's allowance is spent: many processes may share a file system."""


class Kept(Protocol):
    """A session in memory.

    Attributes:
        size: bytes of its state, as far as known.
    """

    size: int

    def save(self) -> bool:
        """Save its state; whether that was possible, or not needed."""
        ...

    def park(self) -> bool:
        """Leave memory; whether that was possible."""
        ...


class Bounds:
    """What saving may cost and memory may hold, over all sessions of a process.

    Args:
        minutes: see :class:`hypercurve.training.saving.SavingTrainer`.
        memory: see there.
        ask: see there.

    Attributes:
        trials: how many have been opened.
        trained, saving: seconds of all trials so far.
        cost: seconds that the last save took.
        awake: sessions in memory, those that were trained longest ago first.
        training: whether a session is being trained at this moment.
    """

    def __init__(self, minutes: float | None, memory: int | None, ask: Callable[[], None] = lambda: None) -> None:
        self.minutes, self.memory, self.ask = minutes, memory, ask
        self.trials = 0
        self.trained = self.saving = self.cost = 0.0
        self.awake: OrderedDict[Kept, None] = OrderedDict()
        self.training = False
        self._told: set[str] = set()

    @property
    def every(self) -> float | None:
        """After how many seconds sessions are to come to a safe moment; None: they are never asked for their state."""
        if self.minutes is None:
            return None if self.memory is None else float("inf")
        return 60 * self.minutes

    def save_now(self) -> None:
        """Save all sessions that have trained since they were saved, as far as they can be saved as they are."""
        for session in reversed(list(self.awake)):
            session.save()

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
        try:
            self.ask()
        except BaseException:
            self.save_now()
            raise

    def make_room(self, using: Kept, more: int = 0) -> None:
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
