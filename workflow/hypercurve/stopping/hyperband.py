"""The stopper ``hyperband``: brackets of synchronous successive halving (Li et al. 2018, Algorithm 1)."""

from collections.abc import Iterator

from typing_extensions import override

from ..util.schema import Problem
from . import brackets
from .halving import SuccessiveHalving, waiting
from .stopper import Factor, StopContext, StopOptions


class HyperbandOptions(StopOptions):
    """Hyperband (Li et al. 2018): brackets of synchronous successive halving, from many short to few whole trainings."""

    reduction_factor: Factor = 3
    """η: one in so many goes on at each rung."""

    @property
    @override
    def pauses(self) -> bool:
        return True


class Hyperband(SuccessiveHalving):
    """Brackets of successive halving, from many short to few whole trainings, and again from the first."""

    source = "Li et al. 2018, Hyperband, JMLR 18, Algorithm 1"
    Options = HyperbandOptions
    examples = ({}, {"reduction_factor": 2})

    def __init__(self, options: HyperbandOptions, context: StopContext):
        found = brackets.hyperband(len(context.points), options.reduction_factor)
        super().__init__(found, context.points, context.trials)

    @override
    @classmethod
    def explain(cls, options: HyperbandOptions, context: StopContext) -> str:
        found = brackets.hyperband(len(context.points), options.reduction_factor)
        listed = "; then ".join(waiting(bracket, context.points).rstrip(".") for bracket in found)
        return f"Hyperband: {listed}; then from the beginning."

    @override
    @classmethod
    def doubts(cls, options: HyperbandOptions, context: StopContext) -> Iterator[Problem]:
        """Trials that do not even fill the first bracket."""
        first = brackets.hyperband(len(context.points), options.reduction_factor)[0].size
        if context.trials is not None and context.trials < first:
            said = f"the first bracket alone is of {first} trials, and there are {context.trials}"
            yield Problem((), f"{said}: take more trials, fewer `training.accumulation_points`, or `halving`")
