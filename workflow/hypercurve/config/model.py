"""What is trained, where it is not a built-in model: the `model` part of an experiment file.

A user's own Keras function, a training loop in Python, or any program. All are declared: nothing of the user's is imported
or started when an experiment is read. Running them is left to :mod:`hypercurve.training`, finding their files to
:mod:`hypercurve.config.code_files`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field, WithJsonSchema, WrapValidator
from pydantic_core import PydanticCustomError
from typing_extensions import override

from ..util.schema import Model, Number, Positive, Problem, Whole, by_key, hint
from ..util.user_code import REFERENCE as REFERENCE

MODELS = ("softmax", "dense", "mlp", "cnn", "synthetic")
RECORDED = "recorded"
"""In place of a model: recorded curves, whose hyperparameters are whatever was recorded."""

"""How a function or class of a user's is named: ``package.module:name``."""
Reference = Annotated[str, Field(pattern=REFERENCE)]
_Measure = Annotated[str, Field(pattern=rf"{REFERENCE}|^[A-Za-z_]\w*$")]
_Path = Annotated[str, Field(min_length=1)]

MOST_STATE = 1 << 34
RESERVED = ("seed", "trial", "repeat", "epochs", "data", "threads")
"""What a command may name in braces besides hyperparameters."""
SEGMENTS = ("resume", "snapshot", "until")
"""What a command names in braces if it can be run in segments."""
LAUNCHER = "launcher"
"""What an argument of a command names, alone, in whose place the words stand that start MPI processes."""
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class KerasSpec(Model):
    """A user's own Keras model: a function from hyperparameters to a `keras.Model`."""

    keras: Reference
    """The function, as `package.module:function`."""
    loss: _Measure | None = None
    """What is minimised, by its name in Keras or as `package.module:function`; by default cross-entropy for labels and mean
    squared error for other targets. For models that the function has not compiled."""
    metrics: tuple[_Measure, ...] = ()
    """What is measured besides, named in the same way; by default `accuracy` for labels, `mae` for other targets."""
    files: tuple[_Path, ...] = ()
    """Other files that decide results, such as modules that the function's module imports."""


class LoopSpec(Model):
    """A training loop: a generator function, or a class with a generator method `train`, that yields once per epoch."""

    loop: Reference
    """The function or class, as `package.module:name`."""
    files: tuple[_Path, ...] = ()
    """Other files that decide results, such as modules that the loop's module imports."""
    state_bytes: Annotated[Whole, Field(ge=1, le=MOST_STATE)] = 65536
    """Room for a state that `save` gives as bytes; arrays need none."""


class CommandSpec(Model):
    """A program that prints one JSON object per epoch."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """The program and its arguments, with hyperparameters and such in braces; there is no shell."""
    files: tuple[_Path, ...] = ()
    """Files that decide results besides the program itself, such as a script that an interpreter runs."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables, besides those that hypercurve runs with."""
    timeout: Positive = 3600.0
    """Seconds between two lines, and from the last line to the program's end, after which the trial fails."""
    grace: Annotated[Number, Field(ge=0, le=3600)] = 5.0
    """Seconds from SIGTERM to SIGKILL, when a program is to end, and from its end to that of children that keep its
    output open."""
    state_bytes: Annotated[Whole, Field(ge=1, le=MOST_STATE)] = 65536
    """Room for a snapshot file."""

    @override
    def __hash__(self) -> int:  # `env` has none
        return hash(self.model_dump_json())

    @property
    def program(self) -> str:
        """The program itself."""
        return next((word for word in self.command if word != f"{{{LAUNCHER}}}"), "")

    @property
    def placeholders(self) -> frozenset[str]:
        """What the arguments name in braces."""
        return frozenset(name for argument in self.command for name in names_in(argument) if name is not None)

    @property
    def segmented(self) -> bool:
        """Whether the program can be run in segments, from one snapshot file to the next."""
        return self.placeholders >= set(SEGMENTS)

    def problems(self, names: Iterable[str], variables: Iterable[str], data: bool) -> Iterator[Problem]:
        """What is wrong with the arguments.

        Args:
            names: the hyperparameters of the spaces.
            variables: those that vary.
            data: whether the experiment has data.
        """
        known = (*names, *RESERVED, *SEGMENTS, LAUNCHER)
        for index, argument in enumerate(self.command):
            for name in names_in(argument):
                if name is None:
                    yield Problem(("command", index), "a single brace; braces themselves are written {{ and }}")
                elif name not in known:
                    yield Problem(("command", index), f"unknown placeholder {{{name}}}{hint(name, known)}", known)
                elif name == LAUNCHER and argument != f"{{{name}}}":
                    yield Problem(
                        ("command", index), f"{{{name}}} stands for several words: it must be an argument alone"
                    )
        if "{" in self.program:
            where = ("command", self.command.index(self.program))
            yield Problem(where, "the program itself cannot hold placeholders")
        given = self.placeholders
        if "data" in given and not data:
            yield Problem(("command",), "{data} is given nothing: the experiment has no `data`")
        missing = [f"{{{name}}}" for name in SEGMENTS if name not in given]
        if 0 < len(missing) < len(SEGMENTS):
            yield Problem(("command",), f"lacks {' and '.join(missing)}: to be run in segments, it needs all three")
        for name in variables:
            if name not in given and not (name == "epochs" and "until" in given):
                yield Problem(("command",), f"is not told {name}, which varies: write {{{name}}} where it belongs")


Spec: TypeAlias = KerasSpec | LoopSpec | CommandSpec
Trained: TypeAlias = str | Spec
"""What an experiment trains: a built-in model's name, or what the user brings."""

KINDS: dict[str, type[Spec]] = {"keras": KerasSpec, "loop": LoopSpec, "command": CommandSpec}


def names_in(argument: str) -> Iterator[str | None]:
    """The placeholders of an argument in order; None for a brace that belongs to none."""
    for found in _PLACEHOLDER.finditer(argument):
        if found[0] not in ("{{", "}}"):
            yield found[1]


def filled(argument: str, values: Mapping[str, str]) -> str | None:
    """An argument with values in place of placeholders; None, so that it is left out, if one of them has no value."""
    if any(name not in values for name in names_in(argument)):
        return None
    return _PLACEHOLDER.sub(lambda found: values[found[1]] if found[1] is not None else found[0][0], argument)


def label(model: Trained) -> str:
    """What a model is called in messages and reports.

    >>> label(LoopSpec(loop="digits:train"))
    'loop digits:train'
    """
    match model:
        case str():
            return model
        case KerasSpec(keras=reference):
            return reference
        case LoopSpec(loop=reference):
            return f"loop {reference}"
        case CommandSpec():
            return f"program {model.program}"


def counts_epochs(model: Trained) -> bool:
    """Whether a training is counted in epochs that the user's code reports, and not in optimizer steps of ours."""
    return isinstance(model, LoopSpec | CommandSpec)


def _parse(given: object, _: object) -> Trained:
    if not isinstance(given, str):
        found = by_key(given, KINDS, "kind of model")
        assert isinstance(found, KerasSpec | LoopSpec | CommandSpec)
        return found
    if given in (*MODELS, RECORDED):
        return given
    if re.match(REFERENCE, given):
        return KerasSpec(keras=given)
    raise PydanticCustomError(
        "unknown_model",
        "must be one of {allowed}; or your own: package.module:function, or {kinds}",
        {"allowed": ", ".join((*MODELS, RECORDED)), "kinds": ", ".join(f"{{{kind}: ...}}" for kind in KINDS)},
    )


_NAME_SCHEMA: Any = {
    "anyOf": [{"enum": [*MODELS, RECORDED], "type": "string"}, {"pattern": REFERENCE, "type": "string"}]
}
ModelSpec = Annotated[
    Annotated[str, WithJsonSchema(_NAME_SCHEMA)] | KerasSpec | LoopSpec | CommandSpec, WrapValidator(_parse)
]
"""What may stand under `model`; a function's name alone is a :class:`KerasSpec`."""
