"""Networks and data as users write them, for tests/test_own_models.py."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from hypercurve.training.networks import Dropout

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


def named(hyperparameters):
    inputs = keras.Input((8, 8))
    return keras.Model(inputs, {"digit": layers.Dense(10)(layers.Flatten()(inputs))})


def joined(hyperparameters):
    image, more = keras.Input((8, 8)), keras.Input((3,))
    return keras.Model([image, more], layers.Dense(10)(layers.Concatenate()([layers.Flatten()(image), more])))


def weighted(hyperparameters):
    return compiled(hyperparameters, "sgd", loss_weights=[3.0])


def stateful(hyperparameters):
    return keras.Sequential([keras.Input((8, 8), batch_size=32), layers.LSTM(4, stateful=True), layers.Dense(10)])


def double(hyperparameters):
    keras.config.set_floatx("float64")
    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dense(10, dtype="float64")])


def double_by_keras(hyperparameters):
    model = keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dense(10, "softmax", dtype="float64")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class Forgetful(layers.Dense):
    """Counts its calls in Python."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return super().call(inputs)


def forgetful(hyperparameters):
    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), Forgetful(10)])


def active(hyperparameters):
    regulated = layers.Dense(16, activity_regularizer="l2")
    return keras.Sequential([keras.Input((8, 8)), layers.Flatten(), regulated, layers.Dense(10)])


def augmented(hyperparameters):
    shaken = layers.Reshape((8, 8, 1)), layers.RandomTranslation(0.1, 0.1), layers.Reshape((8, 8))
    return keras.Sequential([keras.Input((8, 8)), *shaken, layers.Flatten(), layers.Dense(10)])


def frozen(hyperparameters):
    model = body(hyperparameters)
    model.layers[1].trainable = False
    return model


def recurrent(hyperparameters):
    return keras.Sequential([keras.Input((8, 8)), layers.Masking(), layers.GRU(4), layers.Dense(10)])


def attentive(hyperparameters):
    inputs = keras.Input((8, 8))
    outputs = layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 4)(inputs, inputs))
    return keras.Model(inputs, layers.Dense(10)(outputs))


def weighed_metrics(hyperparameters):
    return compiled(hyperparameters, keras.optimizers.SGD(0.05), metrics=None, weighted_metrics=["accuracy"])


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


class Stepped(keras.Model):
    """A network by subclass; what `fit` calls is replaced below."""

    def __init__(self, hyperparameters):
        super().__init__()
        self.body = normalised(hyperparameters)

    def call(self, inputs, training=False):
        return self.body(inputs, training=training)


class OwnTrainStep(Stepped):
    """Smooths labels, and clips gradients by hand."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            smooth = 0.9 * tf.one_hot(y, 10) + 0.01
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(smooth, predicted)) + sum(self.losses)
        gradients = [tf.clip_by_norm(g, 0.5) for g in tape.gradient(loss, self.trainable_variables)]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            metric.update_state(*((loss,) if metric.name == "loss" else (y, predicted)))
        return {metric.name: metric.result() for metric in self.metrics}


class OwnLoss(Stepped):
    """Weighs classes."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        weights = tf.gather(tf.linspace(0.5, 1.5, 10), y)
        return super().compute_loss(x, y, y_pred, tf.cast(weights, tf.float32), training)


class OwnMeasure(Stepped):
    """Measures something else."""

    def test_step(self, data):
        logs = super().test_step(data)
        return {**logs, "twice": 2 * logs["loss"]}


class Player(keras.Model):
    """Two networks against each other, each with an optimizer of its own."""

    def __init__(self, hyperparameters):
        super().__init__()
        self.maker = keras.Sequential(
            [keras.Input((4,)), layers.Dense(64, activation="sigmoid"), layers.Reshape((8, 8))]
        )
        self.judge = keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dense(8), layers.Dense(1)])
        self.tracker = keras.metrics.Mean(name="loss")

    def compile(self, rate):
        super().compile()
        self.for_maker, self.for_judge = keras.optimizers.Adam(rate), keras.optimizers.SGD(rate, momentum=0.5)

    @property
    def metrics(self):
        return [self.tracker]

    def call(self, inputs):
        return self.judge(inputs)

    def losses_of(self, x):
        made = self.maker(keras.random.normal((tf.shape(x)[0], 4)))
        real, false = self.judge(x), self.judge(made)
        crossed = tf.nn.sigmoid_cross_entropy_with_logits
        judged = tf.reduce_mean(crossed(tf.ones_like(real), real) + crossed(tf.zeros_like(false), false))
        return judged, tf.reduce_mean(crossed(tf.ones_like(false), false))

    def train_step(self, data):
        x, _ = data
        with tf.GradientTape(persistent=True) as tape:
            judged, made = self.losses_of(x)
        for loss, network, optimizer in ((judged, self.judge, self.for_judge), (made, self.maker, self.for_maker)):
            weights = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self.tracker.update_state(judged)
        return {"loss": self.tracker.result(), "made": made}

    def test_step(self, data):
        self.tracker.update_state(self.losses_of(data[0])[0])
        return {"loss": self.tracker.result()}


def stepping(kind):
    def build(hyperparameters):
        model = kind(hyperparameters)
        optimizer = keras.optimizers.Adam(hyperparameters["learning_rate"])
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return build


own_train_step, own_loss, own_measure = stepping(OwnTrainStep), stepping(OwnLoss), stepping(OwnMeasure)


def players(hyperparameters):
    model = Player(hyperparameters)
    model.compile(hyperparameters["learning_rate"])
    return model


def uncompiled_step(hyperparameters):
    return OwnTrainStep(hyperparameters)


class WithoutLoss(Stepped):
    """Does not say what its learning curve is."""

    def train_step(self, data):
        return {"d_loss": tf.constant(1.0)}


without_loss = stepping(WithoutLoss)


class Hoarding(OwnTrainStep):
    """Keeps what no trial would start anew."""

    def __init__(self, hyperparameters):
        super().__init__(hyperparameters)
        self.count = tf.Variable(0)


hoarding = stepping(Hoarding)
