"""How trials are trained and watched, and what that may cost: the parts `training` and `cost` of an experiment file."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import override

from ..util.schema import Model, Number, Problem, Whole, refuse


def _expand(given: Any) -> Any:
    if isinstance(given, int) and not isinstance(given, bool):
        if not 1 <= given <= 10_000:
            refuse("as a number of points, must be between 1 and 10000")
        return tuple(k / given for k in range(1, given + 1))
    if not isinstance(given, list | tuple):
        refuse("must be a list of shares of training that ends with 1, or their number")
    return given


def _increasing(points: tuple[float, ...]) -> tuple[float, ...]:
    if not points or points[-1] != 1 or any(a >= b for a, b in pairwise(points)):
        refuse("must increase and end with 1")
    return points


AccumulationPoints = Annotated[
    tuple[Annotated[Number, Field(gt=0, le=1)], ...],
    BeforeValidator(_expand, json_schema_input_type=int | tuple[float, ...]),
    AfterValidator(_increasing),
]


class Training(Model):
    """How every trial is trained and watched."""

    accumulation_points: AccumulationPoints = tuple(k / 10 for k in range(1, 11))
    """Shares of training in (0, 1] where the learning curve is recorded: a list that ends with 1, or a number of evenly
    spaced points."""
    evaluate: Literal["auto", "end", "points"] | Annotated[Whole, Field(ge=1)] = "auto"
    """When networks are measured on the validation part before the end of a trial: at every accumulation point (`points`),
    there on so many of its examples (a number), or not (`end`). `auto`: at every point, on as many examples as take less
    than a tenth of the time of training, but at least 1000, unless `curve` names a metric of the training."""
    class_weight: Annotated[Literal["balanced"] | None, Field(exclude_if=lambda given: given is None)] = None
    """How much an example counts in the training loss of networks: by default, all alike; `balanced`: all classes alike, an
    example as examples / (classes × examples of its class). What is measured on the validation part has no weights."""
    threads: Annotated[Whole, Field(ge=1, le=1024)] = 1
    """Threads per trial. Part of the experiment, since it decides the last bits of a result."""
    compiler: Literal["auto", "xla", "graph"] = "auto"
    """`auto`: XLA, but TensorFlow's graph mode for convolutions on a CPU."""


class Cost(Model):
    """Virtual time: what a trial is taken to cost, in virtual seconds; orders the events of trials that run at once."""

    step: Annotated[Number, Field(ge=0, le=1e6)] = 1e-4
    """Virtual seconds per optimizer step (a); of a loop or program, per report."""
    sample: Annotated[Number, Field(ge=0)] = 4e-6
    """Virtual seconds per training sample (b); a step costs a + b × batch size."""

    @override
    def faults(self) -> Iterator[Problem]:
        """Training that costs nothing."""
        if self.step + self.sample <= 0:
            yield Problem((), "step and sample cannot both be 0: training would take no virtual time")


class Snapshots(Model):
    """How trials in flight are kept, so that a job that is killed does not lose them. Not part of the result."""

    minutes: Annotated[Number, Field(ge=0, le=10_000)] = 5.0
    """A trial that can be saved is saved after so many minutes at the latest; sooner where that costs little. 0: whenever it
    can be. A population is saved at its next evolution step."""
    memory: Annotated[Number, Field(gt=0, le=10_000)] = 2.0
    """GiB of paused trials that a process holds in memory; beyond it, those that were trained longest ago are on disk."""
