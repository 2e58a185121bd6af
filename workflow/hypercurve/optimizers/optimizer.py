"""What an optimizer is: a rule for updating weights, and the hyperparameters that it brings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..space.hyperparameter import Hyperparameter

Tensors: TypeAlias = list[Any]
Update: TypeAlias = Callable[[Tensors, Tensors, Tensors, Any, Any], tuple[Tensors, Tensors]]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """A rule for updating weights.

    Attributes:
        slots: slot variables per weight, each of the weight's shape and zero at the start, or what they hold at the start.
        update: (weights, slots, gradients, rate, coefficients) -> (weights, slots). Slots stand kind by kind: all first
            ones, then all second ones.
        hyperparameters: those that `update` takes as one vector of coefficients, in this order.
        correct: turns learning rates into the rates that `update` takes, given the hyperparameters and the number of
            updates done before the first; None where they are the same.
        scale: (slots, loss) -> the loss to take gradients of, which `update` scales back; None where it is the loss itself.
        rate: the learning rate where the configuration names none; None where it must.
        rated: whether `update` heeds the rate that it is given.
        help: what it is, in words for users.
    """

    slots: int | tuple[npt.NDArray[Any], ...]
    update: Update
    hyperparameters: tuple[Hyperparameter, ...] = ()
    correct: Callable[[Mapping[str, Any], int, npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None
    scale: Callable[[Tensors, Any], Any] | None = None
    rate: float | None = None
    rated: bool = True
    help: str = ""

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the hyperparameters that `update` takes."""
        return tuple(one.name for one in self.hyperparameters)

    def start(self, weights: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Slot variables at the start of a training."""
        if isinstance(self.slots, tuple):
            return list(self.slots)
        return [np.zeros_like(weight) for _ in range(self.slots) for weight in weights]
