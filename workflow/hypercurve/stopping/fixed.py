"""The stopper ``fixed``: everybody trains to a share of training, and the best few to the end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import override

from ..util.schema import Problem, Share, Whole
from . import brackets
from .brackets import Bracket
from .halving import SuccessiveHalving, waiting
from .stopper import Point, StopContext, StopOptions, foreign, nearest_point, number_of, undecided


class FixedOptions(StopOptions):
    """A fixed fraction: everybody trains to a share of training, and the best few go on to the end."""

    share: Share = 0.1
    """p: the share of training at which trials wait for each other; an accumulation point."""
    keep: Annotated[Whole, Field(ge=1)] = 3
    """k: how many go on."""
    configurations: Point | None = None
    """n: trials that are compared with each other; by default the budget's number of trials."""

    @override
    def problems(self, points: Sequence[float], trials: int | None) -> Iterator[Problem]:
        """A share that is no accumulation point, and a number of configurations that is open."""
        if self.share not in points:
            yield Problem(("share",), foreign(self.share, points))
        yield from undecided(self.configurations, trials)

    @override
    @classmethod
    def moved(cls, given: Mapping[str, Any], points: Sequence[float]) -> dict[str, Any]:
        return {"share": nearest_point(given.get("share", cls().share), points)}

    @property
    @override
    def pauses(self) -> bool:
        return True


class Fixed(SuccessiveHalving):
    """Everybody trains to a share of training, and the best few go on to the end."""

    Options = FixedOptions
    examples = ({}, {"share": 0.4, "keep": 2, "configurations": 5})

    def __init__(self, options: FixedOptions, context: StopContext):
        super().__init__([_bracket(options, context)], context.points, context.trials)

    @override
    @classmethod
    def explain(cls, options: FixedOptions, context: StopContext) -> str:
        return f"A fixed fraction: {waiting(_bracket(options, context), context.points)}"

    @override
    @classmethod
    def doubts(cls, options: FixedOptions, context: StopContext) -> Iterator[Problem]:
        """As many kept as there are."""
        compared = min(number_of(options.configurations, context), context.trials or options.keep + 1)
        if options.keep >= compared:
            said = f"{options.keep} trials go on, and {compared} are compared, so none is stopped"
            yield Problem(("keep",), f"{said}: keep fewer, or take more trials")


def _bracket(options: FixedOptions, context: StopContext) -> Bracket:
    point = context.points.index(options.share) + 1
    return brackets.fixed(number_of(options.configurations, context), point, options.keep)
