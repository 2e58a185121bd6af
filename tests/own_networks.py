"""Networks and data as users write them, for tests/test_own_models.py."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from hypercurve.training.models import Dropout

REACHED = {"momentum": 0.9}


def body(hyperparameters, *extra, classes=10):
    hidden = layers.Dense(
        hyperparameters.get("width", 16), activation="relu", kernel_regularizer=keras.regularizers.l2(0.01)
    )
    head = layers.Dense(classes, activation="softmax", dtype="float32")
    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), hidden, *extra, head])


def plain(hyperparameters, input_shape, classes):
    hidden = layers.Dense(hyperparameters["width"], activation="relu")
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), hidden, layers.Dense(classes)])


def normalised(hyperparameters):
    return body(hyperparameters, layers.BatchNormalization(), layers.Dropout(0.3))


def constrained(hyperparameters):
    return body(hyperparameters, layers.Dense(12, kernel_constraint=keras.constraints.MaxNorm(0.5)))


def still(hyperparameters):
    """Without random numbers, of which XLA draws others."""
    model = body(hyperparameters, layers.BatchNormalization())
    optimizer = keras.optimizers.Adam(hyperparameters["learning_rate"], weight_decay=0.1, global_clipnorm=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def compiled(hyperparameters, optimizer, **options):
    model = normalised(hyperparameters)
    given = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | options
    model.compile(optimizer=optimizer, **given)
    return model


def adamw(hyperparameters):
    optimizer = keras.optimizers.AdamW(hyperparameters["learning_rate"], weight_decay=0.1, clipnorm=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return compiled(hyperparameters, optimizer)


def momentum(hyperparameters):
    return compiled(hyperparameters, keras.optimizers.SGD(hyperparameters["learning_rate"], momentum=0.9))


def regularised(hyperparameters):
    hidden = layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.l2(hyperparameters["decay"]))
    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), hidden, layers.Dense(10)])


def nested(hyperparameters):
    head = keras.Sequential([layers.Dense(10), layers.Softmax(), layers.Reshape((10,))])
    hidden = layers.Dense(hyperparameters.get("width", 16), activation="relu")
    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), hidden, head])


def scheduled(hyperparameters):
    rates = keras.optimizers.schedules.CosineDecay(hyperparameters["learning_rate"], 40)
    return compiled(hyperparameters, keras.optimizers.SGD(rates, momentum=hyperparameters["momentum"], nesterov=True))


def averaged(hyperparameters):
    optimizer = keras.optimizers.Lion(hyperparameters["learning_rate"], use_ema=True)
    return compiled(hyperparameters, optimizer, loss=keras.losses.SparseCategoricalCrossentropy(reduction="sum"))


def half(hyperparameters):
    keras.mixed_precision.set_global_policy("mixed_float16")
    return compiled(hyperparameters, keras.optimizers.Adam(hyperparameters["learning_rate"]))


def rated(hyperparameters):
    return compiled(hyperparameters, keras.optimizers.Adam(0.01))


def half_by_ours(hyperparameters):
    keras.mixed_precision.set_global_policy("mixed_float16")
    return normalised(hyperparameters)


def brain(hyperparameters):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    return compiled(hyperparameters, keras.optimizers.SGD(hyperparameters["learning_rate"]))


class Noisy(keras.Model):
    """A model by subclass, whose noise names no seed, and whose `call` adds a loss of its own."""

    def __init__(self):
        super().__init__()
        self.flatten, self.hidden, self.head = layers.Flatten(), layers.Dense(16), layers.Dense(10)

    def call(self, inputs, training=False):
        x = self.hidden(self.flatten(inputs))
        self.add_loss(0.01 * keras.ops.mean(keras.ops.square(x)))
        return self.head(x + 0.1 * keras.random.normal((16,)) if training else x)


def noisy(hyperparameters):
    return Noisy()


class Callback(layers.Layer):
    """Leaves TensorFlow: XLA refuses it."""

    def call(self, inputs):
        outputs = tf.py_function(lambda x: x * 1.0, [inputs], tf.float32)
        outputs.set_shape(inputs.shape)
        return outputs


class Branching(layers.Layer):
    """Asks for a number while it is called: no compiler can know it."""

    def call(self, inputs):
        return inputs * 1.0 if float(tf.reduce_sum(tf.abs(inputs))) >= 0 else inputs

    def compute_output_shape(self, input_shape):
        return input_shape


def called_back(hyperparameters):
    return body(hyperparameters, Callback())


def branching(hyperparameters):
    return body(hyperparameters, Branching())


def eager(hyperparameters):
    return compiled(hyperparameters, keras.optimizers.SGD(hyperparameters["learning_rate"]), run_eagerly=True)


def accumulating(hyperparameters):
    return compiled(hyperparameters, keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))


def nothing(hyperparameters):
    return None


def dropped(hyperparameters):
    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), Dropout("share"), layers.Dense(10)])


def narrow(hyperparameters):
    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dense(3)])


def forked(hyperparameters):
    inputs = keras.Input((8, 8))
    return keras.Model(inputs, [layers.Flatten()(inputs), layers.Flatten()(inputs)])


def raising(hyperparameters):
    raise ValueError("no such width")


def lossless(hyperparameters):
    return compiled(hyperparameters, "sgd", loss=None)


def pinball(truth, predicted):
    """A loss of one's own: the 0.7 quantile."""
    error = truth - predicted
    return keras.ops.mean(keras.ops.maximum(0.7 * error, -0.3 * error), axis=-1)


class Largest(keras.metrics.Metric):
    """A metric that is no mean: the largest error."""

    def __init__(self, name="largest"):
        super().__init__(name=name)
        self.value = self.add_weight(shape=(), initializer="zeros", name="value")

    def update_state(self, truth, predicted, sample_weight=None):
        self.value.assign(keras.ops.maximum(self.value, keras.ops.max(keras.ops.abs(truth - predicted))))

    def result(self):
        return self.value


def line(hyperparameters, input_shape, outputs):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Dense(hyperparameters.get("width", 8), activation="relu"),
            layers.Dense(outputs),
        ]
    )


def embedded(hyperparameters, input_shape, outputs):
    return keras.Sequential(
        [keras.Input(input_shape), layers.Embedding(20, 4), layers.Flatten(), layers.Dense(outputs)]
    )


def surface():
    draw = np.random.default_rng(0)
    x = draw.uniform(-1, 1, (300, 3))
    y = np.stack([x[:, 0] * x[:, 1], x.sum(axis=1)], axis=1)
    return x[:200], y[:200], x[200:250], y[200:250], x[250:], y[250:]


def surface_by_name():
    names = ("x_train", "y_train", "x_test", "y_test")
    return dict(zip(names, surface()[:4], strict=True))


def words():
    draw = np.random.default_rng(0)
    x = draw.integers(0, 20, (200, 5))
    y = (x.sum(axis=1) / 100).astype(np.float64)
    return (x[:150], y[:150]), (x[150:], y[150:])


def wrong_name():
    return {"x_train": np.zeros((2, 2)), "labels": np.zeros(2)}


def broken_data():
    raise FileNotFoundError("measurements.h5")
