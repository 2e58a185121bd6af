"""Trained networks as Keras models that stand alone: what `best.keras` holds.

They take data as they lie in the user's file, scaling included, and give what the network gives: logits of built-in models,
of others what their last layer gives. Keras loads them without us; layers of a user's own need the user's module. They are
not compiled: nothing of how they were trained is needed to use them.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.model import Trained
from ..events import networks
from ..util.errors import UserError, in_a_line
from ..util.files import appearing
from .buffers import Array
from .functional import built
from .network_files import write_arrays
from .networks import Dropout
from .runtime import Functional, keras


def export(
    model: Trained,
    hyperparameters: Mapping[str, Any],
    values: Sequence[Array],
    input_shape: tuple[int, ...],
    classes: int,
    scale: float,
    folder: Path,
) -> Path:
    """Write a trained network as `best.keras`; one that Keras cannot write, as its weights alone, in the order of `weights`.

    Args:
        model: the network.
        hyperparameters: resolved, as they were at the end of its training.
        values: of its variables, trainable ones first; what follows them belongs to no layer.
        input_shape: shape of one example.
        classes: number of classes, or of numbers in a target.
        scale: factor on the inputs.
        folder: where to write.

    Raises:
        ValueError: the user's function gives another network than the one that was trained.
        UserError: the folder cannot be written.
        Exception: whatever the user's function raises.
    """
    network = built(model, hyperparameters, input_shape, classes)
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    if [tuple(v.shape) for v in variables] != [value.shape for value in values[: len(variables)]]:
        raise ValueError("the network has other variables when it is built than when it is trained")
    for variable, value in zip(variables, values, strict=False):
        variable.assign(value)
    try:
        return _save(_standalone(network, hyperparameters, input_shape, scale), folder / "best.keras")
    except UserError:
        raise
    except Exception as error:
        path = write_arrays(
            {f"{i}_{v.path.replace('/', '_')}": v.numpy() for i, v in enumerate(network.weights)}, folder
        )
        print(
            f"warning: Keras cannot write this network, so {path} holds its weights alone; a class of your own needs a "
            f"`get_config` ({in_a_line(error)})",
            file=sys.stderr,
            flush=True,
        )
        return path


def _standalone(network: Any, hyperparameters: Mapping[str, Any], input_shape: tuple[int, ...], scale: float) -> Any:
    network.compiled = False  # Keras would write the loss and the optimizer with it
    graph = type(network) in (keras.Sequential, Functional)  # whose layers are known without calling them
    if graph and any(isinstance(layer, Dropout) for layer in network._flatten_layers()):

        def plain(layer: Any) -> Any:
            if not isinstance(layer, Dropout):
                return layer
            return keras.layers.Dropout(float(hyperparameters[layer.hyperparameter]), name=layer.name)

        network = keras.models.clone_model(network, clone_function=plain, recursive=True)
    scaling = [] if scale == 1 else [keras.layers.Rescaling(scale, dtype="float32")]
    return keras.Sequential([keras.Input(input_shape), *scaling, network])


def _save(model: Any, path: Path) -> Path:
    with appearing(path) as temporary:
        written = temporary.with_name(f"{temporary.name}.keras")  # Keras goes by the ending
        try:
            model.save(written)
            written.replace(temporary)
        finally:
            written.unlink(missing_ok=True)
    networks.keep_only(path)
    return path
