"""Steps, samples and virtual time of a trial: deterministic functions of its configuration.

Virtual time orders the events of trials that run at once (see docs/architecture.md): a trial reaches a point after
steps × (a + b × batch size) virtual seconds. A poor model costs idle time, never correctness. Of a user's loop or program,
a step is an epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from .config import Cost, Setting
from .hyperparameters import resolve
from .model_spec import Trained, counts_epochs
from .space import Value


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


@dataclass(frozen=True)
class CostModel:
    """What training costs.

    Attributes:
        model: the network, whose defaults fill what a configuration leaves out; or a loop or program.
        cost: the coefficients a and b.
        samples: size of the training part; 0 where there is none.
    """

    model: Trained
    cost: Cost
    samples: int

    def of(self, configuration: Mapping[str, Value]) -> TrialCost:
        """The cost of a configuration's training."""
        filled = resolve(self.model, configuration)
        if counts_epochs(self.model):
            size = filled.get("batch_size", 0)
            size = max(size, 0) if isinstance(size, int | float) and not isinstance(size, bool) else 0
            return TrialCost(int(filled["epochs"]), 0, self.cost.step + self.cost.sample * size)
        batch_size = int(filled["batch_size"])
        steps = total_steps(float(filled["epochs"]), self.samples, batch_size)
        return TrialCost(steps, batch_size, self.cost.step + self.cost.sample * batch_size)


def report_points(setting: Setting, samples: int) -> tuple[float, ...]:
    """Shares of training at which trials report: accumulation points, or a population's evolution steps and the end."""
    population = setting.population
    if population is None:
        return setting.training.accumulation_points
    steps = (
        CostModel(setting.model, setting.cost, samples)
        .of(setting.space.decode([0.5] * len(setting.space.variables)))
        .steps
    )
    return (*(step / steps for step in range(population.every, steps, population.every)), 1.0)
