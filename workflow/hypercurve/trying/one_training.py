"""One training in a session, and how two of them differ."""

import gc
import sys
import time
from collections.abc import Mapping
from typing import Any

from ..events.events import Completed, Failed, Reported
from ..events.lines import EventLine
from ..execution.advance import ReportCheck, advance
from ..runs.failures import Alike
from ..runs.trial import Trial
from ..training.trainer import Session, Snapshot, Trainer

Metrics = Mapping[str, float]


class Training:
    """One training in a session, from its start or from where its saved state stands."""

    def __init__(self, trainer: Trainer, trial: Trial, check: ReportCheck, known: "Training | None" = None) -> None:
        self.trainer, self.trial, self.check = trainer, trial, check
        self.session: Session | None = None
        self.origin: Snapshot | None = None  # to be restored first
        self.curve: dict[float, Metrics] = {} if known is None else dict(known.curve)
        self.line: EventLine | None = None
        self.seconds = 0.0

    def to(self, progress: float) -> Metrics | None:
        """Train to a point; what is reported there, or None where the trial fails.

        Raises:
            UserError: the trainer raises it.
        """
        began = time.perf_counter()
        told = self.check.told([*self.curve.items()])
        self.line, _ = advance(self._open, self.trial.number, progress, self.check, 0, told)
        self.seconds = time.perf_counter() - began
        event = self.line.event
        if not isinstance(event, Reported | Completed):
            return None
        self.curve[progress] = event.metrics
        return event.metrics

    def _open(self) -> Session:
        if self.session is None:
            self.session = self.trainer.open(self.trial)
        if self.origin is not None:
            self.session.restore(self.origin)
            self.origin = None
        return self.session

    def close(self) -> None:
        """The trial is stopped."""
        if self.session is not None:
            self.session.close()
        self.session = None

    def closed(self) -> list[str]:
        """Stop the trial; what its code says against that."""
        said: list[str] = []

        def hear(found: Any) -> None:
            said.append(f"asked to stop, your code says: {found.exc_value or found.exc_type.__name__}")

        before, sys.unraisablehook = sys.unraisablehook, hear
        try:
            self.close()
            gc.collect()
        finally:
            sys.unraisablehook = before
        return said

    @property
    def failure(self) -> Alike:
        """Why it failed."""
        assert self.line is not None
        assert isinstance(self.line.event, Failed)
        return Alike(self.line.event.reason, self.trial.number, self.trial.configuration, self.line.wall.traceback)


def difference(one: Metrics, other: Metrics) -> str:
    """How two reports differ; empty where their digits are equal.

    >>> difference({"loss": 0.5, "seconds": 2.0}, {"loss": 0.5, "seconds": 1.0})
    'seconds differs by up to 50 %'
    """
    if one == other:
        return ""
    if one.keys() != other.keys():
        return f"other metrics: {', '.join(sorted(one.keys() ^ other.keys()))}"
    names = [name for name in one if one[name] != other[name]]
    shares = (abs(one[name] - other[name]) / max(abs(one[name]), abs(other[name])) for name in names)
    return f"{', '.join(names)} differ{'s' * (len(names) == 1)} by up to {100 * max(shares):.2g} %"
