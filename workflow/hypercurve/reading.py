"""Reading experiment files, and saying what is wrong with them in the user's words.

A problem names the file and line, the key path, the value found there, what is allowed and, for a misspelt name, the
nearest valid one. All problems of a file are reported at once.
"""

import difflib
import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from .config import Experiment, Method, Problem, Setting
from .errors import UserError
from .space import Space

EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# A config is written by hand; anything larger is some other file, given by mistake.
LARGEST_FILE = 1_000_000


class ConfigError(UserError):
    """A config that cannot be used; the message is for the user and may have several lines."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of numbers and booleans, and no silent overwriting of repeated keys.

    YAML 1.1, PyYAML's own, reads ``1e-4`` as text and ``no`` as false: both are traps in a search space.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - overrides PyYAML's class attribute
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float", ":int"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a name", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice in one mapping", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^([tT]rue|TRUE|[fF]alse|FALSE)$"), [*"tTfF"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), [*"-+0123456789"])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    [*"-+0123456789."],
)
# Decimal only: PyYAML's own rule would read 010 as 8 and 1:30 as 90.
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))


def read_experiment(path: Path) -> Experiment:
    """The experiment in a YAML file.

    Raises:
        ConfigError: the file cannot be read or holds problems; the message lists all of them.
    """
    if not EXPERIMENT_NAME.fullmatch(path.stem):
        raise ConfigError(f"{path}: an experiment's file name may hold letters, digits, '-' and '_' only")
    given, node = _read_yaml(path)
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: must be a mapping with the keys {', '.join(Experiment.model_fields)}")
    try:
        return Experiment.model_validate(given)
    except ValidationError as error:
        problems = [_describe(path, node, given, problem) for problem in _problems(error)]
        raise ConfigError("\n".join(dict.fromkeys(problems))) from None


_Resolved = TypeVar("_Resolved", bound=BaseModel)


def read_setting(path: Path) -> Setting:
    """One method's setting, as ``hypercurve resolve --method`` writes it.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    return _read_json(path, Setting)


def read_resolved(path: Path) -> Experiment:
    """A whole experiment, as ``hypercurve resolve`` writes it.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    return _read_json(path, Experiment)


def _read_json(path: Path, model: type[_Resolved]) -> _Resolved:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(
            f"{path}: {where}: {first['msg']}; `hypercurve resolve` writes this file: delete it, and it is made again"
        ) from None


def _read_yaml(path: Path) -> tuple[Any, yaml.Node | None]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path}: is larger than {LARGEST_FILE} bytes, so it is no experiment file")
        text = path.read_text(encoding="utf-8")
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            value = None if node is None else loader.construct_document(node)  # type: ignore[no-untyped-call]
        finally:
            loader.dispose()  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = "" if mark is None else f":{mark.line + 1}"
        raise ConfigError(f"{path}{line}: not valid YAML: {error.problem or error}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    return value, node


def _problems(error: ValidationError) -> Iterator[Problem]:
    for found in error.errors():
        context = found.get("ctx", {})
        if found["type"] == "problems":
            yield from context["problems"]
            continue
        path = tuple(part for part in found["loc"] if part != "[key]")
        message = found["msg"].removeprefix("Value error, ")
        allowed: tuple[str, ...] = ()
        if found["type"] == "extra_forbidden":
            allowed = _siblings(path)
            message = "unknown key" + (f"; allowed: {', '.join(allowed)}" if allowed else "")
        elif found["type"] == "missing":
            message = "is required"
        elif isinstance(context.get("allowed"), str):
            allowed = tuple(context["allowed"].split(", "))
        elif found["type"] == "literal_error":
            allowed = tuple(re.findall(r"'([^']*)'", str(context.get("expected", ""))))
            message = f"must be one of {', '.join(allowed)}"
        yield Problem(path, message[:1].lower() + message[1:], allowed)


def _siblings(path: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that may stand where an unknown key stands."""
    model: Any = Experiment
    for part in path[:-1]:
        if model is Experiment and part == "methods":
            model = dict
        elif model is dict:
            model = Method
        elif isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation)
        else:
            return ()
    if isinstance(model, type) and issubclass(model, BaseModel) and not issubclass(model, Space):
        return tuple(model.model_fields)
    return ()


def _model_in(annotation: Any) -> Any:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _describe(path: Path, node: yaml.Node | None, given: Any, problem: Problem) -> str:
    line, value, depth = _locate(node, given, problem.path)
    where = f"{path}:{line}" if line else str(path)
    key = ".".join(str(part) for part in problem.path) or "(the file)"
    missing = depth < len(problem.path)
    shown = "" if missing or isinstance(value, Mapping) else f" = {_short(value)}"
    text = f"{where}: {key}{shown}: {problem.message}"
    wrong = str(problem.path[-1]) if problem.message.startswith("unknown key") and problem.path else value
    # A kind is misspelt either as the value (`search: randm`) or as the key (`search: {randm: {}}`).
    if problem.allowed and isinstance(wrong, str):
        nearest = difflib.get_close_matches(wrong, problem.allowed, n=1, cutoff=0.5)
        if nearest and nearest[0] != wrong:
            text += f"; did you mean '{nearest[0]}'?"
    return text


def _locate(node: yaml.Node | None, value: Any, path: Sequence[str | int]) -> tuple[int | None, Any, int]:
    """Line of the key at a path, the value there, and how much of the path exists in the file."""
    line: int | None = None if node is None else node.start_mark.line + 1
    for depth, part in enumerate(path):
        if isinstance(node, yaml.MappingNode) and isinstance(value, Mapping) and part in value:
            for key_node, value_node in node.value:
                if key_node.value == str(part):
                    line, node = key_node.start_mark.line + 1, value_node
                    break
            value = value[part]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node, value = node.value[part], value[part]
            line = node.start_mark.line + 1
        else:
            return line, value, depth
    return line, value, len(path)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
