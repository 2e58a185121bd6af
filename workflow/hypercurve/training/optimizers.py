"""Optimizers as pure functions of tensors, so that every hyperparameter enters as a value and none compiles again.

Gradient descent with heavy-ball momentum and Adam, in the arithmetic of `keras.optimizers.SGD` and `keras.optimizers.Adam`
(tests check them step for step). Which learning rate each step has is left to :mod:`hypercurve.schedules`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .runtime import tf

Tensors: TypeAlias = list[Any]
Update: TypeAlias = Callable[[Tensors, Tensors, Tensors, Any, Any], tuple[Tensors, Tensors]]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """A rule for updating weights.

    Attributes:
        slots: slot variables per weight, each of the weight's shape and zero at the start.
        update: (weights, slots, gradients, rate, coefficients) -> (weights, slots). Slots stand kind by kind: all first
            ones, then all second ones.
        coefficients: names of the hyperparameters that `update` takes as one vector, in order.
        correct: turns learning rates into the rates that `update` takes, given the hyperparameters and the number of
            updates done before the first; None where they are the same.
    """

    slots: int
    update: Update
    coefficients: tuple[str, ...]
    correct: Callable[[Mapping[str, Any], int, npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None


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
