"""What searchers that learn make of a trial's outcome: one number, so that they can rank trials with different ends.

The order is the same for all of them, and it is that of Optuna's TPE for pruned trials. Best first:

1. completed trials, by their performance;
2. stopped trials: those that came further, and of those that came equally far, the lower loss;
3. failed trials, all alike.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

# Completed trials lie within ±LIMIT, stopped ones between LIMIT and FAILED.
LIMIT, FAILED = 1e100, 1e101


def score(progress: float, performance: float | None, completed: bool, mode: Literal["min", "max"]) -> float:
    """A trial's place in the order, lower is better, always finite.

    Args:
        progress: how far it came, in [0, 1].
        performance: the objective at its end; the last loss of a stopped trial; None of a failed one. One that is not
            finite counts as failed, and so does a trial that was stopped before its first report.
        completed: whether it trained to its end.
        mode: whether a higher or a lower objective is better.
    """
    if performance is None or not math.isfinite(performance):
        return FAILED
    if completed:
        return min(max(performance if mode == "min" else -performance, -LIMIT), LIMIT)
    # The loss decides within one point only: in (-1, 1), and a millionth of what separates the ends of training.
    within = performance / (1 + abs(performance))
    return LIMIT * (3 - progress + 1e-6 * within)


def normal_scores(scores: Sequence[float]) -> npt.NDArray[np.float64]:
    """The normal deviates that have the scores' ranks (van der Waerden 1952); equal scores share their mean rank.

    Models of scores see ranks alone, so no outlier, and no unit of measurement, can distort them.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    deviates: npt.NDArray[np.float64] = ndtri(rankdata(scores) / (len(scores) + 1))
    return deviates
