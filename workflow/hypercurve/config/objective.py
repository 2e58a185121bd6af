"""What is optimised, and what bounds a trial must keep: the parts `objective` and `constraints` of an experiment file."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import override

from ..util.schema import Model, Number, Problem

Metric = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
COST = "cost"
"""The bound that is on virtual seconds, known before a trial trains."""
PARAMETERS = "parameters"
"""The number of a network's trainable parameters, reported where there is a bound on it."""
_MODES: dict[str, Literal["max", "min"]] = {"accuracy": "max", "loss": "min"}


class Objective(Model):
    """What is optimised; always measured on the validation part."""

    metric: Metric = "accuracy"
    """A metric of the validation part: `accuracy`, `loss`, or another that the model reports as `val_...`."""
    mode: Literal["max", "min"] = Field(
        default_factory=lambda given: _MODES.get(given.get("metric", ""), "max"), json_schema_extra={"default": "max"}
    )
    """Whether more (`max`) or less (`min`) is better; by default `max` for accuracy, `min` for loss."""

    @override
    def faults(self) -> Iterator[Problem]:
        """A metric whose better direction is open or wrong, or that is of another part of the data."""
        if "mode" not in self.model_fields_set and self.metric not in _MODES:
            near = get_close_matches(self.metric, _MODES, n=1)
            meant = f"; or did you mean {near[0]!r}?" if near else ""
            yield Problem((), f"needs `mode`: whether more (max) or less (min) of {self.metric} is better{meant}")
        elif _MODES.get(self.metric, self.mode) != self.mode:
            yield Problem((), f"{self.metric} with mode {self.mode} would look for the worst")
        elif self.metric.startswith(("val_", "test_")):
            name = f"{self.metric}: write the name without {self.metric.partition('_')[0]}_"
            yield Problem((), f"{name}; the objective is measured on the validation part")

    @property
    def key(self) -> str:
        """The metric's name in reports, as Keras would call it."""
        return f"val_{self.metric}"

    @property
    def curve(self) -> "JudgedCurve":
        """The objective as a learning curve."""
        return JudgedCurve.model_construct(metric=self.key, mode=self.mode)

    def loss(self, metrics: Mapping[str, float]) -> float:
        """Performance in reported metrics as a number of which less is better."""
        return -metrics[self.key] if self.mode == "max" else metrics[self.key]

    def better(self, one: float, other: float) -> bool:
        """Whether performance ``one`` is strictly better than ``other``."""
        return one > other if self.mode == "max" else one < other


class JudgedCurve(Model):
    """The learning curve that stoppers compare: a metric at each accumulation point, as it is reported."""

    metric: Metric
    """As it is reported: `loss` is the training loss, `val_loss` and the like are measured on the validation part."""
    mode: Literal["max", "min"] = Field(
        default_factory=lambda given: _MODES.get(given.get("metric", "").removeprefix("val_"), "max"),
        json_schema_extra={"default": "min"},
    )
    """Whether more (`max`) or less (`min`) is better; by default `max` for accuracies, `min` for losses."""

    @override
    def faults(self) -> Iterator[Problem]:
        """A metric whose better direction is open, or that takes no part in a search."""
        name = self.metric.removeprefix("val_")
        if "mode" not in self.model_fields_set and name not in _MODES:
            said = f"needs `mode`: write {{metric: {self.metric}, mode: max}} if more is better, else mode: min"
            yield Problem((), said)
        elif _MODES.get(name, self.mode) != self.mode:
            yield Problem((), f"{self.metric} with mode {self.mode} would look for the worst")
        elif self.metric.startswith("test_"):
            yield Problem((), "the test part takes no part in a search")

    def loss(self, metrics: Mapping[str, float]) -> float | None:
        """What stoppers take of a report, lower is better: the metric, negated if more of it is better; None without."""
        value = metrics.get(self.metric)
        return value if value is None or self.mode == "min" else -value

    @property
    def on_validation(self) -> bool:
        """Whether it is measured on the validation part."""
        return self.metric.startswith("val_")


TRAINING_LOSS = JudgedCurve(metric="loss")


def _named(given: Any) -> Any:
    return {"metric": given} if isinstance(given, str) else given


Curve = Annotated[JudgedCurve, BeforeValidator(_named, json_schema_input_type=JudgedCurve | Metric)]


class Bound(Model):
    """Bounds on a reported metric; a trial that breaks one has failed."""

    min: Number | None = None
    """The least value allowed."""
    max: Number | None = None
    """The greatest value allowed."""

    @override
    def faults(self) -> Iterator[Problem]:
        """No bound, or bounds that exclude each other."""
        if self.min is None and self.max is None:
            yield Problem((), "needs `min` or `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            yield Problem((), "`min` is above `max`: no trial could keep both")

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

    def doubts(self, name: str) -> Iterator[str]:
        """What is possible but hardly meant."""
        if name.endswith("accuracy") and (self.min or self.max or 0) > 1:
            yield "an accuracy is a share between 0 and 1: 90 % is 0.9"


Constraints = dict[Metric, Bound]
