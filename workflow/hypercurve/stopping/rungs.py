"""Shares of training where a rule looks at trials, and which of them a trial comes to; for ``asha`` and ``lcm``."""

from collections.abc import Iterable, Sequence


class Rungs:
    """Which rung a trial comes to: it passes each with its first loss at or after it; of several at once, the last counts.

    So a trial that has no loss at a rung, or reports at fewer points than others, is looked at when it has one.

    Args:
        rungs: shares of training, increasing, below 1.
        points: the accumulation points.
    """

    def __init__(self, rungs: Iterable[float], points: Sequence[float]):
        self._rungs, self._points = tuple(rungs), points
        self._last: dict[int, float] = {}  # by trial: where its last loss was

    def reached(self, trial: int, progress: float) -> float | None:
        """The rung that a trial comes to with a loss, or None."""
        before, found = self._last.get(trial, 0.0), None
        self._last[trial] = progress
        for rung in self._rungs:
            if before < rung <= progress:
                found = rung
        return found

    def next(self, trial: int, progress: float) -> float:
        """The next point after ``progress`` where a trial may come to a rung; 1: none before its end."""
        last = self._last.get(trial, 0.0)
        for rung in self._rungs:
            if rung > progress:
                return rung
            if rung > last:  # it had no loss there
                return next(point for point in self._points if point > progress)
        return 1.0

    def forget(self, trial: int) -> None:
        """The trial is over."""
        self._last.pop(trial, None)
