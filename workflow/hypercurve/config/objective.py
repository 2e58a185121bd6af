"""What is optimised, and what bounds a trial must keep: the parts `objective` and `constraints` of an experiment file."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ..util.schema import Model, Number, Problem

Metric = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
COST = "cost"
"""The bound that is on virtual seconds, known before a trial trains."""
_MODES = {"accuracy": "max", "loss": "min"}


class Objective(Model):
    """What is optimised; always measured on the validation part."""

    metric: Metric = "accuracy"
    """A metric of the validation part: `accuracy`, `loss`, or another that the model reports as `val_...`."""
    mode: Literal["max", "min"] = "max"
    """Whether more (`max`) or less (`min`) is better; by default `max` for accuracy, `min` for loss."""

    @model_validator(mode="before")
    @classmethod
    def _default_mode(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "mode" in given:
            return given
        metric = given.get("metric", "accuracy")
        if isinstance(metric, str) and metric not in _MODES:
            near = get_close_matches(metric, _MODES, n=1)
            raise PydanticCustomError(
                "objective",
                "needs `mode`: whether more (max) or less (min) of {metric} is better{near}",
                {"metric": metric, "near": f"; or did you mean {near[0]!r}?" if near else ""},
            )
        return {**given, "mode": _MODES.get(metric, "max")}

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if _MODES.get(self.metric, self.mode) != self.mode:
            raise PydanticCustomError(
                "objective",
                "{metric} with mode {mode} would look for the worst",
                {"metric": self.metric, "mode": self.mode},
            )
        if self.metric.startswith(("val_", "test_")):
            raise PydanticCustomError(
                "objective",
                "{metric}: write the name without {prefix}_; the objective is measured on the validation part",
                {"metric": self.metric, "prefix": self.metric.partition("_")[0]},
            )
        return self

    @property
    def key(self) -> str:
        """The metric's name in reports, as Keras would call it."""
        return f"val_{self.metric}"

    def better(self, one: float, other: float) -> bool:
        """Whether performance ``one`` is strictly better than ``other``."""
        return one > other if self.mode == "max" else one < other


class Bound(Model):
    """Bounds on a reported metric; a trial that breaks one has failed."""

    min: Number | None = None
    """The least value allowed."""
    max: Number | None = None
    """The greatest value allowed."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.min is None and self.max is None:
            raise PydanticCustomError("bound", "needs `min` or `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise PydanticCustomError("bound", "`min` is above `max`: no trial could keep both")
        return self

    def broken(self, name: str, value: float) -> str | None:
        """Why a value is not allowed; None if it is.

        >>> Bound(max=1000).broken("parameters", 2410.0)
        'parameters is 2410, above its bound 1000'
        """
        if self.max is not None and value > self.max:
            return f"{name} is {value:.12g}, above its bound {self.max:.12g}"
        if self.min is not None and value < self.min:
            return f"{name} is {value:.12g}, below its bound {self.min:.12g}"
        return None


Constraints = dict[Metric, Bound]


def constraint_problems(constraints: Constraints) -> Iterator[Problem]:
    """Bounds that cannot be meant."""
    for name in constraints:
        if name.startswith("test_"):
            yield Problem(("constraints", name), "the test part takes no part in a search")
