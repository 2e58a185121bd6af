"""Keras models of users: built from hyperparameters, with the loss, metrics and optimizer that they bring.

A builder is a function ``function(hyperparameters) -> keras.Model``, or ``function(hyperparameters, input_shape, classes)``
as the built-in ones are. A model that it has compiled (``model.compile``) is trained and measured by what it was compiled
with; any other gets what its data ask for. How it is trained is left to :mod:`hypercurve.training.engine`.
"""

import inspect
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np

from ..util.errors import UserError
from ..util.user_code import load_object
from .runtime import LossFunctionWrapper, keras

SCHEDULED = ("learning_rate", "decay", "decay_ratio", "decay_every")
"""Hyperparameters that make up the learning rate, which every step is given."""

Target: TypeAlias = tuple[int, ...] | None

SEVERAL = "one output, one loss and one list of metrics are needed"


class NoHyperparameter(KeyError):
    """A model asks for a hyperparameter that a configuration does not have."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put it in quotes


class Reading(Mapping[str, Any]):
    """Hyperparameters that note which of them are read: those shape the network, and no others.

    Attributes:
        read: names that were asked for, whether they are there or not.
    """

    def __init__(self, hyperparameters: Mapping[str, Any]) -> None:
        self.read: set[str] = set()
        self._values = dict(hyperparameters)

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        if name not in self._values:
            held, near = ", ".join(self._values), get_close_matches(str(name), self._values, n=1)
            meant = f"; did you mean {near[0]}?" if near else ";"
            raise NoHyperparameter(
                f"the model reads {name!r}, which this configuration does not have{meant} it has {held}"
            )
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        self.read.update(self._values)
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


def build(
    function: Callable[..., Any], hyperparameters: Mapping[str, Any], input_shape: tuple[int, ...], classes: int
) -> Any:
    """The model that a user's function makes.

    Raises:
        TypeError: it gave no Keras model.
        UserError: one that cannot be trained here.
        Exception: whatever the function raises.
    """
    policy, floats = keras.config.dtype_policy(), keras.config.floatx()
    try:
        arguments = (hyperparameters, input_shape, classes)
        model = function(*arguments[: 1 if _takes_one(function) else 3])
    finally:
        keras.config.set_dtype_policy(policy)  # a builder may set mixed precision for all that follows
        keras.config.set_floatx(floats)
    name = getattr(function, "__name__", str(function))
    if not isinstance(model, keras.Model):
        raise TypeError(f"{name} returned {type(model).__name__}, not a keras.Model")
    if (inputs := len(keras.tree.flatten(getattr(model, "inputs", None) or []))) > 1:
        raise UserError(f"model: it takes {inputs} inputs; the data give one: split it in the model")
    if held := [layer.name for layer in model._flatten_layers() if getattr(layer, "stateful", False)]:
        raise UserError(
            f"model: its layer {held[0]} is stateful, but batches are drawn anew: no batch follows on another"
        )
    if not all(layer.built for layer in model._flatten_layers()):
        model(
            np.zeros((1, *input_shape), np.float32), training=False
        )  # many know their shapes only when they are called
    return model


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether a builder takes hyperparameters alone."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return False
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters) == 1


def as_loss(given: Any) -> Any:
    """A `keras.losses.Loss` from whatever `compile` takes for one output.

    Raises:
        UserError: it is no loss.
    """
    if isinstance(given, str) and ":" in given:
        given = load_object(given, "model.loss")
    if isinstance(given, dict | list | tuple):
        raise UserError(f"model: its loss is a {type(given).__name__}; {SEVERAL}")
    try:
        found = keras.losses.get(given)
    except ValueError:
        raise UserError(f"model: loss = {given!r}: Keras has no loss of this name") from None
    return found if isinstance(found, keras.losses.Loss) else LossFunctionWrapper(found, name="loss")


def measured(
    model: Any, loss: Any, metrics: Sequence[str], input_shape: tuple[int, ...], classes: int, target: Target
) -> Any:
    """The loss of a user's model, which is compiled afterwards; None: cross-entropy of logits, as for built-in ones.

    Args:
        model: the model; compiled here with what it needs, if it is not.
        loss: of the experiment file, Keras's name or package.module:function; None: none is named.
        metrics: of the experiment file, named in the same way.
        input_shape: shape of one example.
        classes: number of classes, or of numbers in a target.
        target: shape of a target; None for class labels.

    Raises:
        UserError: a loss too many or none, or one that Keras does not know.
        ValueError: the model's output does not fit the data.
    """
    with keras.StatelessScope():  # which takes back what layers count
        outputs = model(np.zeros((2, *input_shape), np.float32), training=False)
    if isinstance(outputs, list | tuple | dict):
        given = "outputs by name" if isinstance(outputs, dict) else f"{len(outputs)} outputs"
        raise UserError(f"model: it gives {given}; {SEVERAL}")
    if model.compiled:
        if loss is not None or metrics:
            raise UserError("model: `loss` and `metrics` are for models that are not compiled; this one has its own")
        if model.loss is None:
            raise UserError("model: it is compiled without a loss; give `compile` one, or do not compile")
        if model._compile_loss is not None and model._compile_loss._user_loss_weights is not None:
            raise UserError("model: `loss_weights` are for several losses; multiply in the loss")
        return as_loss(model.loss)
    if others := {v.dtype for v in model.trainable_variables} - {"float32"}:
        raise UserError(
            f"model: it has weights in {', '.join(sorted(others))}, which our optimizers do not update: let the function "
            "compile it, or set a mixed precision, where weights are float32"
        )
    if loss is None:
        _check_output(tuple(outputs.shape[1:]), classes, target)
        probabilities = gives_probabilities(outputs)
        if target is None and not metrics and not probabilities:
            return None
        loss = (
            "mse" if target is not None else keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities)
        )
    if not metrics:
        metrics = ["accuracy"] if target is None else ["mae"]
    found = as_loss(loss)
    own: list[Any] = [load_object(metric, "model.metrics") if ":" in metric else metric for metric in metrics]
    own = [metric() if isinstance(metric, type) else metric for metric in own]
    model.compile(optimizer=None, loss=found, metrics=own, run_eagerly=model.run_eagerly)
    return found


def gives_probabilities(outputs: Any) -> bool:
    """Whether outputs look like probabilities, however the model comes by them; logits would have to hit that by chance."""
    values = np.asarray(outputs, dtype=np.float64)
    return bool((values >= 0).all() and np.allclose(values.sum(axis=-1), 1.0, atol=1e-2))


def _check_output(shape: tuple[int, ...], classes: int, target: Target) -> None:
    """Losses would take outputs that do not fit, and sum them in silence."""
    if target is None and shape != (classes,):
        one = "; for one output, name a `loss` such as binary_crossentropy" if (shape, classes) == ((1,), 2) else ""
        raise ValueError(f"the model gives outputs of shape {shape}, but the data have {classes} classes{one}")
    if target is not None and shape not in (target, (*target, 1)):
        raise ValueError(f"the model gives outputs of shape {shape}, but targets have shape {target}")


def structure(read: Collection[str], hyperparameters: Mapping[str, Any]) -> Hashable:
    """What two configurations must agree in to have the same network, given what its builder reads."""
    missing = "there is no such value"
    return tuple((name, hyperparameters.get(name, missing)) for name in sorted(read))
