"""The median stopping rule (Golovin et al. 2017, section 3.2.2, as in Vizier): the stopper ``median``."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field
from typing_extensions import override

from ..space.search_space import Configuration
from ..util.schema import Problem, Whole
from ..util.words import shares, short
from .lowest import Lowest
from .stopper import Decision, Point, StopContext, StopOptions, Stopper, beyond


class MedianOptions(StopOptions):
    """The median stopping rule (Golovin et al. 2017): stop what is worse than the median of running averages."""

    first_check: Point | None = None
    """Number of the first accumulation point at which a trial may stop; by default, a tenth of all points, rounded down, but
    at least 1."""
    warmup: Annotated[Whole, Field(ge=1)] = 5
    """Completed trials before any is stopped."""

    def first(self, points: int) -> int:
        """Number of the first point at which a trial may stop, of so many."""
        return self.first_check or max(1, points // 10)

    @override
    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """A check at the end or beyond."""
        yield from beyond("first_check", self.first_check, points)


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


class MedianStopping(Stopper):
    """A trial stops when its best loss is worse than the median of what completed trials had on average by then.

    The rule: at accumulation point k, a trial stops if the lowest of its first k losses is strictly higher than the median,
    over all *completed* trials, of the mean of their first k losses. Ties go on. It is asked at every point from
    ``first_check`` on, once ``warmup`` trials have completed. Trials that were stopped or failed count in no median, as in
    the paper, which leaves only the two numbers open. A point without a loss counts in no mean, and there a completed trial
    has the mean that it had before.
    """

    rule = "Stop a trial whose lowest loss is above the median of what completed trials had on average by then."
    source = "Golovin et al. 2017, Google Vizier, KDD, section 3.2.2"
    Options = MedianOptions
    examples = ({}, {"warmup": 2})

    @override
    @classmethod
    def explain(cls, options: MedianOptions, context: StopContext) -> str:
        points = context.points
        return (
            f"Median rule: once {short(options.warmup)} trials are complete, a trial is stopped, from "
            f"{shares([points[options.first(len(points)) - 1]])} of its training on, when its lowest loss is above the "
            "median of what complete trainings had on average by then."
        )

    @override
    @classmethod
    def doubts(cls, options: MedianOptions, context: StopContext) -> Iterator[Problem]:
        """A budget that ends before any trial may be stopped."""
        if context.trials is not None and context.trials <= options.warmup:
            said = f"{options.warmup} trials complete before any is stopped, and there are {context.trials}"
            yield Problem(("warmup",), f"{said}, so none is: take more trials, or a smaller `warmup`")

    def __init__(self, options: MedianOptions, context: StopContext):
        super().__init__(options, context)
        self._checks = context.points[options.first(len(context.points)) - 1 : -1]
        self._warmup = options.warmup
        self._medians = {point: Medians() for point in context.points[:-1]}  # of running means
        self._means: dict[int, dict[float, float]] = {}  # by trial going, by point
        self._totals: dict[int, float] = {}
        self._best: dict[int, float] = {}

    def on_start(self, trial: int, configuration: Configuration) -> None:
        """Begin its curve."""
        self._means[trial], self._totals[trial] = {}, 0.0
        self._best[trial] = float("inf")

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        """Compare with the median at this point."""
        means = self._means[trial]
        best = self._best[trial] = min(self._best[trial], loss)
        total = self._totals[trial] = self._totals[trial] + loss
        means[progress] = max(best, total / (len(means) + 1))  # rounding must not make it lower than every loss in it
        medians = self._medians[progress]
        if len(medians) >= self._warmup and self._checks and progress >= self._checks[0] and best > medians.median:
            self._forget(trial)
            return Decision.STOP
        return Decision.CONTINUE

    def next_check(self, trial: int, progress: float) -> float:
        """The next point, or the first that is checked."""
        return next((point for point in self._checks if point > progress), 1.0)

    def on_complete(self, trial: int, loss: float, performance: float) -> None:
        """Its running means join the medians."""
        means, mean = self._means[trial], None
        for point, medians in self._medians.items():
            mean = means.get(point, mean)
            if mean is not None:
                medians.add(mean)
        self._forget(trial)

    def on_failure(self, trial: int) -> None:
        """Forget it."""
        self._forget(trial)

    def _forget(self, trial: int) -> None:
        del self._means[trial], self._totals[trial], self._best[trial]
