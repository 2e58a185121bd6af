"""What a user may write about the settings of a method that replays try in all combinations."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Annotated, Any

from pydantic import Field, ValidationError
from typing_extensions import override

from ..util.schema import Model, Name, Problem, problems_in
from .rules import Stop
from .training import Training

POINTS = "accumulation_points"
MOST_COMBINATIONS = 1000


class Vary(Model):
    """Settings of a stopper, each with the values that it takes in turn; all combinations are replayed."""

    method: Name
    """The method whose stopper's options are varied."""
    over: Annotated[dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]], Field(min_length=1, max_length=2)]
    """One or two options of the stopper, or `accumulation_points`, and the values of each: the axes of a heat map."""

    @override
    def faults(self) -> Iterator[Problem]:
        """Too many combinations."""
        if (many := sum(1 for _ in self.combinations())) > MOST_COMBINATIONS:
            yield Problem((), f"makes {many} combinations; at most {MOST_COMBINATIONS} are possible")

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The values by name, the last name fastest."""
        for values in product(*self.over.values()):
            yield dict(zip(self.over, values, strict=True))

    def problems(self, stop: Stop, training: Training, trials: int | None) -> Iterator[Problem]:
        """The first thing that does not fit a method's stopper; paths begin at `over`.

        Args:
            stop: the stopper.
            training: how trials are trained.
            trials: the budget's number of trials, if that is what it is in.
        """
        allowed = (*type(stop.options).model_fields, POINTS)
        if unknown := [name for name in self.over if name not in allowed]:
            yield Problem((unknown[0],), f"unknown key: {stop.kind} has {', '.join(allowed)}", allowed)
            return
        rates = self.over.get("stopping_rate", ())
        if rates and (stop.calibrates or any(isinstance(rate, Mapping) for rate in rates)):
            yield Problem(("stopping_rate",), "a regret budget cannot be varied; give it a method of its own")
            return
        for values in self.combinations():
            shown = "with " + ", ".join(f"{name} {value}" for name, value in values.items())
            try:
                points = varied_training(training, values).accumulation_points
                found = list(varied(stop, values).options.problems(points, trials))
            except ValidationError as error:
                found = [replace(problem, path=problem.path[:1]) for problem in problems_in(error)]
                shown = str(values.get(str(found[0].path[0]), shown)) if found[0].path else shown
            if found:
                yield replace(found[0], message=f"{shown}: {found[0].message}")
                return


def varied(stop: Stop, values: Mapping[str, Any]) -> Stop:
    """A stopper with other values of some of its options; `accumulation_points` are none of them.

    Raises:
        ValidationError: a value is not allowed.
    """
    options = {name: value for name, value in values.items() if name != POINTS}
    changed = type(stop.options).model_validate({**stop.options.model_dump(), **options})
    return Stop.model_validate({stop.kind: changed})


def varied_training(training: Training, values: Mapping[str, Any]) -> Training:
    """How trials are trained and watched, with other accumulation points if the values have some.

    Raises:
        ValidationError: they are not allowed.
    """
    if POINTS not in values:
        return training
    points = Training.model_validate({POINTS: values[POINTS]}).accumulation_points
    return training.model_copy(update={POINTS: points})
