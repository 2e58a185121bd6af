"""Gradient descent with heavy-ball momentum, as `keras.optimizers.SGD` has it."""

from typing import Any

from ..space.hyperparameter import NETWORKS, Hyperparameter
from .optimizer import Optimizer, Tensors


def _sgd(weights: Tensors, slots: Tensors, gradients: Tensors, rate: Any, coefficients: Any) -> tuple[Tensors, Tensors]:
    momentum = coefficients[0]
    velocities = [momentum * v - rate * g for v, g in zip(slots, gradients, strict=True)]
    return [w + v for w, v in zip(weights, velocities, strict=True)], velocities


_MOMENTUM = Hyperparameter(
    "momentum",
    "float",
    0.0,
    "numeric",
    "share of the last update that is kept (sgd)",
    0,
    1,
    models=(*NETWORKS, "synthetic"),
)
OPTIMIZER = Optimizer(1, _sgd, (_MOMENTUM,), help="gradient descent with momentum")
