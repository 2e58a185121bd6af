"""Settings of which only a part is right: each value is checked by itself, and what takes several is checked on the rest.

So all problems of a file are told at once, and none that only follows from another.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from types import NoneType
from typing import Annotated, Any, NoReturn, get_args, get_origin

from pydantic import RootModel, TypeAdapter, ValidationError

from .schema import Consistent, OneOf, Problem, problems_in


class Unchecked(Exception):
    """A check uses a value that is wrong in itself."""


class _Wrong:
    """Stands where something was given that is wrong. So are its attributes; any other use raises :class:`Unchecked`."""

    def __getattr__(self, name: str) -> Any:
        return self

    def _use(self, *_: object) -> NoReturn:
        raise Unchecked

    __class__ = property(_use)  # what `isinstance` asks
    __getitem__ = __iter__ = __contains__ = __len__ = __bool__ = __call__ = __str__ = __format__ = _use
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = __float__ = __index__ = __round__ = _use
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __mod__ = _use


WRONG: Any = _Wrong()
CLOSE = 0.5
"""How alike names are, from 0 to 1, for one to be taken for the other misspelt."""


def told(*checks: Iterator[Problem]) -> Iterator[Problem]:
    """What several checks find; one that uses a wrong value ends there."""
    for check in checks:
        with suppress(Unchecked):
            yield from check


def validate_parts(kind: Any, given: Any) -> tuple[Any, list[Problem]]:
    """As much of a value as is right, with :data:`WRONG` in place of the rest; and all problems, with paths from here.

    Args:
        kind: its type, as pydantic takes it.
        given: the value; what is :data:`WRONG` in it was told before.
    """
    if given is WRONG:
        return WRONG, []
    try:
        return TypeAdapter(kind).validate_python(given), []
    except Unchecked:
        return take_apart(kind, given, [])
    except ValidationError as error:
        return take_apart(kind, given, list(problems_in(error)))


def take_apart(kind: Any, given: Any, found: list[Problem]) -> tuple[Any, list[Problem]]:
    """As :func:`validate_parts`, for a value that pydantic has found problems with; it does not look behind them."""
    if get_origin(kind) is Annotated:
        return take_apart(get_args(kind)[0], given, found)
    if NoneType in get_args(kind) and len(get_args(kind)) == 2:
        return take_apart(next(other for other in get_args(kind) if other is not NoneType), given, found)
    model = kind if isinstance(kind, type) and issubclass(kind, Consistent) and not issubclass(kind, OneOf) else None
    root = model is not None and issubclass(model, RootModel)
    shape = kind.model_fields["root"].annotation if root else kind
    if not isinstance(given, Mapping) or not given or not (model or get_origin(shape) is dict):
        return WRONG, found
    if get_origin(shape) is dict:
        values = {name: validate_parts(get_args(shape)[1], value) for name, value in given.items()}
    else:
        values = _fields(kind, given)
    found += [problem.within(name) for name, (_, inside) in values.items() for problem in inside]
    right = {name: value for name, (value, _) in values.items()}
    if model is None:
        return right, list(dict.fromkeys(found))

    def built() -> Any:
        return kind.model_construct(_fields_set=set(given), **({"root": right} if root else right))

    faults = list(told(built().faults()))
    for fault in faults:  # what a problem points at is not to be relied on
        right[fault.path[0] if fault.path else ""] = WRONG
    return WRONG if "" in right else built(), list(dict.fromkeys([*found, *faults]))


def _fields(model: type[Consistent], given: Mapping[Any, Any]) -> dict[Any, tuple[Any, list[Problem]]]:
    """The values of a model's fields with their problems; what is missing or may be there misspelt is wrong."""
    unknown = [str(name) for name in given if name not in model.model_fields]
    absent = [name for name in model.model_fields if name not in given]
    meant = {near for name in unknown for near in get_close_matches(name, absent, n=1, cutoff=CLOSE)}
    values: dict[Any, tuple[Any, list[Problem]]] = {}
    for name, field in model.model_fields.items():
        if name in given:
            values[name] = validate_parts(Annotated[(field.annotation, *field.metadata, "")], given[name])
        elif field.is_required() or name in meant:
            values[name] = WRONG, []
        else:
            before = {name: value for name, (value, _) in values.items() if value is not WRONG}
            values[name] = field.get_default(call_default_factory=True, validated_data=before), []
    return values
