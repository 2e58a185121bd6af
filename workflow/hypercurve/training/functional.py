"""Keras models as pure functions: their variables come in as arguments, so that one model serves every trial.

Also how a network starts again for each trial, and how it is evaluated. Training loops are left to
:mod:`hypercurve.training.engine`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from ..config.model import KerasSpec, Trained
from ..optimizers import OPTIMIZERS
from ..optimizers.optimizer import Optimizer, Tensors
from ..runs.trial import Trial
from ..util.errors import in_a_line
from ..util.seeding import integer_seed
from . import user_models as own_models
from .buffers import Array
from .networks import KNOB, builder
from .optimizers import of_keras
from .runtime import global_seed_generator, has_gpu, keras, tf
from .user_steps import OwnSteps, replaced

Compiler = Literal["auto", "xla", "graph"]
Mode = Literal["xla", "graph", "eager"]

MODES: tuple[Mode, ...] = ("xla", "graph", "eager")
"""Who may run a network, the fastest first."""

EVALUATION_ROWS = 1000
"""Rows per evaluation call. Parts are padded to whole calls, and the padding does not count."""

CONVOLUTION_ROWS = 200
"""The same for networks with convolutions, whose kernels keep the room that their largest call took: half a GiB for 1,000
images in the largest network of the slides' CIFAR-10 space."""


@contextmanager
def _recorded_initializers() -> Iterator[dict[int, Any]]:
    """While networks are built, notes which initializer each variable was given, by the variable's id."""
    record: dict[int, Any] = {}
    original = keras.layers.Layer.add_weight

    def add_weight(layer: Any, shape: Any = None, initializer: Any = None, *args: Any, **options: Any) -> Any:
        variable = original(layer, shape, initializer, *args, **options)
        if initializer is not None:
            record[id(variable)] = keras.initializers.get(initializer)
        return variable

    keras.layers.Layer.add_weight = add_weight
    try:
        yield record
    finally:
        keras.layers.Layer.add_weight = original


def built(model: Trained, hyperparameters: Mapping[str, Any], input_shape: tuple[int, ...], classes: int) -> Any:
    """The Keras model that a builder makes of resolved hyperparameters."""
    keras.utils.set_random_seed(0)  # a builder that draws numbers by itself draws the same in every process
    if isinstance(model, KerasSpec):
        return own_models.build(builder(model), hyperparameters, input_shape, classes)
    return builder(model)(hyperparameters, input_shape, classes)


class Network:
    """A Keras model as a pure function, with what is needed to start it again for every trial.

    Args:
        model: the network.
        hyperparameters: resolved; only those that shape the network are read.
        input_shape: shape of one example.
        classes: number of classes, or of numbers in a target.
        target: shape of a target; None for class labels.
        compiler: ``xla``; ``graph`` for TensorFlow's own kernels; ``auto`` for XLA unless the network has convolutions
            and runs on a CPU.
        compiled: called whenever something is compiled for this network.
        fell: called when something runs in another mode than `mode`, and why.
        weights: how much an example of each class counts in the training loss, shape (classes,); None: 1.

    Attributes:
        variables: all variables, trainable ones first: their names and shapes matter, not what they hold.
        values: what they held when the network was built.
        trainable: how many are trainable.
        mode: who compiles this network, if nothing speaks against it.
        rows: examples per evaluation call.
        read: the hyperparameters that a user's builder asked for; empty for built-in models.
        optimizer: the optimizer that the model brings; None if it brings none.
        steps: how a model with a `train_step` or the like of its own is trained and measured; None for all others.
    """

    def __init__(
        self,
        model: Trained,
        hyperparameters: Mapping[str, Any],
        input_shape: tuple[int, ...],
        classes: int,
        target: tuple[int, ...] | None = None,
        compiler: Compiler = "auto",
        compiled: Callable[[], None] = lambda: None,
        fell: Callable[[Mode, str], None] = lambda *_: None,
        weights: Array | None = None,
    ) -> None:
        self._weights = weights
        self.own = isinstance(model, KerasSpec)
        reading = own_models.Reading(hyperparameters)
        with _recorded_initializers() as initializers:
            self.model = built(model, reading if self.own else hyperparameters, input_shape, classes)
        self.read = frozenset(reading.read)
        self.target = target
        self._loss = None
        self.steps: OwnSteps | None = None
        if self.own and (methods := replaced(self.model)):
            self.steps = OwnSteps(self.model, methods, input_shape, target, weights)
        elif self.own or target is not None:
            loss, metrics = (model.loss, model.metrics) if isinstance(model, KerasSpec) else (None, ())
            self._loss = own_models.measured(self.model, loss, metrics, input_shape, classes, target)
        self.optimizer: Optimizer | None = None
        if self.steps is not None:
            self.optimizer = self.steps.optimizer
        elif self.own and self.model.compiled and self.model.optimizer is not None:
            self.optimizer = of_keras(self.model.optimizer, self.model.trainable_variables)
        self.compiled, self.fell = compiled, fell
        self.variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        if self.own:
            self.variables.append(global_seed_generator().state)
        self.values: list[Array] = [np.array(variable.numpy()) for variable in self.variables]
        self.trainable = len(self.model.trainable_variables)
        self.float16 = any(getattr(layer, "compute_dtype", "") == "float16" for layer in self.model._flatten_layers())
        self._initializers = [self._fresh(initializers.get(id(v)), v) for v in self.variables]
        self._generators = [i for i, v in enumerate(self.variables) if v.path.endswith("seed_generator_state")]
        self._knobs = {i: v.name.removeprefix(KNOB) for i, v in enumerate(self.variables) if v.name.startswith(KNOB)}
        convolutional = self._has_convolutions()
        self.rows = CONVOLUTION_ROWS if convolutional else EVALUATION_ROWS
        # XLA has no fast code for the gradients of convolutions on a CPU: tens of times slower than TensorFlow's own here.
        self.mode: Mode = self._first_mode(compiler, slow_in_xla=convolutional and not has_gpu())
        self._ready = False

    def _first_mode(self, compiler: Compiler, slow_in_xla: bool) -> Mode:
        if self.own and self.model.run_eagerly:
            return "eager"
        if self.steps is not None:
            return "graph"
        takes_xla = not self.own or all(layer.supports_jit for layer in self.model._flatten_layers())
        xla = compiler == "xla" or (compiler == "auto" and not slow_in_xla)
        return "xla" if xla and takes_xla else "graph"

    def _has_convolutions(self) -> bool:
        layers = self.model._flatten_layers(include_self=False)
        return any("Conv" in base.__name__ for layer in layers for base in type(layer).__mro__)

    @staticmethod
    def _fresh(initializer: Any, variable: Any) -> Any:
        """The initializer to run per trial; None for what holds a fixed value, pretrained weights among others."""
        if initializer is None or not hasattr(initializer, "get_config") or "seed" not in initializer.get_config():
            return None
        again = np.asarray(initializer(variable.shape, dtype=variable.dtype))
        return initializer if np.array_equal(again, variable.numpy()) else None

    def initial(self, trial: Trial) -> list[Array]:
        """Values of all variables at the start of a trial, drawn from the trial's own seed and nothing else."""
        values = list(self.values)

        def seed(index: int) -> int:
            return integer_seed(trial.seed, trial.repeat, "weights", trial.draws, index)

        with tf.device("CPU:0"):  # the same numbers whatever the machine has
            for index, initializer in enumerate(self._initializers):
                if initializer is not None:
                    renewed = type(initializer).from_config({**initializer.get_config(), "seed": seed(index)})
                    values[index] = np.asarray(renewed(values[index].shape, dtype=values[index].dtype.name))
        for index in self._generators:
            values[index] = np.array([seed(index), 0], dtype=values[index].dtype)
        return values

    def set_knobs(self, values: list[Array], hyperparameters: Mapping[str, Any]) -> list[Array]:
        """Values of all variables, with the numeric hyperparameters among them set."""
        values = list(values)
        for index, name in self._knobs.items():
            if name not in hyperparameters:
                raise ValueError(f"a layer takes its rate from {name!r}, which this configuration does not have")
            values[index] = np.asarray(hyperparameters[name], dtype=self.values[index].dtype)
        return values

    @property
    def shaping(self) -> frozenset[str]:
        """What a user's builder reads, but for the rate of its own optimizer, which every step is given anyway."""
        given = self.optimizer is not None and self.optimizer.rated
        return self.read - {"learning_rate"} if given else self.read

    @property
    def used(self) -> frozenset[str]:
        """The hyperparameters that have an effect, in this structure."""
        used = {"epochs", "batch_size", *self.read, *self.knobs}
        if self.optimizer is None:
            used |= {"optimizer", *(name for ours in OPTIMIZERS.values() for name in ours.coefficients)}
        return frozenset(used | {*own_models.SCHEDULED} if self.optimizer is None or self.optimizer.rated else used)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured."""
        if self.steps is not None:
            return self.steps.measures
        if self._loss is None:
            return "loss", "accuracy"
        return "loss", *(name for name in self.model.get_metrics_result() if name != "loss")

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(value.size for value in self.values[: self.trainable])

    @property
    def knobs(self) -> frozenset[str]:
        """Hyperparameters that variables of the network hold, so that they may change without compiling."""
        return frozenset(self._knobs.values())

    def forward(self, weights: Tensors, others: Tensors, x: Any, training: bool) -> tuple[Any, Tensors, Any]:
        """Outputs, the non-trainable variables afterwards, and the regularisation terms."""
        if not self.own:
            outputs, others, penalties = self.model.stateless_call(
                weights, others, x, training=training, return_losses=True
            )
            return outputs, others, tf.add_n(penalties) if penalties else 0.0
        # As `stateless_call` does, but with the generator that unseeded draws share, and by the model's `__call__`, which
        # casts inputs where precisions are mixed and knows whether `call` takes `training`.
        shared = (global_seed_generator().state, others[-1])
        mapping = [*zip(self.variables[:-1], [*weights, *others[:-1]], strict=True), shared]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            outputs = self.model(x, training=training)
            penalties = [tf.cast(term, tf.float32) for term in self.model.losses]
        others = [scope.get_current_value(variable) for variable in (*self.variables[self.trainable : -1], shared[0])]
        return outputs, others, tf.add_n(penalties) if penalties else 0.0

    def mean_loss(self, outputs: Any, y: Any, weights: Any = None) -> Any:
        """The loss of a batch, without regularisation terms; weights of its examples are Keras's `sample_weight`."""
        if self._loss is not None:
            return tf.cast(self._loss(y, outputs, weights), tf.float32)
        losses = _cross_entropy(outputs, y)
        return tf.reduce_mean(losses if weights is None else losses * weights)

    def training_loss(self, outputs: Any, y: Any) -> Any:
        """The same with the weights of classes."""
        return self.mean_loss(outputs, y, None if self._weights is None else tf.gather(self._weights, y))

    def constrained(self, weights: Tensors) -> Tensors:
        """Weights after an update, within the constraints that layers put on them."""
        limits = [variable.constraint for variable in self.variables[: self.trainable]]
        return [w if limit is None else limit(w) for w, limit in zip(weights, limits, strict=True)]

    def compile(self, function: Callable[..., Any], mode: Mode) -> Callable[..., Any]:
        """A function as it is run in a mode; everything that is compiled is counted."""
        if mode == "eager":
            return function

        def traced(*arguments: Any) -> Any:
            self.compiled()
            return function(*arguments)

        compiled: Callable[..., Any] = tf.function(traced, jit_compile=mode == "xla")
        return compiled

    def choose_mode(self, attempt: Callable[[Mode], None], where: str) -> Mode:
        """The first mode, from the network's own on, in which something runs.

        A user's model may do what a compiler refuses. Every structure is tried on its own, so that what a trial runs in
        does not depend on the trials before.

        Args:
            attempt: compiles and runs it in a mode.
            where: what it is, for the warning.

        Raises:
            Exception: what happened in the last mode, where the model's own errors are clearest.
        """
        modes = MODES[MODES.index(self.mode) :] if self.own else (self.mode,)
        refused: Exception | None = None
        for mode in modes:
            try:
                attempt(mode)
            except Exception as error:
                if mode == modes[-1]:
                    raise
                refused = refused or error
                continue
            if refused is not None:
                self.fell(mode, f"{where}: {in_a_line(refused).rstrip('.')}")
            return mode
        raise AssertionError("there is a last mode")

    def prepare(self, x: Array, y: Array) -> None:
        """Compile the evaluation now, by a run of one call."""
        if not self._ready:
            tensors = [tf.constant(value) for value in self.values]
            rows = 1 if self.steps is None else self.rows  # steps of a model's own are not given padding

            def attempt(mode: Mode) -> None:
                ours = self._evaluation if self._loss is None else self._prediction
                self._evaluate = self.compile(ours if self.steps is None else self.steps.test, mode)
                self.evaluate(tensors[: self.trainable], tensors[self.trainable :], x[:rows], y[:rows], 1.0)

            self.measured_in = self.choose_mode(attempt, "measuring it")
            self._ready = True

    def _evaluation(self, weights: Tensors, others: Tensors, x: Any, scale: Any, y: Any, rows: Any) -> tuple[Any, Any]:
        logits, _, _ = self.forward(weights, others, tf.cast(x, tf.float32) * scale, training=False)
        losses = _cross_entropy(logits, y)
        counts = tf.range(self.rows) < rows
        correct = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), y) & counts
        summed = tf.reduce_sum(tf.where(counts, tf.cast(losses, tf.float64), tf.zeros((), tf.float64)))
        return summed, tf.reduce_sum(tf.cast(correct, tf.int32))

    def _prediction(self, weights: Tensors, others: Tensors, x: Any, scale: Any) -> Any:
        return self.forward(weights, others, tf.cast(x, tf.float32) * scale, training=False)[0]

    def evaluate(self, weights: Tensors, others: Tensors, x: Array, y: Array, scale: float) -> dict[str, float]:
        """Mean loss and metrics over a part of the data, regularisation terms left out.

        Built-in losses are summed in the compiled step. Metrics of users run uncompiled, on what the compiled network
        predicts, so that any of Keras's or of their own will do; those that are no means, such as the area under a
        curve, are taken over the whole part.
        """
        if self.steps is not None:
            self.steps.take(weights, others)
            return self.steps.evaluate(self._evaluate, x, y, scale, self.rows)
        loss, correct = 0.0, 0
        if self._loss is not None:
            self.model.reset_metrics()
        for start in range(0, len(x), self.rows):
            rows = min(self.rows, len(x) - start)
            inputs, labels = (_padded(part[start : start + rows], self.rows) for part in (x, y))
            tensors = weights, others, tf.constant(inputs), tf.constant(scale, tf.float32)
            if self._loss is None:
                summed, hits = self._evaluate(*tensors, tf.constant(labels), tf.constant(rows))
                loss, correct = loss + float(summed), correct + int(hits)
            else:
                outputs, truth = self._evaluate(*tensors)[:rows], tf.constant(labels[:rows])
                loss += float(self.mean_loss(outputs, truth)) * (1 if self._loss.reduction == "sum" else rows)
                self.model.compute_metrics(None, truth, outputs)
        if self._loss is None:
            return {"loss": loss / len(x), "accuracy": correct / len(x)}
        measured = {name: float(value) for name, value in self.model.get_metrics_result().items() if name != "loss"}
        return {"loss": loss / len(x), **measured}


def _cross_entropy(logits: Any, y: Any) -> Any:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=tf.cast(logits, tf.float32))


def _padded(part: Array, rows: int) -> Array:
    """Rows of data, filled up to a whole call."""
    padding = rows - len(part)
    return np.concatenate([part, np.zeros((padding, *part.shape[1:]), part.dtype)]) if padding else part
