"""From what pydantic finds wrong with an experiment to a list of all its problems, in words for users.

Where in the file a problem stands, and how it is shown, is left to :mod:`hypercurve.config.files`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError

from ..space.search_space import Space
from ..util.schema import Problem
from .experiment import Experiment
from .methods import Method
from .objective import Bound

Place = tuple[str | int, ...]

# What pydantic finds, in the words of someone who has never heard of it.
_WORDS = {
    "missing": "is required",
    "extra_forbidden": "unknown key",
    "invalid_key": "a key must be a name",
    "string_type": "must be text; a number or truth value as text stands in quotes",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "a name may hold letters, digits, '-' and '_' only, and begins with a letter or digit",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping, such as {{name: value}}",
    "model_type": "must be a mapping",
    "too_short": "must not be empty",
    "literal_error": "must be one of {expected}",
    "json_invalid": "is damaged, not JSON",
}
# Parts of pydantic's places that stand in no file.
_UNWRITTEN = ("[key]", "[rate]", "[budget]")
# Keys with values of two types, for which pydantic finds a problem per type.
_EITHER = {
    "trials_per_job": "must be a whole number of at least 1, or auto",
    "validation": "must be a number of examples, at least 1, or a share of them above 0 and below 1",
}


def problems_in(given: Any, error: ValidationError) -> Iterator[Problem]:
    """What pydantic has found, in words.

    Args:
        given: what was validated.
        error: what came of it.
    """
    for found in error.errors():
        context = {name: _plain(value) for name, value in found.get("ctx", {}).items()}
        kind = found["type"]
        if kind == "problems":
            yield from context["problems"]
            continue
        path = tuple(part for part in found["loc"] if part not in _UNWRITTEN)
        if len(path) > 1 and path[-2] in _EITHER and not _holds(given, path):
            yield Problem(path[:-1], _EITHER[str(path[-2])])
            continue
        allowed: tuple[str, ...] = ()
        if isinstance(context.get("allowed"), str):
            allowed = tuple(context["allowed"].split(", "))
        elif kind == "literal_error":
            allowed = tuple(part.strip("'") for part in re.split(", | or ", str(context.get("expected", ""))))
            context = {"expected": ", ".join(allowed)}
        message = found["msg"].removeprefix("Value error, ")
        if kind in _WORDS:
            message = _WORDS[kind].format(**context)
        if kind in ("extra_forbidden", "model_type"):
            allowed = _siblings(path if kind == "extra_forbidden" else (*path, ""))
            keys = ", ".join(allowed) or "none"
            message += f"; allowed: {keys}" if kind == "extra_forbidden" else f" with keys among {keys}"
        yield Problem(path, message, allowed)


def _plain(value: Any) -> Any:
    """A bound as a person would write it: 1, not 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _holds(given: Any, path: Place) -> bool:
    """Whether a path leads through mappings and lists all the way, whether or not the last part is there."""
    for part in path[:-1]:
        if not isinstance(given, Mapping | list):
            return False
        given = given.get(part) if isinstance(given, Mapping) else given[int(part)]
    return isinstance(given, Mapping | list)


# Stands in for what is required but wrong, while the rest is checked.
_STAND_INS: dict[str, Any] = {
    "data": {"name": "digits"},
    "model": "softmax",
    "space": {},
    "budget": {"trials": 10**6},
    "methods": {"stand-in": {"search": "random"}},
    "search": "random",
}


def all_problems(given: dict[str, Any], error: ValidationError) -> list[Problem]:
    """The problems of a file, also those that pydantic does not look for where it has found others.

    Checks across keys need all keys to be well-formed. So what is wrong is left out and the rest checked again, until
    nothing new is found. Problems that may come from the leaving out alone are no problems of the file.
    """
    problems = list(problems_in(given, error))
    rest, new = deepcopy(given), problems
    left_out: set[Place] = set()
    while True:
        more = {_leave_out(rest, problem.path) for problem in new} - left_out
        left_out |= more
        if not more:
            return problems
        try:
            Experiment.model_validate(rest)
        except ValidationError as further:
            new = list(problems_in(rest, further))
            problems = problems + [found for found in new if not _follows(found.path, left_out)]
        else:
            return problems


def _leave_out(rest: dict[str, Any], path: Place) -> Place:
    """Take the smallest part with a problem out of a file that can do without it; returns the part's place."""
    depth = 1
    if path[:1] in (("space",), ("training",), ("cost",), ("objective",), ("constraints",)):
        depth = 2
    elif path[:1] == ("methods",):
        depth = 4 if path[2:3] == ("space",) else 3
    path = path[:depth]
    inside: Any = rest
    for part in path[:-1]:
        inside = inside.get(part) if isinstance(inside, dict) else None
    if isinstance(inside, dict) and path:
        inside.pop(path[-1], None)
        if path[-1] in _STAND_INS and len(path) in (1, 3):
            inside[path[-1]] = deepcopy(_STAND_INS[str(path[-1])])
    return path


def _follows(path: Place, left_out: set[Place]) -> bool:
    """Whether the problem at a place may come from what was left out elsewhere."""
    if any(path[: len(part)] == part or part[: len(path)] == path for part in left_out):
        return True
    spaces = any(part[0] == "space" or part[2:3] == ("space",) for part in left_out if part)
    return (
        (path[-1] == "check_points" and bool(left_out & {("training",), ("training", "accumulation_points")}))
        or (path == ("data",) and ("model",) in left_out)  # which may do without
        or (path == ("baseline",) and any(part[0] == "methods" and len(part) < 3 for part in left_out if part))
        or ("space" in (path[0], *path[2:3]) and (("model",) in left_out or (spaces and "when" in path)))
    )


def _siblings(path: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that may stand where an unknown key stands."""
    model: Any = Experiment
    mapped = {"methods": Method, "constraints": Bound}  # names of one's own to these
    for part in path[:-1]:
        if model is Experiment and part in mapped:
            model = part
        elif isinstance(model, str):
            model = mapped[model]
        elif isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation)
        else:
            return ()
    if isinstance(model, type) and issubclass(model, BaseModel) and not issubclass(model, Space):
        return tuple(model.model_fields)
    return ()


def _model_in(annotation: Any) -> Any:
    """The model that an annotation is, or has among its alternatives."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in getattr(annotation, "__args__", ()) if (found := _model_in(inner))), None)
