"""The domains of hyperparameters: which values one may take, and the code between these values and the unit interval.

The forms in an experiment file, each a pydantic model of the same name::

    {uniform: [0.0, 1.0]}          {log_uniform: [0.0001, 0.1]}      {integer: [1, 8], log: true}
    {choice: [32, 64]}             {constant: 3}, or just 3

All take `when`, a condition on other hyperparameters; the numeric ones take `points`, the number of values on their
axis of a grid. This module knows one hyperparameter at a time; :mod:`hypercurve.space.search_space` puts them together.
"""

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, TypeVar

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, WrapValidator, field_validator
from typing_extensions import override

from ..util.schema import Consistent, Problem, by_key, refuse
from .values import (
    Bounds,
    IntegerBounds,
    PositiveBounds,
    Scalar,
    Value,
    check_list,
    check_scalar,
    is_number,
    same,
)

# Up to here, a float in [0, 1] names every integer of an axis without doubt, on a log scale too.
LARGEST_INTEGER = 2**40

_T = TypeVar("_T")


def clip_unit(u: float) -> float:
    """The nearest number in [0, 1]; the middle for NaN."""
    return 0.5 if math.isnan(u) else min(max(float(u), 0.0), 1.0)


def between(bounds: tuple[float, float], u: float) -> float:
    """The number at the share `u` of the way from the first bound to the second."""
    return bounds[0] * (1 - u) + bounds[1] * u  # in this form both ends come out exactly


def pick(values: Sequence[_T], u: float) -> _T:
    """One of the values, each with an equal share of [0, 1]."""
    return values[min(int(u * len(values)), len(values) - 1)]


def _nearest_integer(x: float) -> int:
    return math.floor(x + 0.5)  # unlike round(), gives each integer its lower edge, as `pick` does: equal bins


def _check_when(when: object) -> object:
    if not isinstance(when, Mapping):
        refuse(f"expected {{parent: value}} or {{parent: [values]}}, got {when!r}")
    return {parent: check_list(v if isinstance(v, list | tuple) else [v]) for parent, v in when.items()}


_When = Annotated[
    dict[str, tuple[Scalar, ...]],
    BeforeValidator(_check_when, json_schema_input_type=dict[str, Value | list[Value]]),
]


class _Domain(Consistent):
    """What all domains share. Values come out as plain Python objects, never as NumPy scalars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: _When = Field({})

    @property
    @abstractmethod
    def extremes(self) -> tuple[Value, ...]:
        """The lowest and the highest number, both inside; for choices and constants, all values."""

    @property
    def count(self) -> float:
        """The number of different values; infinite for a continuous domain."""
        return math.inf

    def sample(self, rng: np.random.Generator) -> Value:
        """One value, from one uniform draw."""
        return self.decode(rng.random())

    @abstractmethod
    def grid(self, points: int) -> list[Value]:
        """The different values on this axis of a grid.

        Numbers are evenly spread, with both ends; a single one is the middle. The domain's own `points` goes before the
        argument. Choices and constants give all values.
        """

    @abstractmethod
    def encode(self, value: Value) -> float:
        """The value's place in [0, 1]: a discrete value's lies inside its bin. ValueError if the value is outside."""

    @abstractmethod
    def decode(self, u: float) -> Value:
        """The value at `u`, always inside the domain; `u` is clipped to [0, 1], and NaN means the middle.

        ``decode(encode(v))`` is `v` for discrete domains. For floats it is within 1e-12, relative to `v` on a log scale
        and to the larger of the bounds on a linear one.
        """

    @abstractmethod
    def clip(self, value: Value) -> Value:
        """The nearest value inside; ValueError if there is no telling which that is."""

    @abstractmethod
    def contains(self, value: object) -> bool:
        """Whether the domain has this value. ``True`` is not 1 here, and 1.0 is no value of an integer domain."""

    @abstractmethod
    def scaled(self, value: Value, factor: float, u: float) -> Value:
        """The value, of this domain, perturbed by a positive factor and clipped; 1 changes nothing.

        Numbers are multiplied; integers then move by at least 1. Ordered choices step to the neighbour, down for a
        factor below 1, up for one above; others become the other value at `u` in [0, 1]. Constants stay.
        """

    def _known(self, value: Value) -> Value:
        if not self.contains(value):
            raise ValueError(f"{value!r} is not in {self}")
        return value

    @override
    def __str__(self) -> str:
        given = self.model_dump(mode="json", exclude_defaults=True, exclude={"when"})
        return ", ".join(f"{key}: {value}" for key, value in given.items())


class _Numeric(_Domain):
    points: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = None

    @property
    @abstractmethod
    def extremes(self) -> tuple[float, float]: ...

    @override
    def grid(self, points: int) -> list[Value]:
        count = points if self.points is None else self.points
        if count < 1:
            raise ValueError(f"a grid needs at least 1 point on each axis, got {count}")
        if count == 1:
            return [self.decode(0.5)]
        return list(dict.fromkeys(self._grid_value(i / (count - 1)) for i in range(count)))

    def _grid_value(self, u: float) -> Value:
        return self.decode(u)

    @override
    def clip(self, value: Value) -> Value:
        if not is_number(value) or math.isnan(float(value)):
            raise ValueError(f"{value!r} is not a number, but {self} is of numbers")
        low, high = self.extremes
        return min(max(float(value), low), high)

    @override
    def contains(self, value: object) -> bool:
        low, high = self.extremes
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

    @override
    def scaled(self, value: Value, factor: float, u: float) -> Value:
        return self.clip(float(value) * factor)


class Uniform(_Numeric):
    """Floats, evenly likely between two bounds."""

    uniform: Bounds

    @property
    @override
    def extremes(self) -> tuple[float, float]:
        return self.uniform

    @override
    def encode(self, value: Value) -> float:
        low, high = self.uniform
        return clip_unit((float(self._known(value)) - low) / (high - low))

    @override
    def decode(self, u: float) -> Value:
        return self.clip(between(self.uniform, clip_unit(u)))


class LogUniform(_Numeric):
    """Positive floats, whose logarithm is evenly likely between the bounds' logarithms."""

    log_uniform: PositiveBounds

    @property
    @override
    def extremes(self) -> tuple[float, float]:
        return self.log_uniform

    @override
    def faults(self) -> Iterator[Problem]:
        """Bounds between which there is no other logarithm."""
        if len(set(map(math.log, self.log_uniform))) == 1:
            yield Problem(("log_uniform",), "the logarithms of both bounds are the same number")

    @override
    def encode(self, value: Value) -> float:
        low, high = map(math.log, self.log_uniform)
        return clip_unit((math.log(float(self._known(value))) - low) / (high - low))

    @override
    def decode(self, u: float) -> Value:
        low, high = self.log_uniform
        u = clip_unit(u)
        if u in (0.0, 1.0):  # exp(log(x)) is not always x, and a grid should show the bounds that were asked for
            return high if u else low
        return self.clip(math.exp(between((math.log(low), math.log(high)), u)))


class Integer(_Numeric):
    """Integers from low to high, both inside; each has a bin of the unit interval, from half below to half above it."""

    integer: IntegerBounds
    log: bool = False

    @override
    def faults(self) -> Iterator[Problem]:
        """Numbers too large to code, and a log scale that begins below 1."""
        if max(map(abs, self.integer)) > LARGEST_INTEGER:
            yield Problem(("integer",), f"integers may be {LARGEST_INTEGER} in size at most")
        if self.log and self.integer[0] <= 0:
            yield Problem(("integer",), f"low must be above 0 on a log scale, got {self.integer[0]}")

    @property
    @override
    def extremes(self) -> tuple[float, float]:
        return self.integer

    @property
    @override
    def count(self) -> float:
        low, high = self.integer
        return high - low + 1

    def _scale(self, x: float) -> float:
        return math.log(x) if self.log else x

    def _round(self, scaled: float) -> int:
        low, high = self.integer
        return min(max(_nearest_integer(math.exp(scaled) if self.log else scaled), low), high)

    @cached_property
    def _edges(self) -> tuple[float, float]:
        return self._scale(self.integer[0] - 0.5), self._scale(self.integer[1] + 0.5)

    @override
    def _grid_value(self, u: float) -> Value:
        low, high = self.integer
        return self._round(between((self._scale(low), self._scale(high)), u))

    @override
    def grid(self, points: int) -> list[Value]:
        low, high = self.integer
        return list(range(low, high + 1)) if (self.points or points) > high - low else super().grid(points)

    @override
    def encode(self, value: Value) -> float:
        low, high = self._edges
        return (self._scale(float(self._known(value))) - low) / (high - low)

    @override
    def decode(self, u: float) -> Value:
        return self._round(between(self._edges, clip_unit(u)))

    @override
    def clip(self, value: Value) -> Value:
        return _nearest_integer(float(super().clip(value)))

    @override
    def contains(self, value: object) -> bool:
        return isinstance(value, int) and super().contains(value)

    @override
    def scaled(self, value: Value, factor: float, u: float) -> Value:
        number = int(value)
        moved = _nearest_integer(float(super().clip(number * factor)))
        if moved == number and factor != 1:  # a small integer would never move otherwise
            moved += 1 if (factor > 1) == (number >= 0) else -1
        return self.clip(moved)


class _Discrete(_Domain):
    """Listed values, with equal bins of the unit interval."""

    @property
    @override
    def count(self) -> float:
        return len(self.extremes)

    def index(self, value: object) -> int:
        """Which of the listed values this is, from 0; -1 if none."""
        return next((i for i, other in enumerate(self.extremes) if same(value, other)), -1)

    @override
    def grid(self, points: int) -> list[Value]:
        return list(self.extremes)

    @override
    def encode(self, value: Value) -> float:
        return (self.index(self._known(value)) + 0.5) / len(self.extremes)

    @override
    def decode(self, u: float) -> Value:
        return pick(self.extremes, clip_unit(u))

    @override
    def clip(self, value: Value) -> Value:
        values = self.extremes
        if len(values) == 1:
            return values[0]
        if not self.contains(value) and is_number(value) and all(map(is_number, values)):
            return min(values, key=lambda other: abs(float(other) - float(value)))
        return self._known(value)

    @override
    def contains(self, value: object) -> bool:
        return self.index(value) >= 0


class Choice(_Discrete):
    """A list of values, evenly likely. `ordered` says that neighbours in the list are alike, in the order listed."""

    choice: Annotated[tuple[Scalar, ...], BeforeValidator(check_list)]
    ordered: bool = False

    @field_validator("choice")
    @classmethod
    def _distinct(cls, values: tuple[Value, ...]) -> tuple[Value, ...]:
        if twice := [one for (_, one), n in Counter((isinstance(v, bool), v) for v in values).items() if n > 1]:
            refuse(f"{twice[0]!r} is listed twice")
        return values

    @property
    @override
    def extremes(self) -> tuple[Value, ...]:
        return self.choice

    @override
    def scaled(self, value: Value, factor: float, u: float) -> Value:
        index = self.index(self._known(value))
        if factor == 1 or len(self.choice) == 1:
            return value
        if self.ordered:
            return self.choice[min(max(index + (1 if factor > 1 else -1), 0), len(self.choice) - 1)]
        return pick(self.choice[:index] + self.choice[index + 1 :], u)


class Constant(_Discrete):
    """One value: part of every configuration, but no axis of the unit cube."""

    constant: Scalar

    @property
    @override
    def extremes(self) -> tuple[Value, ...]:
        return (self.constant,)

    @override
    def scaled(self, value: Value, factor: float, u: float) -> Value:
        return self.constant


_KINDS: dict[str, type[_Domain]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "integer": Integer,
    "choice": Choice,
    "constant": Constant,
}


def _domain(data: object, _: object) -> object:
    if isinstance(data, bool | int | float | str | np.generic):
        return Constant.model_validate({"constant": check_scalar(data)})
    if isinstance(data, list | tuple):
        refuse("a list of values is written {choice: [...]}, a range {uniform: [low, high]}")
    return by_key(data, _KINDS, "domain")


Domain = Annotated[
    Uniform | LogUniform | Integer | Choice | Constant,
    WrapValidator(_domain, json_schema_input_type=Value | Uniform | LogUniform | Integer | Choice | Constant),
]
