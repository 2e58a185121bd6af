"""Keras models of users with a `train_step`, `test_step`, `compute_loss` or `compute_metrics` of their own.

Such methods act on the model's variables themselves, so there is nothing pure to compile: before a stretch of training,
a trial's state is put into the variables, the user's steps are taken as `fit` takes them, and the state is read again. That
happens within one compiled function. How networks are trained otherwise is left to
:mod:`hypercurve.training.engine`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from ..optimizers.optimizer import Optimizer, Tensors
from ..util.errors import UserError, in_a_line
from .runtime import global_seed_generator, keras, tf

METHODS = ("train_step", "test_step", "compute_loss", "compute_metrics")
"""What `fit` and `evaluate` call, and a subclass of `keras.Model` may replace."""


def replaced(model: Any) -> list[str]:
    """Which of these methods a model has of its own."""
    return [
        name for name in METHODS if getattr(getattr(model, name), "__func__", None) is not getattr(keras.Model, name)
    ]


class OwnSteps:
    """The training and the measuring of one such model.

    Args:
        model: the model, compiled by its builder.
        own: names of the methods that it has replaced.
        input_shape: shape of one example.
        target: shape of a target; None for class labels.
        weights: how much an example of each class counts in training, shape (classes,); its `train_step` is then given them
            as the third part of its data, as by `fit(class_weight=...)`.

    Attributes:
        optimizer: what its optimizers hold at the start, and how the learning rate gets there. Never asked to update.
        measures: names of what its `test_step` gives.

    Raises:
        UserError: it cannot be trained here; the message says why.
    """

    def __init__(
        self,
        model: Any,
        own: list[str],
        input_shape: tuple[int, ...],
        target: tuple[int, ...] | None,
        weights: npt.NDArray[Any] | None = None,
    ) -> None:
        what = f"model: {type(model).__name__} has its own {' and '.join(own)}"
        if not model.compiled:
            raise UserError(f"{what}, which needs an optimizer: let the function compile it")
        attributes = [item for layer in model._flatten_layers() for item in vars(layer).items()]
        if held := [name for name, value in attributes if isinstance(value, tf.Variable)]:
            raise UserError(
                f"{what} and keeps {held[0]} as a tf.Variable: no trial would start anew; use keras.Variable"
            )
        self._model, self._weights = model, weights
        self._variables = [*model.trainable_variables, *model.non_trainable_variables, global_seed_generator().state]
        x = tf.zeros((2, *input_shape))
        y = tf.zeros((2,), tf.int32) if target is None else tf.zeros((2, *target))
        start = [np.array(variable.numpy()) for variable in self._variables]
        with _noted(_optimizers(model)) as noted:  # an optimizer knows what it is to hold when it is first used
            try:
                given = model.train_step(self._batch(x, y))
            except Exception as error:
                if weights is None:
                    raise
                said = "its train_step is given x, y, sample_weight, as by `fit(class_weight=...)`, and raised"
                raise UserError(f"training.class_weight: {what}; {said} {in_a_line(error)}") from error
            logs = _scalars(given, what, "train_step")
        if "loss" not in logs:
            raise UserError(f"{what}: train_step gives {', '.join(logs) or 'nothing'} and no loss, the learning curve")
        self._slots = [variable for optimizer, _ in noted for variable in optimizer.variables]
        self._rate = _rate(model, [optimizer for optimizer, _ in noted])
        place = next((i for i, variable in enumerate(self._slots) if variable is self._rate), None)
        values = [value for _, held in noted for value in held]
        self.optimizer = Optimizer(
            tuple(values),
            _unused,
            (),
            rate=None if place is None else float(values[place]),
            rated=place is not None,
        )
        model.reset_metrics()
        self.measures = tuple(_scalars(model.test_step((x, y)), what, "test_step"))
        for variable, value in zip(self._variables, start, strict=True):
            variable.assign(value)

    def take(self, weights: Tensors, others: Tensors, slots: Tensors = ()) -> None:  # type: ignore[assignment]
        """Put a state into the variables; without slots, for measuring."""
        for variable, value in zip(self._variables, [*weights, *others], strict=True):
            variable.assign(value)
        for variable, value in zip(self._slots, slots, strict=False):
            variable.assign(value)

    def given(self) -> tuple[Tensors, Tensors, Tensors]:
        """The state in the variables: weights, other variables, slots."""
        values = [tf.identity(variable.value) for variable in self._variables]
        trainable = len(self._model.trainable_variables)
        return values[:trainable], values[trainable:], [tf.identity(variable.value) for variable in self._slots]

    def train(self, x: Any, y: Any, rate: Any) -> Any:
        """One step of the model's own; its loss."""
        if self._rate is not None:
            self._rate.assign(rate)
        self._model.reset_metrics()  # so that the loss is that of this step
        return self._model.train_step(self._batch(x, y))["loss"]

    def _batch(self, x: Any, y: Any) -> tuple[Any, ...]:
        return (x, y) if self._weights is None else (x, y, tf.gather(self._weights, y))

    def test(self, x: Any, scale: Any, y: Any) -> Mapping[str, Any]:
        """What the model's own step measures, with what was measured before."""
        logs: Mapping[str, Any] = self._model.test_step((tf.cast(x, tf.float32) * scale, y))
        return logs

    def evaluate(
        self, call: Callable[..., Mapping[str, Any]], x: npt.NDArray[Any], y: npt.NDArray[Any], scale: float, rows: int
    ) -> dict[str, float]:
        """Metrics over a part of the data: as in Keras, what the last call says.

        Args:
            call: :meth:`test`, or that compiled.
            x: inputs.
            y: labels or targets.
            scale: factor on the inputs.
            rows: most rows per call.
        """
        self._model.reset_metrics()
        logs: Mapping[str, Any] = {}
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            logs = call(tf.constant(x[part]), tf.constant(scale, tf.float32), tf.constant(y[part]))
        return {name: float(value) for name, value in logs.items()}


def _unused(*_: Any) -> Any:
    raise AssertionError("the model's own steps update its weights")


def _optimizers(model: Any) -> list[Any]:
    """A model's optimizers: that of `compile`, and others that a `train_step` may use."""
    found = [
        model.optimizer,
        *(value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)),
    ]
    return list({id(each): each for each in found if each is not None}.values())


@contextmanager
def _noted(optimizers: list[Any]) -> Iterator[list[tuple[Any, list[npt.NDArray[Any]]]]]:
    """Those of the optimizers that are used meanwhile, and what they hold before their first update."""
    noted: list[tuple[Any, list[npt.NDArray[Any]]]] = []
    originals = [type(optimizer).build for optimizer in optimizers]

    def note(optimizer: Any) -> None:
        noted.append((optimizer, [np.array(variable.numpy()) for variable in optimizer.variables]))

    def noting(optimizer: Any, build: Callable[..., Any]) -> Callable[..., Any]:
        def built(variables: Any) -> None:
            build(optimizer, variables)
            note(optimizer)

        return built

    for optimizer, original in zip(optimizers, originals, strict=True):
        if optimizer.built:
            note(optimizer)
        else:
            object.__setattr__(optimizer, "build", noting(optimizer, original))
    try:
        yield noted
    finally:
        for optimizer in optimizers:
            vars(optimizer).pop("build", None)


def _rate(model: Any, used: list[Any]) -> Any:
    """The variable that holds the learning rate of `compile`'s optimizer; None if it is unused or follows a schedule."""
    if all(optimizer is not model.optimizer for optimizer in used):
        return None
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return inner._learning_rate if isinstance(inner._learning_rate, keras.Variable) else None


def _scalars(logs: Any, what: str, method: str) -> Mapping[str, Any]:
    """What a step gave, by name.

    Raises:
        UserError: these are no numbers by name.
    """
    if not isinstance(logs, Mapping) or any(np.ndim(value) for value in logs.values()):
        raise UserError(f"{what}: {method} should give numbers by name, such as {{'loss': ...}}")
    return logs
