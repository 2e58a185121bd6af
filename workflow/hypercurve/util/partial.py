"""Settings of which only a part is right: each value is checked by itself, and what takes several is checked on the rest.

So all problems of a file are told at once, and none that only follows from another.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from types import NoneType
from typing import Annotated, Any, NoReturn, get_args, get_origin

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError

from .schema import Consistent, OneOf, Problem, problems_in


class Unchecked(Exception):
    """A check uses a value that is wrong in itself."""


class _Wrong:
    """Stands where something was given that is wrong; it is not None, and whoever uses it meets :class:`Unchecked`."""

    def _use(self, *_: object) -> NoReturn:
        raise Unchecked

    __class__ = property(_use)  # what `isinstance` asks
    __getattr__ = __getitem__ = __iter__ = __contains__ = __len__ = __bool__ = __call__ = __str__ = __format__ = _use
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
        found = []
    except ValidationError as error:
        found = list(problems_in(error))
    kind = _plain(kind)
    if not isinstance(given, Mapping):
        return WRONG, found
    if get_origin(kind) is dict:
        value, inside = _entries(kind, given)
    elif isinstance(kind, type) and issubclass(kind, Consistent) and not issubclass(kind, OneOf):
        value, inside = validate_fields(kind, given, found)
    else:
        return WRONG, found
    return (value, inside) if inside or not found else (WRONG, found)


def _plain(kind: Any) -> Any:
    """A type without its annotations, and without None as an alternative."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    others = [other for other in get_args(kind) if other is not NoneType]
    return _plain(others[0]) if len(others) == 1 else kind


def _entries(kind: Any, given: Mapping[Any, Any]) -> tuple[dict[Any, Any], list[Problem]]:
    values: dict[Any, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        values[name], inside = validate_parts(get_args(kind)[1], value)
        problems += [problem.within(name) for problem in [*validate_parts(get_args(kind)[0], name)[1], *inside]]
    return values, problems


def validate_fields(
    kind: type[Consistent], given: Mapping[Any, Any], found: list[Problem]
) -> tuple[Any, list[Problem]]:
    """As :func:`validate_parts`, for a model of which pydantic has found some problems already."""
    root = issubclass(kind, RootModel)
    values: dict[Any, Any]
    values, problems = _entries(kind.model_fields["root"].annotation, given) if root else _fields(kind, given, found)

    def built() -> Any:
        return kind.model_construct(**({"root": values} if root else values), _fields_set=set(given))

    faults = list(told(built().faults()))
    problems += faults
    if any(not fault.path for fault in faults):
        return WRONG, problems
    for fault in faults:  # what a problem points at is not to be relied on
        values[fault.path[0]] = WRONG
    return built(), problems


def _fields(
    kind: type[BaseModel], given: Mapping[Any, Any], found: list[Problem]
) -> tuple[dict[Any, Any], list[Problem]]:
    fields, values = kind.model_fields, dict[Any, Any]()
    # Keys that are unknown or missing; what stands under the others is looked at anew.
    known = fields.keys() & given.keys()
    problems = [problem for problem in found if problem.path and problem.path[0] not in known]
    absent = [name for name in fields if name not in given]
    unknown = [str(name) for name in given if name not in fields]
    meant = {near for name in unknown for near in get_close_matches(name, absent, n=1, cutoff=CLOSE)}
    for name, field in fields.items():
        if name in given:
            values[name], inside = validate_parts(Annotated[(field.annotation, *field.metadata, "")], given[name])
            problems += [problem.within(name) for problem in inside]
        elif field.is_required() or name in meant:
            values[name] = WRONG
        else:
            right = {name: value for name, value in values.items() if value is not WRONG}
            values[name] = field.get_default(call_default_factory=True, validated_data=right)
    return values, problems
