"""Steps, samples and virtual time of a trial: deterministic functions of its configuration.

Virtual time orders the events of trials that run at once (see docs/architecture.md): a trial reaches a point after
steps × (a + b × batch size) virtual seconds. A poor model costs idle time, never correctness. Of a user's loop or program,
a step is an epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..curves.cost import TrialCost, total_steps
from ..space.search_space import Value
from .hyperparameters import resolve
from .model import Trained, counts_epochs
from .setting import Setting
from .training import Cost


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
