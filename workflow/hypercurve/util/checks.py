"""Checks and error messages that the typed forms of domains and perturbation rules share.

Every problem is told in the words of the file: where it stands, what was given, what is allowed. A mapping is validated
with the one model whose key is present. Pydantic's own unions would report one error per branch, or put an extra
element into the place; here it reads as the user wrote it, for instance ``('learning_rate', 'uniform', 0)``.
"""

import math
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Value = bool | int | float | str

_Pair = TypeVar("_Pair", tuple[float, float], tuple[int, int])
# Text that a person means as a number; YAML 1.1 reads 1e-4 and 2.0e8 as text.
_NUMBER_AS_TEXT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def problem(message: str) -> PydanticCustomError:
    """An error for a validator to raise; unlike for ValueError, pydantic puts nothing in front of the message."""
    return PydanticCustomError("space", message)


def problems_at(*found: tuple[tuple[str, ...], str, object]) -> ValidationError:
    """Errors (place, message, value) further down than the validator that raises them, whose own place comes before."""
    details = [InitErrorDetails(type=problem(message), loc=place, input=value) for place, message, value in found]
    return ValidationError.from_exception_data("space", details)


def hint(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest one, and all there are."""
    names = list(known)
    near = get_close_matches(str(name), names, n=1)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" allowed: {', '.join(names) or 'none'}"


def by_key(data: object, kinds: Mapping[str, type[BaseModel]], what: str) -> BaseModel:
    """Validate a mapping with the model whose key it has.

    Args:
        data: the mapping; an instance of one of the models is returned as it is.
        kinds: the models by their keys. A key that is also an option of the other kinds present does not choose.
        what: what the models describe, for messages.

    Raises:
        PydanticCustomError, ValidationError: for use inside a pydantic validator.
    """
    if isinstance(data, BaseModel) and isinstance(data, tuple(kinds.values())):
        return data
    if not isinstance(data, Mapping):
        raise problem(f"expected a mapping with one of {', '.join(kinds)}; got {data!r}")
    given = [key for key in kinds if key in data]
    if len(given) > 1:
        given = [key for key in given if any(key not in kinds[other].model_fields for other in given)]
    if len(given) > 1:
        raise problem(f"expected one {what}, got {' and '.join(given)} together")
    options = set(
        kinds[given[0]].model_fields if given else (key for kind in kinds.values() for key in kind.model_fields)
    )
    for key in data:
        if key not in options:
            place, allowed = (f"option of {given[0]}", kinds[given[0]].model_fields) if given else (what, kinds)
            raise problems_at(((str(key),), f"unknown {place} {key!r}{hint(key, allowed)}", data[key]))
    if not given:
        raise problem(f"no {what} given; allowed: {', '.join(kinds)}")
    return kinds[given[0]].model_validate(data)


def same(a: object, b: object) -> bool:
    """Equality of values, but ``True`` is not 1, as it would be in Python."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def is_number(value: object) -> bool:
    """Whether the value is an integer or a float, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_scalar(value: object) -> Any:
    """A plain Python scalar, finite, and not a number by mistake read as text."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, bool | int | float | str):
        raise problem(f"expected a number, text, true or false; got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise problem(f"expected a finite number, got {value}")
    if isinstance(value, str) and _NUMBER_AS_TEXT.fullmatch(value):
        raise problem(f"{value!r} is text, not a number; write it without quotes, as in 1.0e-4 or 2.0e+8")
    return value


def check_list(value: object) -> object:
    """A list with something in it."""
    if not isinstance(value, list | tuple):
        raise problem(f"expected a list of values, got {value!r}")
    if not value:
        raise problem("expected at least one value, got an empty list")
    return value


def _check_pair(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2 or any(isinstance(bound, bool) for bound in value):
        raise problem(f"expected two numbers [low, high], got {value!r}")
    return value


def _check_rising(bounds: _Pair) -> _Pair:
    low, high = bounds
    if not low < high:
        raise problem(f"low must be below high, got [{low}, {high}]")
    if not math.isfinite(high - low):
        raise problem(f"[{low}, {high}] is wider than a float can hold")
    return bounds


def _check_positive(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] <= 0:
        raise problem(f"low must be above 0, got {bounds[0]}")
    return bounds


Scalar = Annotated[Value, BeforeValidator(check_scalar)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Bounds = Annotated[tuple[Finite, Finite], BeforeValidator(_check_pair), AfterValidator(_check_rising)]
PositiveBounds = Annotated[Bounds, AfterValidator(_check_positive)]
IntegerBounds = Annotated[tuple[int, int], BeforeValidator(_check_pair), AfterValidator(_check_rising)]
