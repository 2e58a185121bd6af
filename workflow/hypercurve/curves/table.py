"""Recorded learning curves as a typed table. Pure; reading them from files is :mod:`hypercurve.records.curve_files`' part.

A table holds the trainings of one task: configurations of one space, and what each reported at which share of its
training. Trials can be played from it in place of being trained, so any scheduler can be tried on it in milliseconds.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..space.search_space import Configuration, Space
from ..util.seeding import generator
from .cost import TrialCost

Floats = npt.NDArray[np.float64]
Outcome = Literal["completed", "failed", "stopped"]

_CLOSE = 1e-9  # two shares of training that are nearer than this are one


class Curve(NamedTuple):
    """What one training reported.

    Attributes:
        shares: shares of the training in (0, 1] at which there are reports, increasing; of a completed one, the last is 1.
        reports: the metrics at each, finite.
        seconds: computing seconds since the report before.
        cost: what the training costs.
        outcome: ``completed``; ``failed``: it diverged or raised; ``stopped``: what would have followed is not known.
        failed_at: share of the training at which it failed; 1 if it did not.
        reason: why it failed.
    """

    shares: tuple[float, ...]
    reports: tuple[Mapping[str, float], ...]
    seconds: tuple[float, ...]
    cost: TrialCost
    outcome: Outcome = "completed"
    failed_at: float = 1.0
    reason: str = ""

    def at(self, progress: float) -> int:
        """Index of the last report at or before a share of the training; of the first, before there is one."""
        return max(0, bisect_right(self.shares, progress + _CLOSE) - 1)

    def failed_by(self, progress: float) -> bool:
        """Whether the training had failed when this share of it was reached, or had nothing to say by then or before."""
        return self.outcome == "failed" and (not self.shares or self.failed_at <= progress + _CLOSE)


def key_of(configuration: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What makes a configuration the same as another."""
    return tuple(sorted(configuration.items()))


@dataclass(frozen=True)
class Curves:
    """The recorded trainings of one task.

    Attributes:
        name: what the task is called in tables.
        space: the space that the configurations are from.
        configurations: one for each training, all different.
        curves: what each reported.
        samples: size of the training part; 1 where it is not known, so that samples are steps.
    """

    name: str
    space: Space
    configurations: tuple[Configuration, ...]
    curves: tuple[Curve, ...]
    samples: int = 1

    def __len__(self) -> int:
        return len(self.curves)

    @cached_property
    def rows(self) -> Mapping[tuple[tuple[str, Any], ...], int]:
        """The row of each configuration, by :func:`key_of`."""
        return {key_of(configuration): row for row, configuration in enumerate(self.configurations)}

    @cached_property
    def points(self) -> tuple[float, ...]:
        """Shares of training at which the training with the most reports has one; the last is 1."""
        longest = max(self.curves, key=lambda curve: len(curve.shares)).shares if self.curves else ()
        return longest if longest and longest[-1] == 1 else (*longest, 1.0)

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with anything here but the name."""
        content = [self.space.model_dump(mode="json"), self.samples, self.configurations, self.curves]
        return hashlib.sha256(json.dumps(content, default=_plain).encode()).hexdigest()[:16]

    def of(self, configuration: Mapping[str, Any]) -> TrialCost:
        """What a recorded configuration's training costs; KeyError if it was not recorded."""
        return self.curves[self.rows[key_of(configuration)]].cost

    def losses(self, points: Sequence[float], loss: Callable[[Mapping[str, float]], float | None]) -> Floats:
        """Learning curves at shares of training, shape (n, points); NaN once a training has failed or was stopped.

        Args:
            points: the shares.
            loss: of a report, lower is better; None, where it has none.
        """
        values = np.full((len(self), len(points)), np.nan)
        for row, curve in enumerate(self.curves):
            for column, point in enumerate(points):
                known = curve.outcome != "stopped" or (curve.shares and point <= curve.shares[-1] + _CLOSE)
                if known and not curve.failed_by(point):
                    value = loss(curve.reports[curve.at(point)])
                    values[row, column] = np.nan if value is None else value
        return values

    def costs(self, points: Sequence[float]) -> Floats:
        """Virtual seconds to reach shares of training, shape (n, points)."""
        return np.array([[curve.cost.seconds(point) for point in points] for curve in self.curves])

    def performance(self, objective: str) -> Floats:
        """A metric at the end, shape (n,); NaN for trainings that were not completed."""
        return np.array(
            [
                curve.reports[-1].get(objective, np.nan) if curve.outcome == "completed" else np.nan
                for curve in self.curves
            ]
        )

    @cached_property
    def full_cost(self) -> float:
        """Virtual seconds of all trainings to their ends, those that failed included."""
        return sum(curve.cost.seconds(1.0) for curve in self.curves)

    def taken(self, rows: Sequence[int]) -> "Curves":
        """Some of the trainings, in the order given."""
        return replace(
            self,
            configurations=tuple(self.configurations[row] for row in rows),
            curves=tuple(self.curves[row] for row in rows),
        )

    def playable(self) -> "Curves":
        """Those whose end is known: completed and failed."""
        return self.taken([row for row, curve in enumerate(self.curves) if curve.outcome != "stopped"])

    def drawn(self, trials: int | None, seed: int, repeat: int, shuffle: bool = True) -> "Curves":
        """What one replay searches: so many of the playable trainings, in the order in which they arrive.

        Args:
            trials: how many, at most; None: all.
            seed, repeat: decide which and in which order.
            shuffle: if not, the first so many as they were recorded.
        """
        known = self.playable()
        order = generator(seed, repeat, "arrival").permutation(len(known)) if shuffle else np.arange(len(known))
        return known.taken(order[:trials].tolist())


def _plain(value: object) -> object:
    return {name: getattr(value, name) for name in value.__slots__} if isinstance(value, TrialCost) else str(value)
