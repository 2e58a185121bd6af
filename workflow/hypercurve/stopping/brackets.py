"""Rungs and brackets of successive halving, in whole numbers.

Resources are counted in accumulation points: a trial at resource k has reported k losses, and R of them are a whole
training. Logarithms are found by multiplying: ``math.log(243, 3)`` is 4.999999999999999 and ``math.log(1000, 10)`` is
2.9999999999999996, so rounding them down loses a rung.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Rung(NamedTuple):
    """Where trials of a bracket wait for each other.

    Attributes:
        point: the resource at which, at least 1 and below R.
        keep: how many of them go on, at least 1.
    """

    point: int
    keep: int


class Bracket(NamedTuple):
    """Trials that are compared with each other.

    Attributes:
        size: how many trials.
        rungs: from the first to the last; survivors of the last train to their end.
    """

    size: int
    rungs: tuple[Rung, ...]

    def of(self, size: int) -> "Bracket":
        """The same with fewer trials: each rung keeps the same share, rounded down, but at least one."""
        return Bracket(size, tuple(Rung(point, max(1, keep * size // self.size)) for point, keep in self.rungs))


def floor_log(value: int, base: int) -> int:
    """The largest whole k with base to the power of k at most ``value``; exact.

    >>> floor_log(243, 3), floor_log(242, 3), floor_log(1000, 10), floor_log(1, 2)
    (5, 4, 3, 0)
    """
    power, exponent = base, 0
    while power <= value:
        power *= base
        exponent += 1
    return exponent


def rung_points(resource: int, factor: int, first: int) -> list[int]:
    """Resources of rungs r·η^k below R, k = 0, 1, ...

    >>> rung_points(50, 3, first=3), rung_points(243, 3, first=1)
    ([3, 9, 27], [1, 3, 9, 27, 81])

    Args:
        resource: R.
        factor: η, at least 2.
        first: r.
    """
    points = []
    while first < resource:
        points.append(first)
        first *= factor
    return points


def first_of(given: int | None, points: int) -> int:
    """Number of the first rung's accumulation point: as given, or a fifteenth of all, but at least 1."""
    return given or max(1, points // 15)


def halving(size: int, resource: int, factor: int, first: int) -> Bracket:
    """One bracket: rung k = 1, 2, ... keeps floor(n / η^k) of n trials, but at least one (Jamieson and Talwalkar 2016).

    >>> halving(100, 50, 3, first=3)
    Bracket(size=100, rungs=(Rung(point=3, keep=33), Rung(point=9, keep=11), Rung(point=27, keep=3)))
    """
    points = rung_points(resource, factor, first)
    return Bracket(size, tuple(Rung(point, max(1, size // factor**k)) for k, point in enumerate(points, start=1)))


def hyperband(resource: int, factor: int) -> list[Bracket]:
    """The brackets of Hyperband (Li et al. 2018, Algorithm 1), the most aggressive first.

    With s_max = floor(log_η R), bracket s = s_max, ..., 0 has n = ceil((s_max + 1) / (s + 1) · η^s) trials; its rung
    i = 0, ..., s - 1 is at floor(R / η^(s - i)) and keeps floor(n / η^(i + 1)).

    >>> [(bracket.size, [*bracket.rungs]) for bracket in hyperband(9, 3)]
    [(9, [Rung(point=1, keep=3), Rung(point=3, keep=1)]), (5, [Rung(point=3, keep=1)]), (3, [])]
    """
    most = floor_log(resource, factor)
    brackets = []
    for s in range(most, -1, -1):
        size = -(-(most + 1) * factor**s // (s + 1))
        rungs = tuple(Rung(resource // factor ** (s - i), size // factor ** (i + 1)) for i in range(s))
        brackets.append(Bracket(size, rungs))
    return brackets


def fixed(size: int, point: int, keep: int) -> Bracket:
    """One rung: of ``size`` trials, the best ``keep`` go on from ``point``."""
    return Bracket(size, (Rung(point, min(keep, size)),))


def total(brackets: Sequence[Bracket]) -> int:
    """Trials in all brackets."""
    return sum(bracket.size for bracket in brackets)
