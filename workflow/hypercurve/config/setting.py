"""What one method's runs depend on, and nothing else: what a run reads, and what its journal names by a digest."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from ..space.search_space import Space
from ..util.schema import Model
from .budget import Budget
from .data import DataSpec
from .methods import PRESELECT, Population
from .model import ModelSpec
from .objective import Constraints, JudgedCurve, Objective
from .rules import Search, Stop
from .segments import Segments
from .training import Cost, Training


def trials_of(search: Search | None, space: Space, budget: Budget) -> int | None:
    """Number of trials that a searcher starts, where it is known beforehand."""
    size = None if search is None else search.options.size(space)
    return min((number for number in (budget.trials, size) if number is not None), default=None)


class Setting(Model):
    """Everything that one method's runs depend on, and nothing else: what a run reads and its journal names."""

    experiment: str
    method: str
    seed: int
    data: DataSpec | None
    model: ModelSpec
    objective: Objective
    curve: Annotated[JudgedCurve | None, Field(exclude_if=lambda given: given is None)] = None
    """What is judged before the end of a trial; None: the objective."""
    constraints: Constraints = Field(default_factory=dict, exclude_if=lambda given: not given)
    space: Space
    budget: Budget
    cost: Cost
    training: Training
    search: Search | None
    stop: Stop | None
    record: tuple[str, ...] = ()
    preselect: float | None = None
    population: Population | None
    order: Literal["virtual", "arrival"]
    slots: int
    ranks: Annotated[int, Field(exclude_if=lambda given: given == 1)] = 1
    schedule: Annotated[Segments, Field(exclude_if=lambda given: not given)] = ()
    """What every trial is trained under, from its start; it is then tested at its end. Without it, its configuration."""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change when anything here does."""
        # Not with sorted keys: the order of the space decides which draw goes to which hyperparameter.
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def trials(self) -> int | None:
        """Number of trials, where it is known beforehand."""
        return self.members if self.population is not None else trials_of(self.search, self.space, self.budget)

    @property
    def judged(self) -> JudgedCurve:
        """The learning curve that stoppers compare: by it trials are judged before their ends."""
        return self.curve or self.objective.curve

    @property
    def calibrates(self) -> bool:
        """Whether the record gives an option of the stopper, in place of choosing trials."""
        return self.stop is not None and self.stop.calibrates

    @property
    def starters(self) -> int | None:
        """Number of trials that may start: those that a record has chosen, where nothing reconsiders its choice."""
        tested = self.stop is not None and (self.stop.calibrates or self.stop.options.tests_record)
        if not self.record or self.trials is None or tested:
            return self.trials
        return max(1, round((self.preselect or PRESELECT) * self.trials))

    @property
    def members(self) -> int:
        """Size of the population."""
        assert self.population is not None
        size = self.population.members or self.budget.trials
        assert size is not None, "checked with the experiment"
        return size
