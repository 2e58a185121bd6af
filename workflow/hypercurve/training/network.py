"""Keras models as pure functions: their variables come in as arguments, so that one model serves every trial.

Also how a network starts again for each trial, how it is evaluated, and how its variables become one buffer and back.
Training loops and their compilation are left to :mod:`hypercurve.training.engine`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..model_spec import Trained
from ..seeding import integer_seed
from .base import ALIGNMENT, Trial
from .models import KNOB, builder
from .optimizers import Tensors
from .runtime import has_gpu, keras, tf

Compiler = Literal["auto", "xla", "graph"]
Array = npt.NDArray[Any]

LARGE = 1 << 16
"""Bytes from which on a copy of an array costs more than the handling of a tensor."""

EVALUATION_ROWS = 1000
"""Rows per evaluation call. Parts are padded to whole calls, and the padding does not count."""


def host(tensor: Any) -> Array:
    """A tensor's values, for reading; on a CPU, numbers are not copied."""
    try:
        return np.asarray(memoryview(tensor))
    except (TypeError, ValueError, BufferError, RuntimeError):  # on a GPU, or of a type that NumPy does not have
        return np.asarray(tensor.numpy())


def _places(arrays: Sequence[Array]) -> tuple[list[int], int]:
    """Where arrays begin in a packed vector, and its length, in bytes."""
    unit = ALIGNMENT if any(array.nbytes >= LARGE for array in arrays) else 4
    starts, end = [], 0
    for array in arrays:
        starts.append(end)
        end += array.nbytes + -array.nbytes % unit
    return starts, end


def packed_size(arrays: Sequence[Array]) -> int:
    """Length of the vector that :func:`pack` makes."""
    return _places(arrays)[1] // 4


def pack(arrays: Sequence[Array], out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
    """Arrays of any types as one float32 vector of the same bits.

    Each is padded to whole 4 bytes; where any is large, to multiples of :data:`ALIGNMENT` bytes.

    Args:
        arrays: what to pack.
        out: a vector of :func:`packed_size` to write into; by default a new one.
    """
    if out is None:
        out = np.empty(packed_size(arrays), np.float32)
    octets, end = out.view(np.uint8), 0
    starts, size = _places(arrays)
    for array, start in zip(arrays, starts, strict=True):
        octets[end:start] = 0
        end = start + array.nbytes
        octets[start:end] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    octets[end:size] = 0
    return out


def unpack(vector: npt.NDArray[np.float32], like: Sequence[Array]) -> list[Array]:
    """What :func:`pack` put into a vector, given arrays of the same shapes and types; views, not copies.

    Raises:
        ValueError: the vector has not the length that these arrays need.
    """
    octets = np.ascontiguousarray(vector, dtype=np.float32).view(np.uint8)
    starts, size = _places(like)
    if size != len(octets):
        raise ValueError(f"a buffer of {len(octets) // 4} numbers does not fit a network that needs {size // 4}")
    return [
        octets[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        for array, start in zip(like, starts, strict=True)
    ]


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


class Network:
    """A Keras model as a pure function, with what is needed to start it again for every trial.

    Args:
        model: a built-in model's name or ``package.module:function``.
        hyperparameters: resolved; only those that shape the network are read.
        input_shape: shape of one example.
        classes: number of classes.
        compiler: ``xla``; ``graph`` for TensorFlow's own kernels; ``auto`` for XLA unless the network has convolutions
            and runs on a CPU.
        compiled: called whenever something is compiled for this network.

    Attributes:
        variables: all variables, trainable ones first: their names and shapes matter, not what they hold.
        values: what they held when the network was built.
        trainable: how many are trainable.
        jit: whether XLA compiles this network.
    """

    def __init__(
        self,
        model: Trained,
        hyperparameters: Mapping[str, Any],
        input_shape: tuple[int, ...],
        classes: int,
        compiler: Compiler = "auto",
        compiled: Callable[[], None] = lambda: None,
    ) -> None:
        keras.utils.set_random_seed(0)  # a builder that draws numbers by itself draws the same in every process
        with _recorded_initializers() as initializers:
            self.model = builder(model)(hyperparameters, input_shape, classes)
            if not self.model.built:
                self.model.build((None, *input_shape))
        self.compiled = compiled
        self.jit = compiler == "xla" or (compiler == "auto" and not self._slow_in_xla())
        self.variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        self.values: list[Array] = [np.array(variable.numpy()) for variable in self.variables]
        self.trainable = len(self.model.trainable_variables)
        self._initializers = [self._fresh(initializers.get(id(v)), v) for v in self.variables]
        self._generators = [i for i, v in enumerate(self.variables) if v.path.endswith("seed_generator_state")]
        self._knobs = {i: v.name.removeprefix(KNOB) for i, v in enumerate(self.variables) if v.name.startswith(KNOB)}
        self._evaluate = tf.function(self._evaluation, jit_compile=self.jit)
        self._ready = False

    def _slow_in_xla(self) -> bool:
        """Convolutions on a CPU: XLA has no fast code for their gradients (tens of times slower than TensorFlow's here)."""
        if has_gpu():
            return False
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
            return integer_seed(trial.seed, trial.repeat, "weights", trial.number, index)

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
            values[index] = np.asarray(hyperparameters[name], dtype=values[index].dtype)
        return values

    def losses(
        self, weights: Tensors, others: Tensors, x: Any, y: Any, training: bool
    ) -> tuple[Any, Any, Tensors, Any]:
        """Cross-entropy per example, logits, the non-trainable variables afterwards, and the regularisation terms."""
        logits, others, penalties = self.model.stateless_call(weights, others, x, training=training, return_losses=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        return losses, logits, others, tf.add_n(penalties) if penalties else 0.0

    def _evaluation(self, weights: Tensors, others: Tensors, x: Any, y: Any, rows: Any, scale: Any) -> tuple[Any, Any]:
        self.compiled()
        losses, logits, _, _ = self.losses(weights, others, tf.cast(x, tf.float32) * scale, y, training=False)
        counts = tf.range(EVALUATION_ROWS) < rows
        correct = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), y) & counts
        summed = tf.reduce_sum(tf.where(counts, tf.cast(losses, tf.float64), tf.zeros((), tf.float64)))
        return summed, tf.reduce_sum(tf.cast(correct, tf.int32))

    def prepare(self, x: Array, y: Array) -> None:
        """Compile the evaluation now, by a run of one example."""
        if not self._ready:
            tensors = [tf.constant(value) for value in self.values]
            self.evaluate(tensors[: self.trainable], tensors[self.trainable :], x[:1], y[:1], 1.0)
            self._ready = True

    def evaluate(self, weights: Tensors, others: Tensors, x: Array, y: Array, scale: float) -> tuple[float, float]:
        """Mean cross-entropy and accuracy over a part of the data."""
        loss, correct = 0.0, 0
        for start in range(0, len(x), EVALUATION_ROWS):
            rows = min(EVALUATION_ROWS, len(x) - start)
            padding = EVALUATION_ROWS - rows
            inputs, labels = x[start : start + rows], y[start : start + rows]
            if padding:
                inputs = np.concatenate([inputs, np.zeros((padding, *x.shape[1:]), x.dtype)])
                labels = np.concatenate([labels, np.zeros(padding, y.dtype)])
            summed, hits = self._evaluate(
                weights, others, tf.constant(inputs), tf.constant(labels), tf.constant(rows), tf.constant(scale)
            )
            loss, correct = loss + float(summed), correct + int(hits)
        return loss / len(x), correct / len(x)
