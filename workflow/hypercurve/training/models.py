"""The built-in networks, and how a user's own is found.

A builder takes (hyperparameters, input_shape, classes) and returns a `keras.Model` that gives logits, one per class. Plain
Keras layers: whatever `model.stateless_call` can run fits the engine, state such as that of batch normalisation included.
Training, weights and compilation are left to :mod:`hypercurve.training.engine`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..errors import UserError
from ..importing import load_object
from ..model_spec import KerasSpec, Trained
from .runtime import keras

Builder: TypeAlias = Callable[[Mapping[str, Any], tuple[int, ...], int], Any]

KNOB = "hyperparameter_"
"""A non-trainable weight whose name starts so is set by the engine to the hyperparameter of the rest of the name."""


@keras.saving.register_keras_serializable(package="hypercurve")
class Dropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout whose rate is a variable, so that networks with different rates share one compiled step.

    Args:
        hyperparameter: the hyperparameter that holds the rate, at least 0 and below 1.
    """

    def __init__(self, hyperparameter: str, **options: Any) -> None:
        super().__init__(**options)
        self.hyperparameter = hyperparameter
        self.seed_generator = keras.random.SeedGenerator(0)
        self.rate = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name=f"{KNOB}{hyperparameter}", dtype="float32"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop a share of the inputs and scale up the others, in training only."""
        if not training:
            return inputs
        keep = 1.0 - keras.ops.convert_to_tensor(self.rate)
        drawn = keras.random.uniform(keras.ops.shape(inputs), dtype="float32", seed=self.seed_generator)
        return keras.ops.where(drawn < keep, inputs / keras.ops.cast(keep, inputs.dtype), 0.0)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "hyperparameter": self.hyperparameter}


def softmax(hyperparameters: Mapping[str, Any], input_shape: tuple[int, ...], classes: int) -> Any:
    """Softmax regression: no hidden layer."""
    del hyperparameters  # none shapes it
    layers = keras.layers
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(classes)])


def dense(hyperparameters: Mapping[str, Any], input_shape: tuple[int, ...], classes: int) -> Any:
    """One hidden layer."""
    layers = keras.layers
    hidden = layers.Dense(hyperparameters["units"], activation=hyperparameters["activation"])
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), hidden, layers.Dense(classes)])


def mlp(hyperparameters: Mapping[str, Any], input_shape: tuple[int, ...], classes: int) -> Any:
    """The network of the slides' PBT experiment: In, FC, Sig, FC, Sig, FC, Out, with bias."""
    layers = keras.layers
    widths = [w for w in (hyperparameters["units_1"], hyperparameters["units_2"]) if w]
    hidden = [layers.Dense(w, activation=hyperparameters["activation"]) for w in widths]
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), *hidden, layers.Dense(classes)])


def cnn(hyperparameters: Mapping[str, Any], input_shape: tuple[int, ...], classes: int) -> Any:
    """The kind of network of the slides' CIFAR-10 experiment: four convolutions and one to three dense layers.

    The slides give kernels, strides, where dropout stands, and how many dense layers; widths are ours. Images without
    channels are taken as grey.
    """
    layers, h = keras.layers, hyperparameters
    image_shape = input_shape if len(input_shape) == 3 else (*input_shape, 1)
    if len(image_shape) != 3:
        raise ValueError(f"model cnn needs images (height, width[, channels]), not examples of shape {input_shape}")

    def convolution(number: int, filters: int) -> Any:
        kernel, strides = h[f"kernel_{number}"], h[f"strides_{number}"]
        return layers.Conv2D(filters, kernel, strides, padding="same", activation=h["activation"])

    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Reshape(image_shape),
            convolution(1, h["filters"]),
            Dropout("dropout_1"),
            convolution(2, h["filters"]),
            Dropout("dropout_2"),
            convolution(3, 2 * h["filters"]),
            convolution(4, 2 * h["filters"]),
            layers.Flatten(),
            *(layers.Dense(h["units"], activation=h["activation"]) for _ in range(h["dense_layers"])),
            Dropout("dropout_dense"),
            layers.Dense(classes),
        ]
    )


BUILDERS: dict[str, Builder] = {"softmax": softmax, "dense": dense, "mlp": mlp, "cnn": cnn}
"""The built-in networks by name."""


def builder(model: Trained) -> Builder:
    """The builder of a built-in model, or of a user's given as ``package.module:function``.

    Raises:
        UserError: there is no such model; the message says what is there.
    """
    if isinstance(model, str) and model in BUILDERS:
        return BUILDERS[model]
    if not isinstance(model, KerasSpec):
        raise UserError(f"no model {model!r}: give one of {', '.join(BUILDERS)}, or package.module:function")
    found: Builder = load_object(model.keras, "model.keras")
    return found
