"""By what the stopper ``budget_halving`` ranks the trials that wait at a rung.

Each *view* gives every candidate a number, lower is better; candidates are ordered by the mean of their ranks under all
views. Ranks need no scale, so losses, errors and negated scores are all the same to them, and one view that is far off
cannot outweigh the others.

- ``last``: the loss at the rung.
- ``lowest``: the lowest loss up to the rung; noise matters less.
- ``gain``: what the loss will be if the next stretch, as long as half of what is behind, brings as much as the last did:
  the lowest loss, less what it fell since half the rung.
- ``match``: the prediction of Learning Curve Matching: see :class:`Matcher`.
- ``configuration``: what a record of earlier experiments says about the configuration (:mod:`..record`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..curves.record import Record
from ..util.schema import Model, Number, Whole
from .quotas import rungs_of
from .stopper import Floats

View = Literal["last", "lowest", "gain", "match"]
VIEWS: dict[View, str] = {
    "last": "the loss",
    "lowest": "the lowest loss so far",
    "gain": "the lowest loss less what it fell in the second half",
    "match": "what the nearest curves came to",
}
"""What each view says, for reports."""


def ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values their mean rank; shape of ``values``, (n,). NaN counts as infinite."""
    _, place, count = np.unique(np.where(np.isnan(values), np.inf, values), return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    found: Floats = (ends - (count - 1) / 2.0)[place]
    return found


def correlation(one: Floats, other: Floats) -> float:
    """Spearman's rank correlation; 0 where one of them is constant or there are fewer than three."""
    if len(one) < 3:
        return 0.0
    a, b = ranks(one), ranks(other)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def lowest(curves: Floats) -> Floats:
    """The lowest loss so far, shape (n,), of curves of shape (n, points)."""
    found: Floats = curves.min(axis=1)
    return found


def gain(curves: Floats, shares: Sequence[float]) -> Floats:
    """The lowest loss less what it fell since half the way, shape (n,).

    Args:
        curves: losses, shape (n, points).
        shares: shares of training of the points.
    """
    half = sum(share <= shares[-1] / 2 + 1e-9 for share in shares)
    now = lowest(curves)
    found: Floats = now if half == 0 else 2 * now - lowest(curves[:, :half])
    return found


@dataclass(frozen=True)
class Library:
    """Curves that a run's are matched with, on its own accumulation points.

    Attributes:
        levels: normalised losses, shape (n, points); NaN behind the end of a curve that was stopped.
        coded: configurations in the unit cube, shape (n, variables); NaN where a name is absent.
        reached: number of points of each curve, shape (n,).
    """

    levels: Floats
    coded: Floats
    reached: npt.NDArray[np.int64]

    def joined(self, other: "Library") -> "Library":
        """The curves of both."""
        return Library(
            np.concatenate([self.levels, other.levels]),
            np.concatenate([self.coded, other.coded]),
            np.concatenate([self.reached, other.reached]),
        )


def normalised(curves: Floats, first: Floats) -> Floats:
    """Curves in units of the first rung: its median is 0, and half of its values lie within a width of 1.

    Args:
        curves: losses, any shape.
        first: finite losses of all trials at the first rung, shape (n,).
    """
    low, middle, high = np.quantile(first, [0.25, 0.5, 0.75]) if len(first) else (0.0, 0.0, 1.0)
    return (curves - middle) / (high - low if high > low else 1.0)


def library_of(record: Record, points: Sequence[float], cost: float) -> Library:
    """A record's curves as others are matched with them: each task in units of its first rung."""
    first = (rungs_of(points, cost) or (1.0,))[0]
    levels = []
    for task in record.tasks:
        start = task.at((first,))[:, 0]
        levels.append(normalised(task.at(points), start[np.isfinite(start)]))
    known = np.concatenate(levels)
    return Library(known, np.concatenate([task.coded for task in record.tasks]), np.isfinite(known).sum(axis=1))


class Matcher(Model):
    """How curves are matched, for the view `match`; the defaults are Learning Curve Matching's own prediction."""

    neighbours: Annotated[Whole, Field(ge=1)] = 1
    """k: the prediction is the mean of the k nearest curves'."""
    predict: Literal["level", "difference"] = "level"
    """What is taken from the nearest curves: their last `level`, or the `difference` that they made after the rung."""
    weights: Literal["equal", "tail"] = "equal"
    """Weights of the points in the distance; `tail`: they grow linearly up to the rung."""
    scale: Literal["none", "step"] = "none"
    """`step`: at each point, differences are divided by the spread of the curves there."""
    stopped: bool = False
    """Whether curves that were stopped count, if they went beyond the rung."""
    hyperparameters: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Weight of the configurations' squared distance in the unit cube against the curves' distance."""

    def predictions(self, curves: Floats, coded: Floats, library: Library) -> Floats:
        """Predicted levels, shape (n,).

        Args:
            curves: normalised losses up to the rung, shape (n, points).
            coded: configurations in the unit cube, shape (n, variables).
            library: what to match with; without any curve that goes further, a candidate's own level is the prediction.
        """
        here = curves.shape[1]
        further = library.reached > here if self.stopped else library.reached == library.levels.shape[1]
        if not further.any():
            own: Floats = curves[:, -1]
            return own
        levels, ends = library.levels[further], library.reached[further]
        weights = np.arange(1.0, here + 1) if self.weights == "tail" else np.ones(here)
        weights /= weights.sum()
        if self.scale == "step":
            spread = np.subtract(*np.quantile(levels[:, :here], [0.75, 0.25], axis=0))
            weights = weights / np.where(spread > 0, spread, 1.0) ** 2
        # (a - b)² = a² - 2ab + b²: one product of matrices in place of a cube of differences
        distances = _squares(curves, levels[:, :here], weights)
        if self.hyperparameters > 0:
            own, others = np.nan_to_num(coded, nan=0.5), np.nan_to_num(library.coded[further], nan=0.5)
            apart = _squares(own, others, np.ones(own.shape[1]))
            share = self.hyperparameters
            distances = (1 - share) * _by_median(distances) + share * _by_median(apart)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self.neighbours]
        last = levels[np.arange(len(levels)), ends - 1]
        if self.predict == "level":
            found: Floats = last[nearest].mean(axis=1)
        else:
            found = curves[:, -1] + (last - levels[:, here - 1])[nearest].mean(axis=1)
        return found


def _squares(one: Floats, other: Floats, weights: Floats) -> Floats:
    """Weighted squared distances of all rows of one to all rows of the other."""
    cross = (one * weights) @ other.T
    distances: Floats = ((one**2) @ weights)[:, None] - 2 * cross + ((other**2) @ weights)[None, :]
    return np.maximum(distances, 0.0)


def _by_median(distances: Floats) -> Floats:
    middle = float(np.median(distances))
    return distances / middle if middle > 0 else distances
