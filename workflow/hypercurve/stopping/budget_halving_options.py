"""What a user may write about the stopper `budget_halving`."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from ..util.schema import Model, Number, Problem, Share, Whole
from .options import Point, StopOptions, undecided


class MatchOptions(Model):
    """How curves are matched, for the view `match`; the defaults are Learning Curve Matching's own prediction."""

    neighbours: Annotated[Whole, Field(ge=1)] = 1
    """k: the prediction is the mean of the k nearest curves'."""
    predict: Literal["level", "difference"] = "level"
    """What is taken from the nearest curves: their last `level`, or the `difference` that they made after the rung."""
    weights: Literal["equal", "tail"] = "equal"
    """Weights of the points in the distance; `tail`: they grow up to the rung."""
    scale: Literal["none", "step"] = "none"
    """`step`: at each point, differences are divided by the spread of the curves there."""
    stopped: bool = False
    """Whether curves that were stopped count, if they went beyond the rung."""
    hyperparameters: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Weight of the configurations' distance in the unit cube against the curves' distance."""


View = Literal["last", "lowest", "gain", "match"]


class BudgetHalvingOptions(StopOptions):
    """Learning curves and, if there is one, a record of earlier experiments decide who goes on, within a given cost."""

    cost: Share | None = None
    """What the run may cost, as a share of training all its trials to the end; rungs and quotas follow from it. By default
    the budget's `cost`, or 0.15."""
    views: Annotated[tuple[View, ...], Field(min_length=1)] = ("lowest", "gain")
    """By what trials are ranked at a rung; the mean of their ranks decides."""
    match: MatchOptions = MatchOptions()
    """How curves are matched, for the view `match`."""
    split: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """r: share of the trials that never pause, so that others can be matched with them; for the view `match`."""
    guard: Annotated[Number, Field(ge=-1, le=1)] = 0.5
    """Least rank correlation between the first rung that a record predicts and the one seen at which it is believed."""
    configurations: Point | None = None
    """n: trials that compete; by default the budget's number of trials."""

    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """Options that have no effect or leave no budget, and a number of configurations that is open."""
        if "match" not in self.views and self.split > 0:
            yield Problem(("split",), "has an effect only with `match` among the `views`")
        if self.cost is not None and self.split >= self.cost:
            yield Problem(("split",), f"alone costs as much as `cost` allows, {self.cost:g} of full training")
        yield from undecided(self.configurations, trials)

    @property
    def pauses(self) -> bool:
        """Trials wait at rungs."""
        return True
