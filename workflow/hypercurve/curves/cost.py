"""What one training costs, in optimizer steps, samples and virtual seconds.

Virtual time orders the events of trials that run at once (see docs/architecture.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..space.search_space import Value


def total_steps(epochs: float, samples: int, batch_size: int) -> int:
    """Optimizer steps of a whole training; ``samples`` is the size of the training part."""
    return max(1, round(epochs * samples / batch_size))


def step_at(progress: float, total: int) -> int:
    """The step at which a share of the training is reached."""
    return round(progress * total)


@dataclass(frozen=True, slots=True)
class TrialCost:
    """What one trial costs.

    Attributes:
        steps: optimizer steps of the whole training.
        batch_size: samples per step; 0 where samples are not counted.
        step_seconds: virtual seconds per step.
    """

    steps: int
    batch_size: int
    step_seconds: float

    def seconds(self, progress: float) -> float:
        """Virtual seconds until a share of the training is reached."""
        return step_at(progress, self.steps) * self.step_seconds

    def trained(self, progress: float) -> int:
        """Training samples seen until a share of the training is reached."""
        return step_at(progress, self.steps) * self.batch_size


class Costs(Protocol):
    """Says what training costs: a :class:`CostModel`, or recorded curves."""

    @property
    def samples(self) -> int:
        """Size of the training part."""
        ...

    def of(self, configuration: Mapping[str, Value]) -> TrialCost:
        """The cost of a configuration's training."""
        ...
