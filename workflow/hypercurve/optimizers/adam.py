"""Adam, as `keras.optimizers.Adam` has it (Kingma and Ba, 2015)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..space.hyperparameter import Hyperparameter
from .optimizer import Optimizer, Tensors


def _adam(
    weights: Tensors, slots: Tensors, gradients: Tensors, rate: Any, coefficients: Any
) -> tuple[Tensors, Tensors]:
    import tensorflow as tf

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


OPTIMIZER = Optimizer(
    2,
    _adam,
    (
        Hyperparameter(
            "beta_1", "float", 0.9, "numeric", "decay of the mean of gradients (adam)", 0, 1, open_upper=True
        ),
        Hyperparameter(
            "beta_2", "float", 0.999, "numeric", "decay of the mean of squared gradients (adam)", 0, 1, open_upper=True
        ),
        Hyperparameter("epsilon", "float", 1e-7, "numeric", "keeps Adam's division finite", 0, open_lower=True),
    ),
    _adam_rates,
    help="Adam",
)
