"""Reading experiment files, and saying what is wrong with them in the user's words.

A problem names the file and line, the key path, the value found there, what is allowed and, for a misspelt name, the
nearest valid one. All problems of a file are reported at once.
"""

import difflib
import json
import math
import re
from collections.abc import Hashable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ValidationError

from ..util.errors import UserError
from ..util.files import read_plain
from ..util.partial import CLOSE
from ..util.schema import Model, Problem, in_lines, problems_in
from ..util.words import cut_short
from .experiment import Experiment
from .setting import Setting

EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# A config is written by hand; anything larger is some other file, given by mistake.
LARGEST_FILE = 1_000_000
# Nor does one stand for more values than this: nine lines of YAML aliases can stand for a billion.
MOST_VALUES = 1_000_000
# Nor has one more values in all, or mappings and lists that are longer than these.
MOST_NODES, MOST_KEYS, MOST_ITEMS, DEEPEST = 25_000, 1000, 10_000, 100
# Problems that are told; who has more would not read them.
MOST_TOLD = 20
LARGEST_RESOLVED = 10_000_000


class ConfigError(UserError):
    """A config that cannot be used; the message is for the user and may have several lines."""


def _of_a_file(image: str) -> str:
    if "://" in image or re.search(r"\s", image):  # Snakemake takes no spaces
        raise ValueError("must be the path of an image file, without spaces; docs/slurm.md says how to make one")
    return image


class Workflow(Model):
    """What `config/config.yaml` may say."""

    experiments: tuple[str, ...] = ()
    """Experiments that `snakemake` makes when it is given no target."""
    folder: str = "config/experiments"
    """Where the experiment files lie."""
    results: str = "results"
    """Where results go."""
    container: Annotated[str, AfterValidator(_of_a_file)] | None = None
    """The image file that rules run in, where Snakemake is told `--sdm apptainer`."""


class _TooLarge(Exception):
    """A file that nobody has written by hand: what there is too much of, and in which line."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of numbers and booleans, and no silent overwriting of repeated keys.

    YAML 1.1, PyYAML's own, reads ``1e-4`` as text and ``no`` as false: both are traps in a search space.
    """

    _nodes = _depth = 0
    yaml_implicit_resolvers = {  # noqa: RUF012 - overrides PyYAML's class attribute
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float", ":int"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def scan_to_next_token(self) -> None:
        """As YAML has it, tabs may stand between tokens, as after a colon, but not in an indent; PyYAML knows none."""
        super().scan_to_next_token()
        while self.peek() == "\t" and self.buffer[self.pointer - self.column : self.pointer].strip(" \t"):
            self.forward()
            super().scan_to_next_token()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes, self._depth = self._nodes + 1, self._depth + 1
        if self._nodes > MOST_NODES:
            raise _TooLarge(f"more than {MOST_NODES} values", self.line + 1)
        if self._depth > DEEPEST:
            raise RecursionError
        found: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        most, what = (MOST_KEYS, "keys") if isinstance(found, yaml.MappingNode) else (MOST_ITEMS, "values")
        if isinstance(found, yaml.CollectionNode) and len(found.value) > most:
            raise _TooLarge(f"more than {most} {what} in one place", found.start_mark.line + 1)
        return found

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, "merge keys (<<) are not read; write the keys out", key_node.start_mark
                )
            key = self.construct_object(key_node, deep=True)
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
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(str(node.value)))


_Loader.add_constructor("tag:yaml.org,2002:binary", yaml.SafeLoader.construct_undefined)  # type: ignore[type-var]


def read_workflow(given: Mapping[str, Any], where: str) -> Workflow:
    """What the workflow's config file, `--config`, or a `module` statement say together.

    Args:
        given: what they say.
        where: the name of the file, for messages.

    Raises:
        ConfigError: a key is unknown, or its value of the wrong kind.
    """
    try:
        return Workflow.model_validate(dict(given))
    except ValidationError as error:
        raise ConfigError(in_lines(error, f"{where}: ")) from None


def read_experiment(path: Path) -> Experiment:
    """The experiment in a YAML file.

    Raises:
        ConfigError: the file cannot be read or holds problems; the message lists all of them.
    """
    if path.stem == "data":
        raise ConfigError(f"{path}: an experiment cannot be called data: results/data holds the data sets")
    if not EXPERIMENT_NAME.fullmatch(path.stem):
        raise ConfigError(f"{path}: an experiment's file name may hold letters, digits, '-' and '_' only")
    given, node = _read_yaml(path)
    if given is None:
        raise ConfigError(f"{path}: is empty; an experiment has the keys {', '.join(Experiment.model_fields)}")
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: must be a mapping with the keys {', '.join(Experiment.model_fields)}")
    try:
        return Experiment.model_validate(given)
    except ValidationError as error:
        found = sorted((_describe(path, node, given, p) for p in problems_in(error)), key=lambda pair: pair[0])
        lines = list(dict.fromkeys(text for _, text in found))
        more = [f"{path}: and {len(lines) - MOST_TOLD} more problems"] if len(lines) > MOST_TOLD else []
        raise ConfigError("\n".join([*lines[:MOST_TOLD], *more])) from None


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
        return model.model_validate_json(read_plain(path, LARGEST_RESOLVED))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = next(problems_in(error))
        where = ".".join(map(str, first.path)) or "the file"
        raise ConfigError(
            f"{path}: {where}: {first.message}; `hypercurve resolve` writes this file: delete it, and it is made again"
        ) from None


def read_mapping(path: Path) -> Mapping[str, Any]:
    """What stands in a YAML file, which must be a mapping; nothing else is checked.

    Raises:
        ConfigError: it cannot be read.
    """
    given, _ = _read_yaml(path)
    if not isinstance(given, Mapping):
        raise ConfigError(f"{path}: must be a mapping")
    return given


def parse_yaml(text: str, where: str) -> Any:
    """A value written as YAML.

    Args:
        where: what it stands in, for messages.

    Raises:
        ConfigError: it is not YAML.
    """
    return _parse(text, where)[0]


def _read_yaml(path: Path) -> tuple[Any, yaml.Node | None]:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a device or pipe, which may never end
            raise ConfigError(f"{path}: is not a file")
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path}: is larger than {LARGEST_FILE} bytes, so it is no experiment file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text") from None
    return _parse(text, str(path))


def _parse(text: str, source: str) -> tuple[Any, yaml.Node | None]:
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None and _values(node, {}) > MOST_VALUES:
                raise ConfigError(
                    f"{source}: its aliases (*name) stand for themselves, or for over {MOST_VALUES} values"
                )
            value = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(
            f"{source}:{line}: not valid YAML: the character U+{error.character:04X} is not allowed"
        ) from None
    except _TooLarge as error:
        raise ConfigError(f"{source}:{error.args[1]}: {error.args[0]}, so it is no experiment file") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = source if mark is None else f"{source}:{mark.line + 1}"
        raise ConfigError(f"{where}: not valid YAML: {_say(error)}") from None
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML: brackets within brackets, too deep to read") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source}: not valid YAML: {error}") from None
    return value, node


def _say(error: yaml.MarkedYAMLError) -> str:
    text = error.problem or str(error)
    if "'\\t'" in text:
        return "a tab; lines are indented with spaces"
    if "constructor for the tag" in text:
        return "tags (!name) are not read"
    return text.removeprefix("but ") if error.context is None else f"{error.context}: {text}"


def _values(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for, with its aliases written out; infinitely many if it contains itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is known: what refers to a node from inside it has no end
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        inner = (part for pair in parts for part in (pair if isinstance(pair, tuple) else (pair,)))
        known[id(node)] = 1 + sum(_values(part, known) for part in inner)
    return known[id(node)]


def _describe(path: Path, node: yaml.Node | None, given: Any, problem: Problem) -> tuple[int, str]:
    """The problem's line, 0 if there is none, and what to say."""
    line, value, depth = _locate(node, given, problem.path)
    where = f"{path}:{line}" if line else str(path)
    key = ".".join(str(part) for part in problem.path) or "(the file)"
    missing = depth < len(problem.path)
    shown = "" if missing or isinstance(value, Mapping) else f" = {_short(value)}"
    text = f"{where}: {key}{shown}: {problem.message}"
    wrong = str(problem.path[-1]) if problem.message.startswith("unknown key") and problem.path else value
    # A kind is misspelt either as the value (`search: randm`) or as the key (`search: {randm: {}}`).
    if problem.allowed and isinstance(wrong, str):
        nearest = difflib.get_close_matches(wrong, problem.allowed, n=1, cutoff=CLOSE)
        if nearest and nearest[0] != wrong:
            text += f"; did you mean '{nearest[0]}'?"
    return line or 0, text


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
    # In pieces: a value may be far longer than what is shown of it.
    text = "".join(islice(json.JSONEncoder(default=str, ensure_ascii=False).iterencode(value), 61))
    return cut_short(text)
