"""The searcher and the stopper of a method: one of ours, by its name, or a class of the user's own, ``module:Class``."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from typing_extensions import override

from ..search.registry import SEARCHERS
from ..search.searcher import Searcher, SearchOptions
from ..space.search_space import Configuration
from ..stopping.registry import RENAMED, STOPPERS
from ..stopping.stopper import StopOptions, Stopper
from ..util.errors import UserError
from ..util.schema import Model, OneOf, refuse
from ..util.user_code import REFERENCE, imports, load_class


class _UnreadStopOptions(StopOptions):
    """Options of a stopper that is not imported, since a stranger wrote it."""

    model_config = ConfigDict(extra="allow")


class _UnreadSearchOptions(SearchOptions):
    """Options of a searcher that is not imported, since a stranger wrote it."""

    model_config = ConfigDict(extra="allow")


class _UnreadStopper(Stopper):
    """A stopper of a stranger, which decides nothing here."""

    Options = _UnreadStopOptions


class _UnreadSearcher(Searcher):
    """A searcher of a stranger, which suggests nothing here."""

    Options = _UnreadSearchOptions
    independent = sample = True  # whatever it is, it was checked where it was trusted

    @override
    def suggest(self, trial: int) -> Configuration | None:
        return None


class _Rule(OneOf):
    """A choice among a registry's classes and those of users."""

    @classmethod
    def _registry(cls) -> Mapping[str, type[Any]]:
        raise NotImplementedError

    @classmethod
    def _own(cls, reference: str) -> type[Any]:
        """A class of the user's own."""
        raise NotImplementedError

    @classmethod
    def _rule_of(cls, kind: str) -> type[Any] | None:
        return cls._own(kind) if ":" in kind else cls._registry().get(kind)

    @property
    def is_own(self) -> bool:
        """Whether the class is the user's own."""
        return ":" in self.kind

    @override
    @classmethod
    def kinds(cls) -> Mapping[str, type[Model]]:
        return {kind: rule.Options for kind, rule in cls._registry().items()}

    @override
    @classmethod
    def options_of(cls, kind: str) -> type[Model] | None:
        try:
            rule = cls._rule_of(kind)
        except UserError as error:
            refuse(str(error))
        return None if rule is None else rule.Options

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = super().__get_pydantic_json_schema__(core, handler)
        form = schema["anyOf"][1]
        for kind, rule in cls._registry().items():
            form["properties"][kind] = {**form["properties"][kind], "description": rule.rule}
        form["patternProperties"] = {REFERENCE: {"type": "object"}}
        schema["anyOf"].append({"type": "string", "pattern": REFERENCE})
        return schema


class Search(_Rule):
    """The searcher: which configurations are tried."""

    @override
    @classmethod
    def _registry(cls) -> Mapping[str, type[Searcher]]:
        return SEARCHERS

    @override
    @classmethod
    def _own(cls, reference: str) -> type[Searcher]:
        return load_class(reference, Searcher) if imports() else _UnreadSearcher  # type: ignore[type-abstract]

    @property
    def rule(self) -> type[Searcher]:
        """The searcher's class."""
        found: type[Searcher] = self._rule_of(self.kind)  # type: ignore[assignment]  # checked
        return found

    @property
    def learns(self) -> bool:
        """Whether suggestions depend on what earlier trials found, so that trials are not independent."""
        return not self.rule.independent


class Stop(_Rule):
    """The stopper: which trials go on."""

    RENAMED: ClassVar[Mapping[str, str]] = RENAMED

    @override
    @classmethod
    def _registry(cls) -> Mapping[str, type[Stopper]]:
        return STOPPERS

    @override
    @classmethod
    def _own(cls, reference: str) -> type[Stopper]:
        return load_class(reference, Stopper) if imports() else _UnreadStopper

    @property
    def rule(self) -> type[Stopper]:
        """The stopper's class."""
        found: type[Stopper] = self._rule_of(self.kind)  # type: ignore[assignment]  # checked
        return found

    @property
    def calibrates(self) -> bool:
        """Whether the method's record gives one of its options, in place of choosing trials."""
        return bool(self.options.calibrates)
