"""Learning rates over the iterations of a training, as vectors.

Two decays, which multiply: the slides' exponential one ("LR Decay Ratio", applied every "LR Decay Pace" iterations, for
instance every 20) and inverse-time decay, the `decay` of Keras's classic optimizers (the slides' MNIST space draws it from
[0, 0.5]). Both follow `keras.optimizers.schedules` (`ExponentialDecay(staircase=True)`, `InverseTimeDecay`). Pure NumPy:
the compiled training step only reads the vector, so that no schedule ever compiles again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..space.search_space import Configuration
from .hyperparameters import resolve
from .model import Trained, counts_epochs

NOW = "now_"
"""A metric `now_NAME` of a user's loop or program: what its schedule has made of the hyperparameter NAME by this report."""


def learning_rates(
    hyperparameters: Mapping[str, Any], start: int, steps: int, *, anchor: int = 0
) -> npt.NDArray[np.float32]:
    """The learning rate of each iteration from `start` on: rate x ratio^floor(i / every) / (1 + decay x i).

    Args:
        hyperparameters: `learning_rate`, and `decay_ratio`, `decay_every` and `decay` where they differ from "none".
        start: the first iteration, counted from the start of training.
        steps: how many iterations.
        anchor: the iteration from which i is counted, where `learning_rate` holds undecayed. A population that changes
            a member's learning rate at iteration 240 sets this to 240.

    Returns:
        `steps` rates. Computed in float64 and rounded once to float32, so they do not depend on `start`. A ratio above 1
        may overflow to infinity; the training then diverges and is reported as such.
    """
    iteration = np.arange(start - anchor, start - anchor + steps, dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.float64(hyperparameters.get("decay_ratio", 1.0))
        staircase = ratio ** (iteration // int(hyperparameters.get("decay_every", 1)))
        inverse_time = 1.0 + np.float64(hyperparameters.get("decay", 0.0)) * iteration
        rates = np.float64(hyperparameters["learning_rate"]) * staircase / inverse_time
        return rates.astype(np.float32)


def decayed(
    configuration: Configuration, iterations: int, model: Trained, metrics: Mapping[str, float]
) -> Configuration:
    """A configuration whose `learning_rate` is what it has decayed to after some iterations.

    What a member of a population passes on is its present rate, not the one it began with. A configuration without a
    schedule comes back as it is. Users' loops and programs have schedules of their own, of any hyperparameter that is a
    float, and say what has become of it in their reports.

    Args:
        configuration: as it held at first.
        iterations: since then.
        model: what is trained.
        metrics: of the last report since then.
    """
    if counts_epochs(model):
        reported = {
            name: metrics.get(f"{NOW}{name}") for name, value in configuration.items() if isinstance(value, float)
        }
        return configuration | {name: float(value) for name, value in reported.items() if value is not None}
    hyperparameters = resolve(model, configuration)
    if hyperparameters.get("decay_ratio", 1.0) == 1 and hyperparameters.get("decay", 0.0) == 0:
        return configuration
    # Finite, as a journal needs; a rate that overflows makes the next step diverge.
    rate = float(np.nan_to_num(learning_rates(hyperparameters, iterations, 1)[0]))
    return {**configuration, "learning_rate": rate}
