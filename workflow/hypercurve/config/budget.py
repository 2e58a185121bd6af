"""When a run ends: the part `budget` of an experiment file."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from ..util.schema import Model, Positive, Problem, Share, Whole


class Budget(Model):
    """When a run ends; exactly one of `trials`, `seconds` and `samples`."""

    trials: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """Number of trials started."""
    seconds: Positive | None = None
    """Computing seconds: training and evaluation, summed over workers. The report that would pass them is not taken."""
    samples: Positive | None = None
    """Training samples seen, summed over trials. The report that would pass them is not taken."""
    cost: Share | None = None
    """Together with `trials`, for recorded curves: the share of what training them all to the end would cost. The report
    that would pass it is not taken and ends the run."""
    at: tuple[Positive, ...] = ()
    """Smaller budgets of the same kind, in increasing order, at which the best result is tabulated as well."""

    KINDS: ClassVar[tuple[Literal["trials", "seconds", "samples"], ...]] = ("trials", "seconds", "samples")

    @override
    def faults(self) -> Iterator[Problem]:
        """No kind or several, and smaller budgets that are none."""
        if sum(getattr(self, kind) is not None for kind in self.KINDS) != 1:
            yield Problem((), "needs exactly one of trials, seconds, samples")
            return
        if self.cost is not None and self.trials is None:
            yield Problem((), "`cost` is a share of training all `trials`: give both")
        if any(a >= b for a, b in pairwise(self.at)) or (self.at and self.at[-1] >= self.limit):
            yield Problem((), "`at` must increase and stay below the budget itself")
        if self.trials is not None and any(limit % 1 for limit in self.at):
            yield Problem((), "`at` must hold whole numbers where the budget is in trials")

    @property
    def kind(self) -> Literal["trials", "seconds", "samples"]:
        """`trials`, `seconds` or `samples`."""
        return next(kind for kind in self.KINDS if getattr(self, kind) is not None)

    @property
    def bound(self) -> Literal["trials", "seconds", "samples", "cost"]:
        """What ends a run before its trials do, if anything: as `kind`, or ``cost``."""
        return "cost" if self.cost is not None else self.kind

    @property
    def limit(self) -> float:
        """The number that goes with the kind."""
        return float(getattr(self, self.kind))
