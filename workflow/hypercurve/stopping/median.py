"""The median stopping rule (Golovin et al. 2017, section 3.2.2, as in Vizier): the stopper ``median``."""

from collections.abc import Sequence

from ..space.search_space import Configuration
from .order import Lowest
from .stopper import Decision


class Medians:
    """The median of numbers that come one after the other; of an even number, the mean of the two in the middle."""

    def __init__(self) -> None:
        self._values = Lowest()

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        """Add a number, in logarithmic time."""
        self._values.add(value, 0, (len(self) + 2) // 2)

    @property
    def median(self) -> float:
        """The median of all so far, of which there must be one."""
        low = self._values.highest[0]
        return low if len(self) % 2 else (low + self._values.next[0]) / 2


class MedianStopping:
    """A trial stops when its best loss is worse than the median of what completed trials had on average by then.

    The rule: at accumulation point k, a trial stops if the lowest of its first k losses is strictly higher than the median,
    over all *completed* trials, of the mean of their first k losses. Ties go on. It is asked at every point from
    ``first_check`` on, once ``warmup`` trials have completed. Trials that were stopped or failed count in no median, as in
    the paper, which leaves only the two numbers open.

    Args:
        points: accumulation points, increasing, ending with 1.
        first_check: the first point at which a trial may stop, counted from 1.
        warmup: completed trials before any is stopped, at least 1.
    """

    def __init__(self, points: Sequence[float], first_check: int, warmup: int):
        self._checks = tuple(points[first_check - 1 : -1])
        self._warmup = warmup
        self._medians = [Medians() for _ in points[:-1]]  # by point, of running means
        self._means: dict[int, list[float]] = {}  # by trial going, by point
        self._totals: dict[int, float] = {}
        self._best: dict[int, float] = {}

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """Begin its curve."""
        self._means[trial], self._totals[trial] = [], 0.0
        self._best[trial] = float("inf")

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Compare with the median at this point."""
        means = self._means[trial]
        points = len(means)
        best = self._best[trial] = min(self._best[trial], loss)
        total = self._totals[trial] = self._totals[trial] + loss
        means.append(max(best, total / (points + 1)))  # rounding must not make a mean lower than every loss in it
        medians = self._medians[points]
        if len(medians) >= self._warmup and self._checks and progress >= self._checks[0] and best > medians.median:
            self._forget(trial)
            return Decision.STOP
        return Decision.CONTINUE

    def next_check(self, trial: int, progress: float) -> float:
        """The next point, or the first that is checked."""
        return next((point for point in self._checks if point > progress), 1.0)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """Its running means join the medians."""
        for medians, mean in zip(self._medians, self._means[trial], strict=True):
            medians.add(mean)
        self._forget(trial)

    def on_failure(self, trial: int) -> None:
        """Forget it."""
        self._forget(trial)

    def decide_paused(self) -> Sequence[tuple[int, Decision]]:
        """Nobody is ever paused."""
        return ()

    def _forget(self, trial: int) -> None:
        del self._means[trial], self._totals[trial], self._best[trial]
