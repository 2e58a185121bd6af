"""What one training costs, in optimizer steps, samples and virtual seconds.

Virtual time orders the events of trials that run at once (see docs/architecture.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from ..space.search_space import Value


def total_steps(epochs: float, samples: int, batch_size: int) -> int:
    """Optimizer steps of a whole training; ``samples`` is the size of the training part."""
    return max(1, round(epochs * samples / batch_size))


def step_at(progress: float, total: int) -> int:
    """The step at which a share of the training is reached: at least one, so that every report is of something."""
    return max(1, round(progress * total)) if progress > 0 else 0


@lru_cache(maxsize=256)
def distinct_points(points: tuple[float, ...], total: int) -> tuple[float, ...]:
    """Where a training of so many steps reports: those of a run's points between which something is trained.

    Of several points at one step, the training reports at the first that does not lie before that step's end, or else at
    the last; of those at its last step, at its end.

    >>> distinct_points((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), 3)
    (0.4, 0.7, 1.0)
    >>> distinct_points((0.25, 0.5, 0.75, 1.0), 1)
    (1.0,)

    Args:
        points: shares of training, increasing, ending with 1.
        total: steps of the training; of a user's loop or program, epochs.
    """
    found: dict[int, float] = {}
    for point in points:
        step = step_at(point, total)
        if step not in found or found[step] < step / total - 1e-9:
            found[step] = point
    return (*(point for step, point in found.items() if step < total), 1.0)


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
