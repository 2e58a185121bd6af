"""The hyperparameters that the built-in models and optimizers know: kinds, defaults and bounds.

Pure data without TensorFlow, since configs are checked against it whenever a Snakefile is parsed. Those of an optimizer
stand with it in :mod:`hypercurve.optimizers`. Domains to search in are left to :mod:`hypercurve.space.search_space`.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any

from ..optimizers import OPTIMIZERS
from ..space.hyperparameter import Hyperparameter, Role
from ..space.search_space import Value
from .model import MODELS, RECORDED, KerasSpec, Trained, counts_epochs

__all__ = ["HYPERPARAMETERS", "MODELS", "RECORDED", "Hyperparameter", "Role", "known", "resolve", "role_of"]


def _table(*rows: Hyperparameter) -> dict[str, Hyperparameter]:
    return {row.name: row for row in rows}


def _numbered(name: str, default: int | tuple[int, ...], help: str) -> list[Hyperparameter]:
    """One row for each of the four convolutions of `cnn`."""
    defaults = default if isinstance(default, tuple) else (default,) * 4
    return [
        Hyperparameter(name.format(i), "int", defaults[i - 1], "network", help.format(i), lower=1, models=("cnn",))
        for i in range(1, 5)
    ]


HYPERPARAMETERS: dict[str, Hyperparameter] = _table(
    Hyperparameter(
        "optimizer",
        "str",
        "sgd",
        "step",
        ", or ".join(optimizer.help for optimizer in OPTIMIZERS.values()),
        choices=tuple(OPTIMIZERS),
    ),
    Hyperparameter(
        "learning_rate", "float", 0.01, "numeric", "step size at the start of training", lower=0, models=MODELS
    ),
    *(row for optimizer in OPTIMIZERS.values() for row in optimizer.hyperparameters),
    Hyperparameter(
        "decay",
        "float",
        0.0,
        "numeric",
        "inverse-time decay: the learning rate is divided by 1 + decay x iteration",
        lower=0,
    ),
    Hyperparameter(
        "decay_ratio",
        "float",
        1.0,
        "numeric",
        "the learning rate is multiplied by this every `decay_every` iterations",
        lower=0,
    ),
    Hyperparameter("decay_every", "int", 100, "numeric", "iterations between two decays by `decay_ratio`", lower=1),
    Hyperparameter("batch_size", "int", 32, "step", "examples per iteration", lower=1, upper=10_000_000, models=MODELS),
    Hyperparameter(
        "epochs",
        "float",
        5,
        "length",
        "passes over the training part; need not be whole",
        lower=0,
        open_lower=True,
        upper=1e6,
        models=MODELS,
    ),
    # The slides say "only one dense layer" and give no width. Best validation accuracy of 100 random trials of their space,
    # mean of 9 repeats: 96.73 % with 128 units, 97.26 % with 256 (slides: 97.41 %). In the first two repeats: 96.09 % with
    # 64, 96.86 with 128, 97.37 with 256, and 97.47 with 512, which takes more than twice as long. Of each repeat only the
    # eight trials with the largest sum of learning rates were trained; in repeats trained whole, the best was among them.
    Hyperparameter("units", "int", 256, "network", "width of hidden dense layers", lower=1, models=("dense", "cnn")),
    Hyperparameter(
        "activation",
        "str",
        "relu",
        "network",
        "nonlinearity of the hidden layers",
        choices=("relu", "sigmoid", "tanh"),
        models=("dense", "mlp", "cnn"),
    ),
    # The network of the slides' PBT experiment: In -> FC -> Sig -> FC -> Sig -> FC -> Out, here 784-128-64-10.
    Hyperparameter("units_1", "int", 128, "network", "width of the first hidden layer", lower=1, models=("mlp",)),
    Hyperparameter(
        "units_2", "int", 64, "network", "width of the second hidden layer; 0 leaves it out", lower=0, models=("mlp",)
    ),
    # The network of the slides' CIFAR-10 experiment; kernels, strides and dropout are its search space.
    Hyperparameter("filters", "int", 16, "network", "filters of the first convolutions", lower=1, models=("cnn",)),
    *_numbered("kernel_{}", 3, "kernel size of convolution {}"),
    *_numbered("strides_{}", (1, 2, 1, 2), "strides of convolution {}"),
    Hyperparameter("dense_layers", "int", 1, "network", "hidden dense layers", lower=0, models=("cnn",)),
    *(
        Hyperparameter(
            name,
            "float",
            0.2,
            "numeric",
            f"share dropped after {place}",
            lower=0,
            upper=1,
            open_upper=True,
            models=("cnn",),
        )
        for name, place in [
            ("dropout_1", "the first convolution"),
            ("dropout_2", "the second convolution"),
            ("dropout_dense", "the hidden dense layers"),
        ]
    ),
)
"""Every hyperparameter by name."""

_EPOCHS = Hyperparameter("epochs", "int", 1, "length", "how often a loop or program reports", lower=1, upper=1e6)

# Where a model wants another default than the table's: the slides' multilayer perceptron has sigmoid layers, and a dense
# layer after convolutions has many inputs.
_DEFAULTS: dict[str, dict[str, Value]] = {"mlp": {"activation": "sigmoid"}, "cnn": {"units": 64}}


@cache
def known(model: Trained) -> Mapping[str, Hyperparameter]:
    """The hyperparameters that a model and its training use, by name, with the model's own defaults.

    A user's Keras model may have others besides. A loop or program may have any; only the number of its epochs means
    something to us.
    """
    if counts_epochs(model):
        return MappingProxyType({"epochs": _EPOCHS})
    own = isinstance(model, KerasSpec)
    defaults = {} if own else _DEFAULTS.get(str(model), {})
    table = {
        name: replace(entry, default=defaults.get(name, entry.default))
        for name, entry in HYPERPARAMETERS.items()
        if own or model in entry.models
    }
    return MappingProxyType(table)


def role_of(model: Trained, name: str) -> Role:
    """What changing a hyperparameter of a model changes.

    What a user's Keras model has besides ours shapes its network, for all that we know; that of a loop or program compiles
    nothing.
    """
    table = known(model)
    if name in table:
        return table[name].role
    return "network" if isinstance(model, KerasSpec) else "numeric"


def resolve(model: Trained, configuration: Mapping[str, Value]) -> dict[str, Any]:
    """A configuration with the defaults of everything it is silent about.

    Whole numbers given as ``float`` (NumPy columns and YAML do so) come back as ``int``, numbers of kind float as float,
    so that equal configurations compile to the same program.

    Raises:
        ValueError: a value is not allowed, or a built-in model does not know the name.
    """
    table = known(model)
    values: dict[str, Any] = {name: entry.default for name, entry in table.items()}
    if not isinstance(model, str):  # defaults of network hyperparameters are the user's own affair
        values = {name: value for name, value in values.items() if table[name].role != "network"}
    for name, value in configuration.items():
        entry = table.get(name)
        if entry is None:
            if isinstance(model, str):
                raise ValueError(f"model {model} has no hyperparameter {name}; it has {', '.join(table)}")
        elif problem := entry.problem(value):
            raise ValueError(f"{name} {problem}, not {value!r}")
        values[name] = value
    for name, entry in table.items():
        if name in values and entry.kind in ("int", "float"):
            values[name] = int(values[name]) if entry.kind == "int" else float(values[name])
    return values
