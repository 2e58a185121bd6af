"""Learning Curve Matching (LCM), as the slides' Algorithms 1 and 3 and the poster give it.

Accumulation stage: while at most n·r trials are complete, every trial trains to its end, and its losses at the
accumulation points A and its final performance join the record. Checking stage: at each check point in C, the trial's
losses so far are compared with the losses at the same points of every complete training; the nearest one's final
performance is the prediction; if the prediction ranks in the worst share s of the recorded performances, the trial is
stopped. Trials that reach the end join the record.

Where the seeds are silent, this is the rule here:

- Which stage a trial is in is settled when it starts (Algorithm 1, line 5).
- Equal distances: the earliest recorded curve is the nearest.
- The rank of a prediction is 1 + the number of recorded performances strictly better than it. With m recorded, the trial
  stops if its rank exceeds (1 - s)·m, but never if its rank is 1: what looks like the best so far goes on.
- A failed trial reached no end: it neither joins the record nor counts towards n·r.
- A distance that is NaN never wins a match (a zero curve has no cosine distance, say); without any match the trial goes on.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..space.search_space import Configuration
from .stopper import Decision

Floats = npt.NDArray[np.float64]
Distance = Callable[[Floats, Floats], Floats]


def _euclidean(curve: Floats, record: Floats) -> Floats:
    difference = record - curve
    distances: Floats = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distances


def _manhattan(curve: Floats, record: Floats) -> Floats:
    distances: Floats = np.abs(record - curve).sum(axis=1)
    return distances


def _cosine(curve: Floats, record: Floats) -> Floats:
    norms = np.sqrt(np.einsum("ij,ij->i", record, record)) * np.sqrt(curve @ curve)
    with np.errstate(invalid="ignore", divide="ignore"):
        distances: Floats = 1.0 - (record @ curve) / norms
    return distances


def _dtw(curve: Floats, record: Floats) -> Floats:
    from dtaidistance import dtw  # imported here: only this distance needs it

    return np.array([dtw.distance_fast(curve, other) for other in np.ascontiguousarray(record)])


DISTANCES: dict[str, Distance] = {
    "euclidean": _euclidean,
    "manhattan": _manhattan,
    "cosine": _cosine,
    "dtw": _dtw,
}
"""Distance of one curve, shape (points,), to each recorded one, shape (curves, points): shape (curves,)."""


def _squares(losses: Floats, loss: float | Floats) -> Floats:
    difference = losses - loss
    difference *= difference
    return difference


def _absolutes(losses: Floats, loss: float | Floats) -> Floats:
    difference = losses - loss
    return np.abs(difference, out=difference)


SUMS: dict[str, tuple[Callable[[Floats, float | Floats], Floats], Callable[[Floats], Floats]]] = {
    "euclidean": (_squares, np.sqrt),
    "manhattan": (_absolutes, lambda sums: sums),
}
"""Distances that are a function of a sum over points: a point's terms, and the function. Such sums are carried from one
check point to the next. They are added up point by point in any case, so each is the same to the last bit whenever it is
made, in a resumed run as well."""


class LearningCurveMatching:
    """The stopper.

    Args:
        configurations: n, the number of configurations.
        stopping_rate: s in (0, 1).
        split: r in (0, 1).
        check_points: C, a subset of ``accumulation_points``.
        accumulation_points: A, increasing, ending with 1.
        distance: d, a key of :data:`DISTANCES`.
        mode: whether a performance is better when larger (``max``) or smaller (``min``).
    """

    def __init__(
        self,
        *,
        configurations: int,
        stopping_rate: float,
        split: float,
        check_points: tuple[float, ...],
        accumulation_points: tuple[float, ...],
        distance: str = "euclidean",
        mode: Literal["max", "min"] = "max",
    ):
        # The tolerance keeps 100 · 0.29 = 28.999999999999996 from ending the accumulation stage a trial early.
        self._accumulate = configurations * split + 1e-9
        self._keep = 1.0 - stopping_rate
        self._check_points = frozenset(check_points)
        self._distance = DISTANCES[distance]
        self._summed = SUMS.get(distance)
        self._sums: dict[int, tuple[int, Floats]] = {}  # by trial: points added up, and the sums by recorded curve
        self._sign = 1.0 if mode == "max" else -1.0
        self._curves: dict[int, list[float]] = {}
        self._checked: set[int] = set()
        # The record X, Z: doubled when full, so that adding a curve costs constant time on average. A row of X is a point.
        self._losses = np.empty((len(accumulation_points), 16))
        self._performances = np.empty(16)
        self._size = 0

    @property
    def recorded(self) -> int:
        """Number of complete trainings in the record."""
        return self._size

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """Settle the trial's stage."""
        self._curves[trial] = []
        if self._size > self._accumulate:
            self._checked.add(trial)

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Match the trial's curve if this is a check point of a checked trial."""
        curve = self._curves[trial]
        curve.append(loss)
        if trial in self._checked and progress in self._check_points and self._bad(trial, curve):
            self._forget(trial)
            return Decision.STOP
        return Decision.CONTINUE

    def next_check(self, trial: int, progress: float) -> float:
        """The next check point, or the end in the accumulation stage."""
        if trial in self._curves and trial not in self._checked:
            return 1.0
        return min((point for point in self._check_points if point > progress), default=1.0)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """Add a complete training to the record."""
        curve = self._curves[trial]
        curve.append(loss)
        if self._size == len(self._performances):
            self._losses = np.concatenate([self._losses, np.empty_like(self._losses)], axis=1)
            self._performances = np.concatenate([self._performances, np.empty_like(self._performances)])
        self._losses[:, self._size] = curve
        self._performances[self._size] = self._sign * performance
        self._size += 1
        self._forget(trial)

    def on_failure(self, trial: int) -> None:
        """Forget the trial."""
        self._forget(trial)

    def decide_paused(self) -> Sequence[tuple[int, Decision]]:
        """Nobody is ever paused."""
        return ()

    def _forget(self, trial: int) -> None:
        self._curves.pop(trial, None)
        self._checked.discard(trial)
        self._sums.pop(trial, None)

    def _bad(self, trial: int, curve: list[float]) -> bool:
        nearest = self._nearest_by_sums(trial, curve) if self._summed else self._nearest(curve)
        if nearest is None:
            return False
        performances = self._performances[: self._size]
        better = int(np.count_nonzero(performances > performances[nearest]))
        # The tolerance keeps (1 - 0.8)·15 = 2.9999999999999996 from stopping a trial of rank 3.
        return better > 0 and better + 1 > self._keep * self._size + 1e-9

    def _nearest(self, curve: list[float]) -> int | None:
        """The recorded curve nearest to this one, the earliest of several; None if no distance is a number."""
        distances = self._distance(np.array(curve), self._losses[: len(curve), : self._size].T)
        return None if np.isnan(distances).all() else int(np.nanargmin(distances))

    def _nearest_by_sums(self, trial: int, curve: list[float]) -> int:
        """The same, from sums that are carried on: neither is ever NaN, since losses are finite."""
        assert self._summed is not None
        terms, distance = self._summed
        added, before = self._sums.get(trial, (0, np.empty(0)))
        known = len(before)
        sums = np.zeros(self._size)  # the record may have grown since
        sums[:known] = before
        for point, loss in enumerate(curve):
            if point >= added:
                sums += terms(self._losses[point, : self._size], loss)
            elif known < self._size:
                sums[known:] += terms(self._losses[point, known : self._size], loss)
        self._sums[trial] = (len(curve), sums)
        return int(np.argmin(distance(sums)))
