"""The compiled training engine: compile once, train many.

A *network* is a Keras model used as a pure function; a *program* is its training loop, compiled. Neither holds the state
of a training: weights, slot variables and the like go in and come out as tensors, so any number of sessions share one
program, and networks that differ only in numeric hyperparameters compile once. One call runs up to `CHUNK` steps inside
TensorFlow, which is what makes small networks fast: `model.fit` spends nearly all of its time between the steps.

Which steps a trial takes, and when it is evaluated, is left to :mod:`hypercurve.training.keras_trainer`.
"""

import gc
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..config.hyperparameters import role_of
from ..config.model import Trained, label
from ..optimizers import OPTIMIZERS
from ..optimizers.optimizer import Tensors
from . import user_models as own_models
from .buffers import Array
from .functional import Compiler, Mode, Network
from .optimizers import scaled
from .runtime import has_gpu, tf
from .trainer import ALIGNMENT

FELL: dict[Mode, str] = {
    "graph": "It runs without XLA, in TensorFlow's graph mode, which may take longer",
    "eager": "It runs uncompiled, operation by operation, which takes many times longer",
}
"""What users are told when a compiler refuses their model."""

_T = TypeVar("_T")

CHUNK = 512
"""Most steps per call. Sample numbers and rates come as arrays of this length, so that fewer steps compile nothing; a call
costs some 0.3 ms on top of its steps, and a chunk of batches of 512 is 1 MB of sample numbers."""


@dataclass(slots=True)
class State:
    """A training's whole state.

    Attributes:
        weights: trainable variables.
        others: non-trainable variables: moving averages, states of random generators, numeric hyperparameters.
        slots: the optimizer's slot variables.
        loss: sum of the losses since the last point, a float64 scalar: it adds thousands of losses without losing the
            last ones' digits, and cannot overflow before a loss does. Not finite once the training has diverged.
    """

    weights: Tensors
    others: Tensors
    slots: Tensors
    loss: Any


def as_tensor(array: Array) -> Any:
    """A tensor of an array's data, without a copy on a CPU, so that processes share the pages of a mapped file.

    DLPack takes the mapping as it is (`tf.constant` copies, 39 MB for MNIST); NumPy aligns the data in its files to 64
    bytes, as TensorFlow wants. The array must be writable in NumPy's eyes (``mmap_mode="c"``), since DLPack has no
    read-only arrays; the engine never writes to it.
    """
    flags = array.flags
    if not (flags.writeable and flags.c_contiguous) or array.ctypes.data % ALIGNMENT or not array.size or has_gpu():
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(np.asarray(array).__dlpack__())


class Program:
    """A network's training loop, compiled for one batch size, optimizer and shape of data.

    Args:
        network: what is trained.
        optimizer: name in :data:`hypercurve.optimizers.OPTIMIZERS`; unused where the network brings its own.
        batch_size: examples per step.
    """

    def __init__(self, network: Network, optimizer: str, batch_size: int) -> None:
        self.network = network
        ours = OPTIMIZERS[optimizer]
        self.optimizer = network.optimizer or (scaled(ours) if network.float16 else ours)
        self.batch_size = batch_size
        self.zero = tf.constant(0.0, tf.float64)
        self.mode: Mode = network.mode
        self.step_seconds: float | None = None  # as measured last
        self.slots: list[Array] = self.optimizer.start(network.values[: network.trainable])

    def state(self, values: Sequence[Array], slots: Sequence[Array] | None = None, loss: float = 0.0) -> State:
        """A training's state from the values of all variables, and of the slots where training has begun.

        Large weights and slots are not copied: they must stay as they are until the training has gone on, which puts others
        in their places.
        """
        weights = [as_tensor(value) for value in values[: self.network.trainable]]
        others = [
            tf.constant(value) for value in values[self.network.trainable :]
        ]  # which a step may leave as they are
        tensors = [
            as_tensor(slot) if slot.dtype == np.float32 else tf.constant(slot)
            for slot in (self.slots if slots is None else slots)
        ]
        return State(weights, others, tensors, tf.constant(loss, tf.float64))

    def set_knobs(self, state: State, hyperparameters: Mapping[str, Any]) -> None:
        """Set the numeric hyperparameters that a training's state holds; nothing else of it is touched."""
        values = self.network.set_knobs([*state.weights, *state.others], hyperparameters)
        state.others = [v if tf.is_tensor(v) else tf.constant(v) for v in values[self.network.trainable :]]

    def run(
        self,
        state: State,
        x: Any,
        y: Any,
        scale: float,
        order: npt.NDArray[np.int32],
        rates: npt.NDArray[np.float32],
        hyperparameters: Mapping[str, Any],
    ) -> tuple[State, int]:
        """Train for some steps; ends early at the first loss that is not finite.

        Args:
            state: where to start; not changed.
            x: inputs of the training part, as a tensor.
            y: labels of the training part, as a tensor.
            scale: factor on the inputs.
            order: sample numbers, one row per step.
            rates: learning rate of each step.
            hyperparameters: resolved; read for the optimizer's coefficients.

        Returns:
            The state afterwards and the number of steps done.
        """
        steps = len(order)
        if steps > CHUNK:
            raise ValueError(f"at most {CHUNK} steps per call, not {steps}")
        padded = np.zeros((CHUNK, self.batch_size), np.int32)
        padded[:steps] = order
        padded_rates = np.zeros(CHUNK, np.float32)
        padded_rates[:steps] = rates
        coefficients = np.array([hyperparameters[name] for name in self.optimizer.coefficients], np.float32)
        done, *rest = self._train(
            state.weights,
            state.others,
            state.slots,
            state.loss,
            x,
            y,
            tf.constant(scale, tf.float32),
            tf.constant(padded),
            tf.constant(padded_rates),
            tf.constant(coefficients),
            tf.constant(steps),
        )
        return State(*rest), int(done)

    def prepare(self, x: Any, y: Any, hyperparameters: Mapping[str, Any]) -> None:
        """Compile now, by a run of no steps; uncompiled, by one step that teaches nothing."""

        def attempt(mode: Mode) -> None:
            self._train = self.network.compile(self._loop if self.network.steps is None else self._own_loop, mode)
            steps = int(mode == "eager")
            order, rates = np.zeros((steps, self.batch_size), np.int32), np.zeros(steps, np.float32)
            self.run(self.state(self.network.values), x, y, 1.0, order, rates, hyperparameters)

        self.mode = self.network.choose_mode(attempt, "training it")

    def _loop(
        self,
        weights: Tensors,
        others: Tensors,
        slots: Tensors,
        loss: Any,
        x: Any,
        y: Any,
        scale: Any,
        order: Any,
        rates: Any,
        coefficients: Any,
        steps: Any,
    ) -> Any:
        def going(done: Any, *state: Any) -> Any:
            return (done < steps) & tf.math.is_finite(state[-1])

        def step(done: Any, weights: Tensors, others: Tensors, slots: Tensors, loss: Any) -> Any:
            rows = order[done]
            inputs = tf.cast(tf.gather(x, rows), tf.float32) * scale
            with tf.GradientTape() as tape:
                tape.watch(weights)
                outputs, others, penalty = self.network.forward(weights, others, inputs, training=True)
                mean = self.network.training_loss(outputs, tf.gather(y, rows)) + penalty
                goal = mean if self.optimizer.scale is None else self.optimizer.scale(slots, mean)
            gradients = tape.gradient(goal, weights, unconnected_gradients="zero")
            gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]  # those of embeddings are sparse
            weights, slots = self.optimizer.update(weights, slots, gradients, rates[done], coefficients)
            if self.network.optimizer is None:  # which would heed them itself
                weights = self.network.constrained(weights)
            return done + 1, weights, list(others), slots, loss + tf.cast(mean, tf.float64)

        state = (tf.constant(0), weights, others, slots, loss)
        return tf.while_loop(going, step, state, parallel_iterations=1)

    def _own_loop(
        self,
        weights: Tensors,
        others: Tensors,
        slots: Tensors,
        loss: Any,
        x: Any,
        y: Any,
        scale: Any,
        order: Any,
        rates: Any,
        coefficients: Any,
        steps: Any,
    ) -> Any:
        """The same by steps of the model's own, which act on its variables."""
        del coefficients  # its optimizers have their own
        own = self.network.steps
        assert own is not None

        def going(done: Any, loss: Any) -> Any:
            return (done < steps) & tf.math.is_finite(loss)

        def step(done: Any, loss: Any) -> Any:
            rows = order[done]
            inputs = tf.cast(tf.gather(x, rows), tf.float32) * scale
            mean = own.train(inputs, tf.gather(y, rows), rates[done])
            return done + 1, loss + tf.cast(mean, tf.float64)

        own.take(weights, others, slots)
        done, loss = tf.while_loop(going, step, (tf.constant(0), loss), parallel_iterations=1)
        return done, *own.given(), loss


class Engine:
    """Networks and programs by what they are compiled for, at most `size` of each.

    Args:
        compiler: see :class:`hypercurve.training.functional.Network`.
        size: how many networks and programs to keep. TensorFlow itself keeps compiled code for the life of a process, so
            a search over a great many structures is best cut into batches of trials.
        weights: how much an example of each class counts in the training loss; None: 1.

    Attributes:
        compilations: how often something was compiled so far.
    """

    def __init__(self, compiler: Compiler = "auto", size: int = 16, weights: Array | None = None) -> None:
        self.compiler: Compiler = compiler
        self.weights = weights
        self.size = size
        self.compilations = 0
        self._networks: OrderedDict[Hashable, Network] = OrderedDict()
        self._programs: OrderedDict[Hashable, Program] = OrderedDict()
        self._read: dict[Trained, frozenset[str]] = {}  # what builders of users ask for, by model
        self._told: set[tuple[Trained, Mode]] = set()

    def _count(self) -> None:
        self.compilations += 1

    def network(
        self,
        model: Trained,
        hyperparameters: Mapping[str, Any],
        input_shape: tuple[int, ...],
        classes: int,
        target: tuple[int, ...] | None = None,
    ) -> Network:
        """The network of these hyperparameters, built if there is none yet.

        Args:
            model: the network.
            hyperparameters: resolved.
            input_shape: shape of one example.
            classes: number of classes, or of numbers in a target.
            target: shape of a target; None for class labels.
        """

        def build() -> Network:
            def fell(mode: Mode, reason: str) -> None:
                if (model, mode) not in self._told:
                    print(f"warning: model {label(model)}: {reason}. {FELL[mode]}", file=sys.stderr, flush=True)
                self._told.add((model, mode))

            shape = input_shape, classes, target
            return Network(model, hyperparameters, *shape, self.compiler, self._count, fell, self.weights)

        def key() -> Hashable:
            return self._structure(model, hyperparameters), input_shape, classes, target

        network = self._kept(self._networks, key(), build)
        if network.own and (model not in self._read or not network.shaping <= self._read[model]):
            self._read[model] = self._read.get(model, frozenset()) | network.shaping
            network = self._kept(self._networks, key(), lambda: network)
        return network

    def program(self, model: Trained, hyperparameters: Mapping[str, Any], x: Any, y: Any, classes: int) -> Program:
        """The training loop of these hyperparameters, built and compiled if there is none yet.

        Args:
            model: the network.
            hyperparameters: resolved.
            x: inputs of the training part, as a tensor.
            y: labels of the training part, or targets, which are floating, as a tensor.
            classes: number of classes, or of numbers in a target.
        """
        target = tuple(y.shape[1:]) if y.dtype.is_floating else None
        optimizer, batch_size = str(hyperparameters["optimizer"]), int(hyperparameters["batch_size"])

        def key() -> Hashable:
            structure = self._structure(model, hyperparameters)
            return structure, optimizer, batch_size, tuple(x.shape), x.dtype.name, classes, target

        def build() -> Program:
            program = Program(network, optimizer, batch_size)
            program.prepare(x, y, hyperparameters)
            return program

        if key() in self._programs:
            self._programs.move_to_end(key())
            return self._programs[key()]
        network = self.network(model, hyperparameters, tuple(x.shape[1:]), classes, target)
        return self._kept(self._programs, key(), build)

    def _structure(self, model: Trained, hyperparameters: Mapping[str, Any]) -> Hashable:
        """What two trials must agree in to have the same network: with a model of a user's, what its builder reads."""
        if model in self._read:
            return model, own_models.structure(self._read[model], hyperparameters)
        return model, *((n, v) for n, v in sorted(hyperparameters.items()) if role_of(model, n) == "network")

    def _kept(self, shelf: OrderedDict[Hashable, _T], key: Hashable, build: Callable[[], _T]) -> _T:
        if key not in shelf:
            shelf[key] = build()
            if len(shelf) > self.size:
                shelf.popitem(last=False)
                gc.collect()  # networks and programs are full of cycles, and hold some 10 MiB each
        shelf.move_to_end(key)
        return shelf[key]
