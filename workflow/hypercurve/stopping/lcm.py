"""Learning Curve Matching (LCM), as the slides' Algorithms 1 and 3 and the poster give it.

Accumulation stage: while at most n·r trials are complete, every trial trains to its end, and its losses at the
accumulation points A and its final performance join the *completed curves*, which the slides call the record. Checking
stage: at each check point in C, the trial's losses so far are compared with the losses at the same points of every
completed curve; the nearest one's final performance is the prediction; if the prediction ranks in the worst share s of the
completed curves' performances, the trial is stopped. Trials that reach the end join the completed curves.

Where the seeds are silent, this is the rule here:

- Which stage a trial is in is settled when it starts (Algorithm 1, line 5).
- Equal distances: the earliest completed curve is the nearest.
- The rank of a prediction is 1 + the number of completed curves strictly better than it. With m of them, the trial
  stops if its rank exceeds (1 - s)·m, but never if its rank is 1: what looks like the best so far goes on.
- A failed trial reached no end: it neither joins the completed curves nor counts towards n·r.
- A distance that is NaN never wins a match (a zero curve has no cosine distance, say); without any match the trial goes on.
- A trial is compared at the points where it has a loss. Where a completed curve has none there, its last one before counts;
  points before its first are left out, and the distance over the others is scaled up. A trial without a loss at a check
  point is checked at its next one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, field_validator
from typing_extensions import override

from ..curves.record import RecordError
from ..space.search_space import Configuration
from ..util.schema import Model, Problem, Share, Whole, refuse
from ..util.words import shares, short
from .rungs import Rungs
from .stopper import (
    Decision,
    Floats,
    StopContext,
    StopOptions,
    Stopper,
    foreign,
    nearest_point,
    number_of,
    undecided,
)

Distance = Callable[[Floats, Floats], Floats]


def _euclidean(curve: Floats, others: Floats) -> Floats:
    difference = others - curve
    distances: Floats = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distances


def _manhattan(curve: Floats, others: Floats) -> Floats:
    distances: Floats = np.abs(others - curve).sum(axis=1)
    return distances


def _cosine(curve: Floats, others: Floats) -> Floats:
    norms = np.sqrt(np.einsum("ij,ij->i", others, others)) * np.sqrt(curve @ curve)
    with np.errstate(invalid="ignore", divide="ignore"):
        distances: Floats = 1.0 - (others @ curve) / norms
    return distances


def _dtw(curve: Floats, others: Floats) -> Floats:
    from dtaidistance import dtw  # imported here: only this distance needs it

    return np.array([dtw.distance_fast(curve, other) for other in np.ascontiguousarray(others)])


DISTANCES: dict[str, Distance] = {
    "euclidean": _euclidean,
    "manhattan": _manhattan,
    "cosine": _cosine,
    "dtw": _dtw,
}
"""Distance of one curve, shape (points,), to each of others, shape (curves, points): shape (curves,)."""


def _squares(losses: Floats, loss: float | Floats) -> Floats:
    difference = losses - loss
    difference *= difference
    return difference


def _absolutes(losses: Floats, loss: float | Floats) -> Floats:
    difference = losses - loss
    return np.abs(difference, out=difference)


GROWTH = {"euclidean": 0.5, "manhattan": 1.0, "cosine": 0.0, "dtw": 0.5}
"""With which power of the number of points a distance grows."""


SUMS: dict[str, tuple[Callable[[Floats, float | Floats], Floats], Callable[[Floats], Floats]]] = {
    "euclidean": (_squares, np.sqrt),
    "manhattan": (_absolutes, lambda sums: sums),
}
"""Distances that are a function of a sum over points: a point's terms, and the function. Such sums are carried from one
check point to the next. They are added up point by point in any case, so each is the same to the last bit whenever it is
made, in a resumed run as well."""


KEPT = 1 << 23
"""Numbers in such sums that are kept at most, 64 MiB: with thousands of slots, some trials' are made anew at each check."""


class RegretBudget(Model):
    """What stopping may cost in regret; the stopping rate follows from the method's `record`."""

    regret: Share
    """Mean regret that is allowed: (best - found) / (best - median) of the trials' performances."""


FEWEST_CURVES = 4
"""With fewer completed curves than this, `check` warns: a prediction then is hardly more than best or worst."""


def _form(given: Any) -> str:
    return "[budget]" if isinstance(given, Mapping | RegretBudget) else "[rate]"


class LCMOptions(StopOptions):
    """Learning Curve Matching (slides, Algorithm 1): stop a trial whose nearest completed curve ended badly."""

    stopping_rate: Annotated[
        Annotated[Share, Tag("[rate]")] | Annotated[RegretBudget, Tag("[budget]")], Discriminator(_form)
    ] = 0.8
    """s: a trial is stopped when its prediction ranks in this worst share of the completed performances. Or a mapping
    with the key `regret`, the mean regret that is allowed: then s is the largest rate that has kept it on all tasks of the
    method's `record`."""
    split: Share = 0.1
    """r: share of the configurations that are trained to the end before any trial is checked."""
    check_points: tuple[Share, ...] = (0.1, 0.2, 0.4)
    """C: shares of training where a trial is checked; each must be an accumulation point."""
    distance: Literal["euclidean", "manhattan", "cosine", "dtw"] = "euclidean"
    """d: distance between learning curves; `dtw` is dynamic time warping."""
    configurations: Annotated[Whole, Field(ge=1)] | None = None
    """n: number of configurations that `split` is a share of; by default the budget's number of trials."""

    @field_validator("check_points")
    @classmethod
    def _increasing(cls, points: tuple[float, ...]) -> tuple[float, ...]:
        if not points or any(a >= b for a, b in pairwise(points)):
            refuse("must hold at least one point and increase")
        return points

    @property
    @override
    def calibrates(self) -> bool:
        return isinstance(self.stopping_rate, RegretBudget)

    @property
    @override
    def counts_trials(self) -> bool:
        return self.configurations is None

    @override
    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """Check points that are no accumulation points, and a number of configurations that is open."""
        if others := [p for p in self.check_points if p not in points]:
            yield Problem(("check_points",), foreign(others[0], points))
        yield from undecided(self.configurations, trials)

    @override
    @classmethod
    def moved(cls, given: Mapping[str, Any], points: Sequence[float]) -> dict[str, Any]:
        asked = given.get("check_points", cls().check_points)
        return {"check_points": sorted({near for p in asked if (near := nearest_point(p, points)) is not None})}

    def rate(self, context: StopContext) -> float:
        """s: as given, or as the record has it."""
        if not isinstance(self.stopping_rate, RegretBudget):
            return self.stopping_rate
        if context.record is None or context.record.calibration is None:
            said = "its record has no stopping rate: prepare it again (`hypercurve record`)"
            raise RecordError(f"{context.method}: {said}")
        return context.record.calibration.stopping_rate


def _accumulated(options: LCMOptions, context: StopContext) -> float:
    """n·r: once more trials than this are complete, new ones are checked."""
    # The tolerance keeps 100 · 0.29 = 28.999999999999996 from ending the accumulation stage a trial early.
    return number_of(options.configurations, context) * options.split + 1e-9


def ends_badly(nearest: int, performances: Floats, keep: float) -> bool:
    """The rule: whether a trial is stopped whose nearest completed curve is this one.

    Args:
        nearest: number of the completed curve whose performance is the prediction.
        performances: of all completed curves, larger is better, shape (curves,).
        keep: 1 - s.
    """
    better = int(np.count_nonzero(performances > performances[nearest]))
    # The tolerance keeps (1 - 0.8)·15 = 2.9999999999999996 from stopping a trial of rank 3.
    return better > 0 and better + 1 > keep * len(performances) + 1e-9


class LearningCurveMatching(Stopper):
    """The stopper."""

    rule = "Stop a trial whose nearest completed curve ended in the worst share s."
    source = (
        "C. Ouyang and D. McBride, Neural Network Hyperparameter Optimization (slides and poster, JICS), "
        "Algorithms 1 and 3"
    )
    Options = LCMOptions
    examples = ({}, {"distance": "cosine", "split": 0.3})

    @override
    @classmethod
    def explain(cls, options: LCMOptions, context: StopContext) -> str:
        worst = (
            "share s, the largest at which, replayed on the curves of earlier experiments, the mean regret is at most "
        )
        if isinstance(options.stopping_rate, RegretBudget):
            worst += f"{options.stopping_rate.regret:g} on each of them"
        else:
            worst = shares([options.stopping_rate])
        return (
            f"Learning Curve Matching: once more than {shares([options.split])} of "
            f"{short(number_of(options.configurations, context))} configurations are trained to the end, a new trial is "
            f"checked at {shares(options.check_points)} of its training and stopped if the complete training with the "
            f"nearest losses so far ({options.distance} distance) ended in the worst {worst}."
        )

    @override
    @classmethod
    def doubts(cls, options: LCMOptions, context: StopContext) -> Iterator[Problem]:
        """An accumulation stage of few curves, or of all trials."""
        curves, trials = int(_accumulated(options, context)) + 1, context.trials
        if trials is not None and curves >= trials:
            said = (
                f"{curves} trials train to their ends before any is checked, and there are {trials}, so none is stopped"
            )
            yield Problem(("split",), f"{said}: take a smaller `split`, or more trials")
        elif curves < FEWEST_CURVES:
            said = f"the first trials are matched with {curves} completed curve{'s' * (curves > 1)}, which say little"
            yield Problem(("split",), f"{said}: take a larger `split`, or more trials")

    def __init__(self, options: LCMOptions, context: StopContext):
        super().__init__(options, context)
        self._accumulate = _accumulated(options, context)
        self._keep = 1.0 - options.rate(context)
        self._checks = Rungs(options.check_points, context.points)
        self._distance = DISTANCES[options.distance]
        self._summed = SUMS.get(options.distance)
        self._growth = GROWTH[options.distance]
        self._sums: dict[int, tuple[int, Floats]] = {}  # by trial: points added up, and the sums by completed curve
        self._sign = 1.0 if context.mode == "max" else -1.0
        self._numbers = {point: number for number, point in enumerate(context.points)}
        self._curves: dict[int, dict[int, float]] = {}  # losses by number of the point
        self._checked: set[int] = set()
        # The completed curves X, Z: doubled when full, so that adding one costs constant time on average. A row of X is a
        # point.
        self._losses = np.empty((len(context.points), 16))
        self._performances = np.empty(16)
        self._size = 0
        self._late = False  # whether there is a completed curve that does not begin at the first point

    @property
    def completed(self) -> int:
        """Number of completed curves."""
        return self._size

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """Settle the trial's stage."""
        self._curves[trial] = {}
        if self._size > self._accumulate:
            self._checked.add(trial)

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Match the trial's curve if this is a check point of a checked trial."""
        curve = self._curves[trial]
        curve[self._numbers[progress]] = loss
        if trial in self._checked and self._checks.reached(trial, progress) and self._bad(trial, curve):
            self._forget(trial)
            return Decision.STOP
        return Decision.CONTINUE

    def next_check(self, trial: int, progress: float) -> float:
        """The next check point, or the end in the accumulation stage."""
        if trial in self._curves and trial not in self._checked:
            return 1.0
        return self._checks.next(trial, progress)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """Add a completed curve."""
        curve = np.full(len(self._losses), np.nan)
        curve[[*self._curves[trial]]] = [*self._curves[trial].values()]
        curve[-1] = loss
        for point in range(1, len(curve)):
            if np.isnan(curve[point]):
                curve[point] = curve[point - 1]
        self._late = self._late or bool(np.isnan(curve[0]))
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

    def _forget(self, trial: int) -> None:
        self._curves.pop(trial, None)
        self._checked.discard(trial)
        self._sums.pop(trial, None)
        self._checks.forget(trial)

    def _bad(self, trial: int, curve: dict[int, float]) -> bool:
        summed = self._summed is not None and not self._late
        nearest = self._nearest_by_sums(trial, curve) if summed else self._nearest(curve)
        return nearest is not None and ends_badly(nearest, self._performances[: self._size], self._keep)

    def _nearest(self, curve: dict[int, float]) -> int | None:
        """The completed curve nearest to this one, the earliest of several; None if no distance is a number."""
        losses, others = np.array([*curve.values()]), self._losses[[*curve], : self._size].T
        known = ~np.isnan(others)
        whole = known.all(axis=1)
        distances = np.full(self._size, np.nan)
        if whole.any():
            distances[whole] = self._distance(losses, others[whole])
        for row in np.flatnonzero(known.any(axis=1) & ~whole):
            there = known[row]
            scale = there.mean() ** -self._growth
            distances[row] = scale * self._distance(losses[there], others[row : row + 1, there])[0]
        return None if np.isnan(distances).all() else int(np.nanargmin(distances))

    def _nearest_by_sums(self, trial: int, curve: dict[int, float]) -> int:
        """The same, from sums that are carried on: neither is NaN, since losses are finite and no curve begins late."""
        assert self._summed is not None
        terms, distance = self._summed
        added, before = self._sums.get(trial, (0, np.empty(0)))
        known = len(before)
        sums = np.zeros(self._size)  # there may be more since
        sums[:known] = before
        for point, loss in curve.items():
            if point >= added:
                sums += terms(self._losses[point, : self._size], loss)
            elif known < self._size:
                sums[known:] += terms(self._losses[point, known : self._size], loss)
        if (len(self._sums) + 1) * self._size <= KEPT:
            self._sums[trial] = (max(curve) + 1, sums)
        else:
            self._sums.pop(trial, None)
        return int(np.argmin(distance(sums)))
