"""What all typed settings are made of: numbers with bounds, models that know their keys, choices between kinds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

# Strict: pydantic would take true for 1, and "3" for 3.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
Share = Annotated[Number, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an experiment: where, what, and the names that would have been right."""

    path: tuple[str | int, ...]
    message: str
    allowed: tuple[str, ...] = ()


class Model(BaseModel):
    """Base of all settings: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


class NoOptions(Model):
    """A kind without options."""


class OneOf(Model):
    """A choice between kinds, written ``kind`` or ``{kind: {option: value}}``."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, given: Any) -> Any:
        if isinstance(given, str):
            if given not in cls.model_fields:
                raise PydanticCustomError(
                    "unknown_kind", "must be one of {allowed}", {"allowed": ", ".join(cls.model_fields)}
                )
            return {given: {}}
        if isinstance(given, Mapping):
            return {key: {} if value is None else value for key, value in given.items()}
        if not isinstance(given, cls):
            raise PydanticCustomError(
                "unknown_kind", "must be one of {allowed}", {"allowed": ", ".join(cls.model_fields)}
            )
        return given

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError(
                "one_kind", "needs exactly one of {allowed}", {"allowed": ", ".join(type(self).model_fields)}
            )
        return self

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {self.kind: self.options}

    @property
    def kind(self) -> str:
        """The chosen kind."""
        return next(iter(self.model_fields_set))

    @property
    def options(self) -> Any:
        """The chosen kind's options."""
        return getattr(self, self.kind)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        properties: dict[str, Any] = {}
        for name, prop in schema.pop("properties").items():
            prop.pop("default", None)
            if "anyOf" in prop:  # "options or absent": absent is not something to write
                prop.update(next(branch for branch in prop.pop("anyOf") if branch.get("type") != "null"))
            properties[name] = prop
        form = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
        schema.pop("additionalProperties", None)
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "string", "enum": list(properties)}, form]
        return schema
