"""The built-in networks, and how a user's own is found.

A builder takes (hyperparameters, input_shape, classes) and returns a `keras.Model` that gives logits, one per class. Plain
Keras layers: whatever `model.stateless_call` can run fits the engine, state such as that of batch normalisation included.
Training, weights and compilation are left to :mod:`hypercurve.training.engine`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..config.model import KerasSpec, Trained
from ..util.errors import UserError
from ..util.user_code import load_object
from .runtime import keras, tf

Builder: TypeAlias = Callable[[Mapping[str, Any], tuple[int, ...], int], Any]

KNOB = "hyperparameter_"
"""A non-trainable weight whose name starts so is set by the engine to the hyperparameter of the rest of the name."""


@keras.saving.register_keras_serializable(package="hypercurve")
class Dropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout whose rate is a variable, so that networks with different rates share one compiled step.

    Args:
        hyperparameter: the hyperparameter that holds the rate, at least 0 and below 1.

    Random bits cost more than all else in dropout, so each input gets eight. Rates are thus multiples of 1/256: in each step
    one of the two next to the rate asked for, drawn so that their mean is that rate.
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
        size, keep = tf.size(inputs), 1.0 - tf.convert_to_tensor(self.rate)
        seed = tf.cast(self.seed_generator.next() % (2**31 - 1), tf.int32)
        words = tf.random.stateless_uniform([size // 4 + 2], seed, minval=None, maxval=None, dtype=tf.uint32)
        drawn = tf.reshape(tf.reshape(tf.bitcast(words[1:], tf.uint8), [-1])[:size], tf.shape(inputs))
        last = tf.floor(keep * 256.0 + tf.cast(words[0] // 256, tf.float32) / 2.0**24) - 1.0
        mask = drawn <= tf.cast(tf.clip_by_value(last, 0.0, 255.0), tf.uint8)
        return inputs * (tf.cast(mask, inputs.dtype) * tf.cast(1.0 / keep, inputs.dtype))

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

    Convolutions are padded with zeros ("same"): strides s turn a side of n into ceil(n / s), whatever the kernel, so no
    combination of kernels and strides makes a feature map vanish, on images of any size. Without padding, 7 % of the slides'
    would, on 32 x 32 images. A kernel may be larger than the map.
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
