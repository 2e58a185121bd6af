"""Trained networks as Keras models that stand alone: what `best.keras` holds.

They take data as they lie in the user's file, scaling included, and give what the network gives: logits of built-in models,
of others what their last layer gives. A Keras of the same version loads them without us, unless layers of a user's own are
in them. They are not compiled: nothing of how they were trained is needed to use them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.model import Trained
from ..util.files import appearing
from .buffers import Array
from .functional import built
from .networks import Dropout
from .runtime import keras


def standalone(
    model: Trained,
    hyperparameters: Mapping[str, Any],
    values: Sequence[Array],
    input_shape: tuple[int, ...],
    classes: int,
    scale: float,
) -> Any:
    """A trained network as a Keras model of its own.

    Args:
        model: the network.
        hyperparameters: resolved, as they were at the end of its training.
        values: of its variables, trainable ones first; what follows them belongs to no layer.
        input_shape: shape of one example.
        classes: number of classes, or of numbers in a target.
        scale: factor on the inputs.

    Raises:
        ValueError: the user's function gives another network than the one that was trained.
        Exception: whatever the user's model raises.
    """
    network = built(model, hyperparameters, input_shape, classes)
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    if [tuple(v.shape) for v in variables] != [value.shape for value in values[: len(variables)]]:
        raise ValueError("the network has other variables when it is built than when it is trained")
    for variable, value in zip(variables, values, strict=False):
        variable.assign(value)
    network.compiled = False  # Keras would save the loss and the optimizer with it
    if any(isinstance(layer, Dropout) for layer in network._flatten_layers()):
        network = _with_plain_dropout(network, hyperparameters)
    scaling = [] if scale == 1 else [keras.layers.Rescaling(scale, dtype="float32")]
    return keras.Sequential([keras.Input(input_shape), *scaling, network])


def _with_plain_dropout(network: Any, hyperparameters: Mapping[str, Any]) -> Any:
    """The same network with Keras's own dropout in place of ours, as far as its layers are known without calling it."""
    if not isinstance(network, keras.Sequential | keras.Model) or not getattr(network, "_is_graph_network", True):
        return network

    def plain(layer: Any) -> Any:
        if not isinstance(layer, Dropout):
            return layer
        return keras.layers.Dropout(float(hyperparameters[layer.hyperparameter]), name=layer.name)

    return keras.models.clone_model(network, clone_function=plain, recursive=True)


def save(model: Any, path: Path) -> None:
    """Write a Keras model, whole or not at all."""
    with appearing(path) as temporary:
        written = temporary.with_name(f"{temporary.name}.keras")  # Keras goes by the ending
        try:
            model.save(written)
            written.replace(temporary)
        finally:
            written.unlink(missing_ok=True)
