"""Steps, samples and virtual time of a trial: deterministic functions of its configuration.

Virtual time orders the events of trials that run at once (see docs/architecture.md): a trial reaches a point after
steps × (a + b × batch size) virtual seconds. A poor model costs idle time, never correctness.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .config import Cost
from .space import Value
from .hyperparameters import resolve


def total_steps(epochs: float, samples: int, batch_size: int) -> int:
    """Optimizer steps of a whole training; ``samples`` is the size of the training part."""
    return max(1, round(epochs * samples / batch_size))


def step_at(progress: float, total: int) -> int:
    """The step at which a share of the training is reached."""
    return round(progress * total)


@dataclass(frozen=True)
class CostModel:
    """What training costs.

    Attributes:
        model: the network's name, whose defaults fill what a configuration leaves out.
        cost: the coefficients a and b.
        samples: size of the training part.
    """

    model: str
    cost: Cost
    samples: int

    def _steps(self, configuration: Mapping[str, Value], progress: float) -> tuple[int, int]:
        filled = resolve(self.model, configuration)
        batch_size = int(filled["batch_size"])
        return step_at(progress, total_steps(float(filled["epochs"]), self.samples, batch_size)), batch_size

    def seconds(self, configuration: Mapping[str, Value], progress: float) -> float:
        """Virtual seconds that a trial needs to get to ``progress``."""
        steps, batch_size = self._steps(configuration, progress)
        return steps * (self.cost.step + self.cost.sample * batch_size)

    def trained(self, configuration: Mapping[str, Value], progress: float) -> int:
        """Training samples that a trial has seen at ``progress``."""
        steps, batch_size = self._steps(configuration, progress)
        return steps * batch_size
