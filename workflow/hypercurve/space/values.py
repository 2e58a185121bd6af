"""Values of hyperparameters, and bounds and lists of them: what domains and perturbation rules check alike."""

import math
import re
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from ..util.schema import refuse

Value = bool | int | float | str

_Pair = TypeVar("_Pair", tuple[float, float], tuple[int, int])
# Text that a person means as a number; YAML 1.1 reads 1e-4 and 2.0e8 as text.
_NUMBER_AS_TEXT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def same(a: object, b: object) -> bool:
    """Equality of values, but ``True`` is not 1, as it would be in Python."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def is_number(value: object) -> bool:
    """Whether the value is an integer or a float, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(number: float) -> bool:
    """Whether a float can hold it, which is not so of every whole number."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def check_scalar(value: object) -> Any:
    """A plain Python scalar, finite, and not a number by mistake read as text."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, bool | int | float | str):
        refuse(f"expected a number, text, true or false; got {value!r}")
    if isinstance(value, int | float) and not _finite(value):
        refuse(f"expected a finite number, got {value if isinstance(value, float) else 'one that no float can hold'}")
    if isinstance(value, str) and _NUMBER_AS_TEXT.fullmatch(value):
        refuse(f"{value!r} is text, not a number; write it without quotes, as in 1.0e-4 or 2.0e+8")
    return value


def check_list(value: object) -> object:
    """A list with something in it."""
    if not isinstance(value, list | tuple):
        refuse(f"expected a list of values, got {value!r}")
    if not value:
        refuse("expected at least one value, got an empty list")
    return value


def check_numbers(value: object) -> object:
    """A list without texts: pydantic would take "3" for 3."""
    for one in value if isinstance(value, list | tuple) else ():
        if isinstance(one, str):
            refuse(f"{one!r} is text, not a number; write it without quotes")
    return check_list(value)


def _check_pair(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2 or any(isinstance(bound, bool) for bound in value):
        refuse(f"expected two numbers [low, high], got {value!r}")
    return check_numbers(value)


def _check_rising(bounds: _Pair) -> _Pair:
    low, high = bounds
    if not low < high:
        refuse(f"low must be below high, got [{low}, {high}]")
    if not _finite(high - low):
        refuse("the range is wider than a float can hold")
    return bounds


def _check_positive(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] <= 0:
        refuse(f"low must be above 0, got {bounds[0]}")
    return bounds


Scalar = Annotated[Value, BeforeValidator(check_scalar)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Bounds = Annotated[tuple[Finite, Finite], BeforeValidator(_check_pair), AfterValidator(_check_rising)]
PositiveBounds = Annotated[Bounds, AfterValidator(_check_positive)]
IntegerBounds = Annotated[tuple[int, int], BeforeValidator(_check_pair), AfterValidator(_check_rising)]
