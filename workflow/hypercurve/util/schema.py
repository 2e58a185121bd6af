"""What all typed settings are made of: numbers with bounds, models that know their keys, choices between kinds; and how
what is wrong with them is told.

There is one idiom. Pydantic checks each value by itself; what takes two values to see, a model's `faults` yields as
:class:`Problem`. Both end in one ValidationError, in the words of the file: where it stands, what is allowed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, NoReturn, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

# Strict: pydantic would take true for 1, and "3" for 3.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
Share = Annotated[Number, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Place: TypeAlias = tuple[str | int, ...]

# What pydantic finds, in the words of someone who has never heard of it.
_WORDS = {
    "missing": "is required",
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
    "too_short": "must not be empty",
    "literal_error": "must be one of {expected}",
    "json_invalid": "is damaged, not JSON",
    "extra_forbidden": "unknown key; allowed: {allowed}",
    "model_type": "must be a mapping with keys among {allowed}",
}
# Parts of pydantic's places that stand in no file.
_UNWRITTEN = ("[key]", "[rate]", "[budget]")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with settings: where, what, and the names that would have been right."""

    path: Place
    message: str
    allowed: tuple[str, ...] = ()

    def within(self, *place: str | int) -> "Problem":
        """The same problem, of a part that stands at a place."""
        return replace(self, path=(*place, *self.path))


def refusal(problems: Iterable[Problem], given: object = None) -> ValidationError:
    """The error for a validator to raise; pydantic puts the validator's own place before the problems' paths."""
    details = []
    for problem in problems:
        kind = PydanticCustomError("problem", problem.message, {"allowed": problem.allowed})
        details.append(InitErrorDetails(type=kind, loc=problem.path, input=given))
    return ValidationError.from_exception_data("settings", details)


def refuse(message: str) -> NoReturn:
    """Raise what a validator finds wrong with its own value.

    Raises:
        PydanticCustomError: always; unlike for ValueError, pydantic puts nothing in front of the message.
    """
    raise PydanticCustomError("problem", message)


def problems_in(error: ValidationError, keys: Iterable[str] = ()) -> Iterator[Problem]:
    """What pydantic has found, in words.

    Args:
        error: what came of a validation.
        keys: the keys of what was validated.
    """
    for found in error.errors():
        if found["type"] == "default_factory_not_called":  # for want of a value that is told to be wrong
            continue
        context = {name: _plain(value) for name, value in found.get("ctx", {}).items()}
        path = tuple(part for part in found["loc"] if part not in _UNWRITTEN)
        allowed = context.get("allowed", ())
        if isinstance(allowed, str):
            allowed = tuple(allowed.split(", "))
        if found["type"] == "literal_error":
            allowed = tuple(part.strip("'") for part in re.split(", | or ", str(context["expected"])))
            context = {"expected": ", ".join(allowed)}
        elif found["type"] in ("extra_forbidden", "model_type"):
            allowed = tuple(keys)
            context = {"allowed": ", ".join(allowed) or "none"}
        message = found["msg"].removeprefix("Value error, ")
        if found["type"] in _WORDS:
            message = _WORDS[found["type"]].format(**context)
        yield Problem(path, message, allowed)


def in_lines(error: ValidationError, before: str = "") -> str:
    """What pydantic has found: a line for each problem with its key, after what stands before each."""
    return "\n".join(dict.fromkeys(f"{before}{'.'.join(map(str, p.path))}: {p.message}" for p in problems_in(error)))


def _plain(value: Any) -> Any:
    """A bound as a person would write it: 1, not 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def hint(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest one, and all there are."""
    names = list(known)
    near = get_close_matches(str(name), names, n=1)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" allowed: {', '.join(names) or 'none'}"


def in_words(message: str) -> WrapValidator:
    """Says what is wrong with a value of several types in one message, where pydantic would have one per type."""

    def check(given: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(given)
        except ValidationError:
            refuse(message)

    return WrapValidator(check)


class Consistent(BaseModel):
    """Base of what has checks that take more than one value."""

    def faults(self) -> Iterator[Problem]:
        """What does not fit together, with paths from here; each value is right by itself."""
        yield from ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if found := list(self.faults()):
            raise refusal(found, self)
        return self


class Model(Consistent):
    """Base of all settings: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(given)
        except ValidationError as error:
            raise refusal(cls._problems(error, given), given) from None

    @classmethod
    def _problems(cls, error: ValidationError, given: Any) -> Iterable[Problem]:
        """What is wrong, of what pydantic has found in what was given."""
        del given
        return problems_in(error, cls.model_fields)


class OneOf(Model):
    """A choice between kinds, written ``kind`` or ``{kind: {option: value}}``, and dumped in the second form."""

    kind: str
    """The chosen kind."""
    options: Any
    """The chosen kind's options."""

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Names that kinds had, and what they are called now."""

    @classmethod
    def kinds(cls) -> Mapping[str, type[Model]]:
        """The options of each kind."""
        raise NotImplementedError

    @classmethod
    def options_of(cls, kind: str) -> type[Model] | None:
        """The options of a kind; None if there is no such kind."""
        return cls.kinds().get(kind)

    @model_validator(mode="before")
    @classmethod
    def _chosen(cls, given: Any) -> Any:
        if isinstance(given, cls):
            return given
        names = tuple(cls.kinds())
        whole = isinstance(given, Mapping)
        written = dict(given) if whole else {given: None} if isinstance(given, str) else {}
        found: list[Problem] = []
        chosen: dict[str, Any] = {}
        for kind, options in written.items():
            at = (kind,) if whole else ()
            try:
                model = cls.options_of(str(kind))
                if model is None:
                    found.append(_unknown_kind(str(kind), at, names, cls.RENAMED))
                else:
                    chosen = {"kind": kind, "options": model.model_validate({} if options is None else options)}
            except PydanticCustomError as error:
                found.append(Problem(at, error.message()))
            except ValidationError as error:
                found += [problem.within(*at) for problem in problems_in(error)]
        if not written and not whole:
            found.append(Problem((), f"must be one of {', '.join(names)}", names))
        elif len(written) != 1 and not found:
            found.append(Problem((), f"needs exactly one of {', '.join(names)}", names))
        if found:
            raise refusal(found, given)
        return chosen

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {self.kind: self.options}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        properties = {kind: handler(model.__pydantic_core_schema__) for kind, model in cls.kinds().items()}
        form = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
        for key in ("additionalProperties", "type", "properties", "required"):
            schema.pop(key, None)
        schema["anyOf"] = [{"type": "string", "enum": list(properties)}, form]
        return schema


def _unknown_kind(kind: str, at: Place, names: tuple[str, ...], renamed: Mapping[str, str]) -> Problem:
    if kind in renamed:
        return Problem(at, f"is called {renamed[kind]} now")
    said = f"unknown key; allowed: {', '.join(names)}" if at else f"must be one of {', '.join(names)}"
    return Problem(at, said, names)


def by_key(data: object, kinds: Mapping[str, type[BaseModel]], what: str) -> BaseModel:
    """A choice between kinds that stands flat, ``{kind: value, option: value}``, as domains do.

    Pydantic's own unions would report one error per branch, or put an extra element into the place.

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
        refuse(f"expected a mapping with one of {', '.join(kinds)}; got {data!r}")
    given = [key for key in kinds if key in data]
    if len(given) > 1:
        given = [key for key in given if any(key not in kinds[other].model_fields for other in given)]
    if len(given) > 1:
        refuse(f"expected one {what}, got {' and '.join(given)} together")
    options = {key for kind in given or kinds for key in kinds[kind].model_fields}
    if unknown := [key for key in data if key not in options]:
        place, allowed = (f"option of {given[0]}", kinds[given[0]].model_fields) if given else (what, kinds)
        raise refusal(Problem((str(key),), f"unknown {place} {key!r}{hint(key, allowed)}") for key in unknown)
    if not given:
        refuse(f"no {what} given; allowed: {', '.join(kinds)}")
    return kinds[given[0]].model_validate(data)
