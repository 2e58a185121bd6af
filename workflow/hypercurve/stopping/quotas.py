"""How the stopper ``budget_halving`` spends its budget: where its rungs are, and how many go on at each.

Nothing here needs to be set: rungs and quotas follow from the accumulation points, the number of trials and the share of
full training that the whole may cost. The constants were chosen on recorded curves; docs/methods.md says on which.
"""

import math
from collections.abc import Sequence

COST = 0.15
"""What may be spent where neither the stopper nor the budget says: a share of full training."""
FIRST = 0.3
"""Share of the budget that all trials together may spend on the first rung."""
WIDEST = 0.7
"""Where the first accumulation point lies beyond that, fewer trials start: so few that the first rung takes this share of
the budget. With what is left, more than the fewest go on, since one look says little."""
FACTOR = 2.0
"""Each rung is so many times as far as the one before."""
LAST = 0.75
"""No rung lies beyond this share of training: so late, a comparison saves little."""
FINALISTS = 3
"""At least so many go to the end, as far as a third of the budget allows, and one in any case: what is best late in training
is rarely the best at the end, but with a small budget, comparing more of them early is worth more."""
LEAST = 1.5
"""Full trainings that any budget allows: enough to compare a few, and to train one to its end."""
FEW = 3.0
"""Full trainings below which `check` warns: the first comparison takes most of them, and one trial or two go to the end."""
FEWEST = 10
"""Fewest trials from which may be concluded that a record is right."""
STEEPEST = 16.0
"""At most one in so few goes on at a rung; where the budget asks for more, fewer trials start."""


def rungs_of(points: Sequence[float], cost: float) -> tuple[float, ...]:
    """Shares of training where trials wait for each other, increasing; none where there is a single point.

    The first is the last accumulation point at or below ``FIRST * cost``, or else the first point of all.

    Args:
        points: accumulation points, increasing, ending with 1.
        cost: share of all trials' full training that may be spent.
    """
    # Tolerances: 0.3 * 0.1 is more than 0.03, and 3 * 0.02 more than 0.06.
    inner = [point for point in points if point <= max(LAST, points[0]) + 1e-9 and point < 1]
    if not inner:
        return ()
    rungs = [max((point for point in inner if point <= FIRST * cost + 1e-9), default=inner[0])]
    while later := [point for point in inner if point > rungs[-1]]:
        wanted = rungs[-1] * FACTOR
        if wanted > inner[-1] + 1e-9:
            break
        rungs.append(min(later, key=lambda point: (abs(point - wanted), point)))
    return tuple(rungs)


def first_rung_of(points: Sequence[float], cost: float) -> float:
    """Where trials are compared first; the end where there are no rungs. Arguments as of :func:`rungs_of`."""
    return (*rungs_of(points, cost), points[-1])[0]


def finalists_of(budget: float) -> int:
    """How many go to the end at least, within a budget in full trainings."""
    return max(1, min(FINALISTS, int(budget / 3 + 1e-9)))


def counts_of(trials: int, legs: Sequence[float], budget: float, finalists: int) -> tuple[int, ...]:
    """How many trials there are on each leg, the first of which all are on, so that the whole stays within a budget.

    The numbers fall by an equal factor from leg to leg, the smallest that the budget allows, down to the finalists.

    Args:
        trials: how many set out.
        legs: lengths of the ways between rungs, in shares of training, the last to the end.
        budget: what all may cost together, in full trainings.
        finalists: at least so many go to the end.

    Returns:
        As many numbers as legs, none larger than the one before. They are the least possible where the budget does not
        even suffice for that.
    """

    def at(factor: float) -> tuple[int, ...]:
        least = min(finalists, trials)
        return tuple(max(least, round(trials / factor**leg)) for leg in range(len(legs)))

    def within(counts: Sequence[int]) -> bool:
        return sum(count * leg for count, leg in zip(counts, legs, strict=True)) <= budget + 1e-9

    if within(at(1.0)):
        return at(1.0)
    low, high = 1.0, STEEPEST
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if within(at(middle)) else (middle, high)
    return at(high)


def starters(trials: int, legs: Sequence[float], budget: float, finalists: int) -> int:
    """How many of the trials set out: the most for which :func:`counts_of` stays within the budget, and the first leg, if it
    is not the only one, within its widest share."""

    def within(count: int) -> bool:
        counts = counts_of(count, legs, budget, finalists)
        return sum(number * leg for number, leg in zip(counts, legs, strict=True)) <= budget + 1e-9

    low, high = 1, trials
    if len(legs) > 1:
        high = max(low, min(trials, int(WIDEST * budget / legs[0] + 1e-9)))
    if within(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return low


def chosen_of(trials: int, points: Sequence[float], cost: float) -> int:
    """How many trials a record chooses: the square root of the share that the budget is of full training.

    Fewer where the first rung would take more than its share of the budget, with those that are trained to test the record.
    """
    rungs = rungs_of(points, cost)
    chosen = max(1, round(trials * math.sqrt(cost)))
    affordable = FIRST * cost * trials / rungs[0] + 1e-9 if rungs else cost * trials
    while chosen > 1 and chosen + probed_of(trials, chosen) > affordable:
        chosen -= 1
    return chosen


def probed_of(trials: int, chosen: int) -> int:
    """How many of the others are trained to the first rung, to see whether the record is right and what it misses.

    As many as were chosen, and enough for the guard to conclude something, but at most half of the others.
    """
    return min(max(chosen, FEWEST - chosen), (trials - chosen) // 2)
