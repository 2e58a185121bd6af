"""The parts of an experiment file, each right by itself. What must fit together between them, :mod:`.consistency` checks."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from ..space.search_space import Space, merged
from ..util.schema import Model, Name, Whole
from .budget import Budget
from .data import DataSpec
from .figures import FigureName
from .methods import Method
from .model import RECORDED, CommandSpec, ModelSpec
from .objective import Constraints, Curve, JudgedCurve, Objective
from .setting import trials_of
from .training import Cost, Snapshots, Training
from .vary import Vary

# What an editor can know of `data`: only a loop or program may do without.
_NEEDS_DATA: dict[str, Any] = {
    "if": {
        "properties": {"model": {"anyOf": [{"required": [kind], "type": "object"} for kind in ("loop", "command")]}}
    },
    "else": {"required": ["data"]},
}


def _objective_of(given: Mapping[str, Any]) -> Objective:
    """Recorded curves are losses, unless the experiment says otherwise."""
    return Objective(metric="loss") if given.get("model") == RECORDED else Objective()


class Parts(Model):
    """The parts of an experiment file, and what follows from them for a method."""

    model_config = ConfigDict(json_schema_extra=_NEEDS_DATA)

    description: str = ""
    """The question that the experiment answers, for the report."""
    data: DataSpec | None = None
    """The data set; a loop or program may do without, having data of its own."""
    model: ModelSpec
    """The network: `softmax`, `dense`, `mlp`, `cnn`; `synthetic`, a learning curve by formula; `recorded`, for replays of
    the recorded curves that `data` names; or your own: a Keras function `package.module:function`, a loop or a command."""
    objective: Objective = Field(default_factory=_objective_of, json_schema_extra={"default": Objective().model_dump()})
    """What is optimised."""
    curve: Annotated[Curve | None, Field(exclude_if=lambda given: given is None)] = None
    """The learning curve that stoppers compare, by the name of its metric in reports: `loss` is the training loss. By
    default it is the objective, measured on the validation part at each point."""
    constraints: Constraints = Field(default_factory=dict, exclude_if=lambda given: not given)
    """Bounds on reported metrics, or on `cost` (virtual seconds of a whole training); a trial that breaks one has failed."""
    space: Space = Space({})
    """The search space: a domain, or a constant, for each hyperparameter. Recorded curves bring their own."""
    budget: Budget
    """When a run ends."""
    repeats: Annotated[Whole, Field(ge=1, le=10_000)] = 1
    """How often every method is run, each time with seeds of its own."""
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    """The seed that all randomness of the experiment follows from."""
    baseline: Name | None = None
    """The method that the others are compared with; by default the first."""
    training: Training = Training()
    """How every trial is trained and watched."""
    cost: Cost = Cost()
    """The virtual cost of training."""
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    """The methods, by name."""
    vary: dict[Name, Vary] = Field(default_factory=dict)
    """For recorded curves: settings of a method's stopper that are replayed in all combinations, for heat maps of what they
    cost and lose."""
    retrain: Annotated[Whole, Field(ge=0, le=1000, exclude_if=lambda given: not given)] = 0
    """Number of fresh seeds from which what each run chose is trained again and tested: a population's winner under the
    schedule that its weights went through. It tells what is owed to the schedule, and what to the selection of weights."""
    reuse: Annotated[bool | tuple[str, ...], Field(exclude_if=lambda given: given is True)] = True
    """Whether trainings that the results folder has recorded are used in place of being done again; or a list of further
    results folders and archives to look at."""
    snapshot: Annotated[Snapshots, Field(exclude_if=lambda given: given == Snapshots())] = Snapshots()
    """How trials in flight are kept."""
    fail_fast: Annotated[bool, Field(exclude_if=lambda given: given)] = True
    """Whether a run ends when its first three trials (or `slots`, if more) fail alike, or when a trial ends without the
    objective; `false` lets it go on."""
    figures: tuple[FigureName, ...] | None = None
    """Figures to draw; by default those that fit the experiment."""

    @property
    def judged(self) -> JudgedCurve:
        """The learning curve that stoppers compare."""
        return self.curve or self.objective.curve

    @property
    def evaluates(self) -> bool:
        """Whether networks are measured on the validation part before the end of their trials."""
        evaluate = self.training.evaluate
        return self.judged.on_validation if evaluate == "auto" else evaluate != "end"

    def space_of(self, method: str) -> Space:
        """The space that a method searches: the experiment's, with the method's own domains in it.

        Raises:
            ValidationError: the method's domains do not fit.
        """
        own = self.methods[method].space
        return merged(self.space, own) if own else self.space

    def started(self, method: str) -> int:
        """How many MPI processes of ours carry out a run: the ranks of a program are started by whoever trains it."""
        chosen = self.methods[method]
        return chosen.processes // (chosen.ranks if isinstance(self.model, CommandSpec) else 1)

    def independent_trials(self, method: str) -> int:
        """How many trials of a method may be scattered over jobs; 0 where trials depend on each other or are not counted."""
        chosen = self.methods[method]
        alone = chosen.tasks is None and chosen.population is None and chosen.stop is None and self.model != RECORDED
        alone = alone and not chosen.record and chosen.ranks == 1
        if not alone or self.budget.kind != "trials" or (chosen.search is not None and chosen.search.learns):
            return 0
        return trials_of(chosen.search, self.space_of(method), self.budget) or 0
