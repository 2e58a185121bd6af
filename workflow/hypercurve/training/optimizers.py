"""Optimizers as pure functions of tensors, so that every hyperparameter enters as a value and none compiles again.

Gradient descent with heavy-ball momentum and Adam, in the arithmetic of `keras.optimizers.SGD` and `keras.optimizers.Adam`
(tests check them step for step). Which learning rate each step has is left to :mod:`hypercurve.config.learning_rates`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .runtime import BaseOptimizer, TFOptimizer, keras, tf

Tensors: TypeAlias = list[Any]
Update: TypeAlias = Callable[[Tensors, Tensors, Tensors, Any, Any], tuple[Tensors, Tensors]]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """A rule for updating weights.

    Attributes:
        slots: slot variables per weight, each of the weight's shape and zero at the start, or what they hold at the start.
        update: (weights, slots, gradients, rate, coefficients) -> (weights, slots). Slots stand kind by kind: all first
            ones, then all second ones.
        coefficients: names of the hyperparameters that `update` takes as one vector, in order.
        correct: turns learning rates into the rates that `update` takes, given the hyperparameters and the number of
            updates done before the first; None where they are the same.
        scale: (slots, loss) -> the loss to take gradients of, which `update` scales back; None where it is the loss itself.
        rate: the learning rate where the configuration names none; None where it must.
        rated: whether `update` heeds the rate that it is given.
    """

    slots: int | tuple[npt.NDArray[Any], ...]
    update: Update
    coefficients: tuple[str, ...]
    correct: Callable[[Mapping[str, Any], int, npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None
    scale: Callable[[Tensors, Any], Any] | None = None
    rate: float | None = None
    rated: bool = True

    def start(self, weights: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Slot variables at the start of a training."""
        if isinstance(self.slots, tuple):
            return list(self.slots)
        return [np.zeros_like(weight) for _ in range(self.slots) for weight in weights]


def _sgd(weights: Tensors, slots: Tensors, gradients: Tensors, rate: Any, coefficients: Any) -> tuple[Tensors, Tensors]:
    momentum = coefficients[0]
    velocities = [momentum * v - rate * g for v, g in zip(slots, gradients, strict=True)]
    return [w + v for w, v in zip(weights, velocities, strict=True)], velocities


def _adam(
    weights: Tensors, slots: Tensors, gradients: Tensors, rate: Any, coefficients: Any
) -> tuple[Tensors, Tensors]:
    beta_1, beta_2, epsilon = coefficients[0], coefficients[1], coefficients[2]
    means, squares = slots[: len(weights)], slots[len(weights) :]
    means = [m + (g - m) * (1 - beta_1) for m, g in zip(means, gradients, strict=True)]
    squares = [s + (g * g - s) * (1 - beta_2) for s, g in zip(squares, gradients, strict=True)]
    weights = [w - m * rate / (tf.sqrt(s) + epsilon) for w, m, s in zip(weights, means, squares, strict=True)]
    return weights, means + squares


def _adam_rates(
    hyperparameters: Mapping[str, Any], start: int, rates: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Rates with Adam's correction for the zero start of its means; on the host, in float64, where it costs nothing."""
    update = np.arange(start + 1, start + 1 + len(rates), dtype=np.float64)
    beta_1, beta_2 = np.float64(hyperparameters["beta_1"]), np.float64(hyperparameters["beta_2"])
    return (rates * np.sqrt(1 - beta_2**update) / (1 - beta_1**update)).astype(np.float32)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(1, _sgd, ("momentum",)),
    "adam": Optimizer(2, _adam, ("beta_1", "beta_2", "epsilon"), _adam_rates),
}
"""Optimizers by their name in configurations."""

FLOAT16_SCALE = 1024.0
"""Losses are multiplied by this, and gradients divided, where layers compute in float16: small gradients would vanish."""


def scaled(optimizer: Optimizer) -> Optimizer:
    """One of our optimizers for a network with layers that compute in float16."""

    def update(weights: Tensors, slots: Tensors, gradients: Tensors, rate: Any, coefficients: Any) -> Any:
        return optimizer.update(weights, slots, [g / FLOAT16_SCALE for g in gradients], rate, coefficients)

    return replace(optimizer, update=update, scale=lambda _, loss: loss * FLOAT16_SCALE)


def _undistribute(optimizer: Any, variables: Sequence[Any]) -> None:
    """Let a Keras optimizer update plain tensors.

    With TensorFlow, Keras's optimizers do what `tf.distribute` needs, which wants a `tf.Variable`. Below that lies what they
    do with other backends, which is pure; it takes the place of whatever a user's class has not replaced itself.
    """
    made = type(optimizer)
    keys = getattr(optimizer, "_exclude_from_weight_decay", ())
    excluded = {id(variable) for variable in variables if optimizer._var_key(variable) in keys}
    plain = {
        name: method
        for name, method in vars(BaseOptimizer).items()
        if name in vars(TFOptimizer) and name != "__init__" and getattr(made, name) is vars(TFOptimizer)[name]
    }
    optimizer.__class__ = type(made.__name__, (made,), plain)
    if hasattr(optimizer, "_exclude_from_weight_decay"):
        optimizer._exclude_from_weight_decay = excluded
    if optimizer.built:  # by the user: what it knows of variables goes by other keys
        optimizer._trainable_variables_indices = {id(variable): i for i, variable in enumerate(variables)}


def of_keras(optimizer: Any, variables: Sequence[Any]) -> Optimizer:
    """A Keras optimizer as a pure function of all its variables: counters, learning rate, slots.

    Its learning rate is set at every step, unless it follows a schedule of its own.

    Args:
        optimizer: a `keras.optimizers.Optimizer`; it is used up by this.
        variables: the trainable variables of the network.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    _undistribute(inner, variables)
    if not optimizer.built:
        optimizer.build(variables)
    held = list(optimizer.variables)
    place = next((i for i, variable in enumerate(held) if variable is inner._learning_rate), None)

    def update(weights: Tensors, slots: Tensors, gradients: Tensors, rate: Any, coefficients: Any) -> Any:
        del coefficients  # the optimizer has its own
        slots = list(slots)
        if place is not None:
            slots[place] = rate
        weights, slots = optimizer.stateless_apply(slots, gradients, weights)
        return list(weights), list(slots)

    def scale(slots: Tensors, loss: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(held, slots, strict=True))):
            return optimizer.scale_loss(loss)

    return Optimizer(
        tuple(np.array(variable.numpy()) for variable in held),
        update,
        (),
        scale=scale,
        rate=None if place is None else float(held[place].numpy()),
        rated=place is not None,
    )
