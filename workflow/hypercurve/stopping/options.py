"""What a user may write about a stopper: options of the rules that are not Learning Curve Matching."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from ..util.schema import Model, Number, Problem, Share, Whole

Factor = Annotated[Whole, Field(ge=2, le=1_000_000)]
Point = Annotated[Whole, Field(ge=1)]


class StopOptions(Model):
    """Base of stoppers' options."""

    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """What does not fit the rest of an experiment; paths begin at the options.

        Args:
            points: the accumulation points.
            trials: the budget's number of trials, if that is what it is in.
        """
        yield from ()

    @property
    def pauses(self) -> bool:
        """Whether trials wait for others, so that a run with fewer trials is not the beginning of one with more."""
        return False


def _beyond(name: str, point: int | None, points: Sequence[float]) -> Iterator[Problem]:
    """An accumulation point, given by its number, at which nobody can stop any more."""
    if point is not None and point >= len(points):
        last = len(points) - 1
        said = f"there are {len(points)}, and at the last a trial is at its end: at most {last}"
        yield Problem((name,), f"is the number of an accumulation point; {said if last else 'there is only one'}")


def nearest(share: float, points: Sequence[float]) -> float | None:
    """The accumulation point before the end that is nearest to a share of training; None if there is none."""
    return min((point for point in points if point < 1), key=lambda point: abs(point - share), default=None)


def foreign(share: float, points: Sequence[float]) -> str:
    """What is wrong with a share of training that is no accumulation point."""
    around = (max((p for p in points if p < share), default=None), min((p for p in points if p > share), default=None))
    close = " and ".join(f"{p if p < 1 else 1}" for p in around if p is not None)
    return f"{share} is not an accumulation point; training.accumulation_points has {len(points)}, next to it {close}"


def undecided(configurations: int | None, trials: int | None) -> Iterator[Problem]:
    """A number of configurations that is neither given nor the budget's."""
    if configurations is None and trials is None:
        yield Problem((), "needs `configurations` (n): the budget is not in trials, so their number is open")


class HalvingOptions(StopOptions):
    """Synchronous successive halving (Jamieson and Talwalkar 2016): trials wait at rungs, and the best share goes on."""

    reduction_factor: Factor = 3
    """η: one in so many goes on at each rung."""
    first_rung: Point | None = None
    """r: number of the accumulation point of the first rung; the next are at η, η², ... times this. By default, a fifteenth
    of all points, rounded down, but at least 1."""
    configurations: Point | None = None
    """n: trials in a bracket; by default the budget's number of trials."""

    def first(self, points: int) -> int:
        """Number of the first rung's point, of so many."""
        return self.first_rung or max(1, points // 15)

    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """A rung at the end or beyond, and a number of configurations that is open."""
        yield from _beyond("first_rung", self.first_rung, points)
        yield from undecided(self.configurations, trials)

    @property
    def pauses(self) -> bool:
        """Trials wait at rungs."""
        return True


class HyperbandOptions(StopOptions):
    """Hyperband (Li et al. 2018): brackets of synchronous successive halving, from many short to few whole trainings."""

    reduction_factor: Factor = 3
    """η: one in so many goes on at each rung."""

    @property
    def pauses(self) -> bool:
        """Trials wait at rungs."""
        return True


class AshaOptions(StopOptions):
    """Asynchronous successive halving (Li et al. 2020): at rungs, trials are compared with those that were there before."""

    form: Literal["promotion", "stopping"] = "promotion"
    """`promotion` (the paper's): everybody pauses at a rung, and goes on when good enough; `stopping`: who is not good
    enough at once stops."""
    reduction_factor: Factor = 3
    """η: one in so many goes on at each rung."""
    first_rung: Point | None = None
    """r: number of the accumulation point of the first rung; the next are at η, η², ... times this. By default, a fifteenth
    of all points, rounded down, but at least 1."""

    def first(self, points: int) -> int:
        """Number of the first rung's point, of so many."""
        return self.first_rung or max(1, points // 15)

    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """A rung at the end or beyond."""
        yield from _beyond("first_rung", self.first_rung, points)

    @property
    def pauses(self) -> bool:
        """In the promotion form, trials wait at rungs."""
        return self.form == "promotion"


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

    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """A check at the end or beyond."""
        yield from _beyond("first_check", self.first_check, points)


class FixedOptions(StopOptions):
    """A fixed fraction: everybody trains to a share of training, and the best few go on to the end."""

    share: Share = 0.1
    """p: the share of training at which trials wait for each other; an accumulation point."""
    keep: Annotated[Whole, Field(ge=1)] = 3
    """k: how many go on."""
    configurations: Point | None = None
    """n: trials that are compared with each other; by default the budget's number of trials."""

    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """A share that is no accumulation point, and a number of configurations that is open."""
        if self.share not in points:
            yield Problem(("share",), foreign(self.share, points))
        yield from undecided(self.configurations, trials)

    @property
    def pauses(self) -> bool:
        """Trials wait at rungs."""
        return True


class PatienceOptions(StopOptions):
    """Early stopping: a trial ends when its own loss has not improved for a while."""

    points: Annotated[Whole, Field(ge=1)] | None = None
    """Accumulation points without improvement that end a trial; by default, a fifth of all points, rounded down, but at
    least 2."""
    margin: Annotated[Number, Field(ge=0)] = 0.0
    """How much lower a loss must be to be an improvement."""

    def wait(self, points: int) -> int:
        """Points without improvement that end a trial, of so many."""
        return self.points or max(2, points // 5)
