"""What a user may write: the typed form of an experiment file.

An experiment compares *methods* on one data set, network, search space and budget. This module holds the models and
their checks, nothing that trains or searches; it imports neither TensorFlow nor pandas, since the Snakefile and every
cluster job read it. Reading YAML and turning errors into messages is :mod:`hypercurve.config.files`'s part.
"""

import hashlib
import math
from collections.abc import Container, Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ..search.options import Search
from ..space.search_space import Space, merged
from ..util.schema import Model, Name, Number, Positive, Problem, Share, Whole
from .data import DataSpec
from .figures import FigureName
from .hyperparameters import known, role_of
from .methods import PRESELECT, Method, Population, Stop
from .model import RECORDED, RESERVED, SEGMENTS, CommandSpec, KerasSpec, ModelSpec, Trained, counts_epochs
from .objective import Constraints, constraint_problems
from .objective import Objective as Objective
from .segments import Segments
from .vary import POINTS, Vary, varied

COLUMNS = ("trial", "member", "status", "progress", "performance", "seconds", "cost")
"""What hyperparameters of users' own models cannot be called: columns of tables."""
# A grid is held in memory; more combinations than this are nobody's intention.
LARGEST_GRID = 1_000_000
# More jobs than this in one run would keep Snakemake busy for minutes before the first begins.
MOST_BATCHES = 20_000


class Budget(Model):
    """When a run ends; exactly one of `trials`, `seconds` and `samples`."""

    trials: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """Number of trials started."""
    seconds: Positive | None = None
    """Computing seconds: training and evaluation, summed over workers. The report that would pass them is not taken."""
    samples: Positive | None = None
    """Training samples seen, summed over trials. The report that would pass them is not taken."""
    cost: Share | None = None
    """Together with `trials`, for recorded curves: the share of what training them all to the end would cost. The report
    that would pass it is not taken and ends the run."""
    at: tuple[Positive, ...] = ()
    """Smaller budgets of the same kind, in increasing order, at which the best result is tabulated as well."""

    KINDS: ClassVar[tuple[Literal["trials", "seconds", "samples"], ...]] = ("trials", "seconds", "samples")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in self.KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise PydanticCustomError("budget", "needs exactly one of trials, seconds, samples")
        if self.cost is not None and self.trials is None:
            raise PydanticCustomError("budget", "`cost` is a share of training all `trials`: give both")
        if any(a >= b for a, b in pairwise(self.at)) or (self.at and self.at[-1] >= self.limit):
            raise PydanticCustomError("budget_at", "`at` must increase and stay below the budget itself")
        if self.trials is not None and any(limit % 1 for limit in self.at):
            raise PydanticCustomError("budget_at", "`at` must hold whole numbers where the budget is in trials")
        return self

    @property
    def kind(self) -> Literal["trials", "seconds", "samples"]:
        """`trials`, `seconds` or `samples`."""
        return next(kind for kind in self.KINDS if getattr(self, kind) is not None)

    @property
    def bound(self) -> Literal["trials", "seconds", "samples", "cost"]:
        """What ends a run before its trials do, if anything: as `kind`, or ``cost``."""
        return "cost" if self.cost is not None else self.kind

    @property
    def limit(self) -> float:
        """The number that goes with the kind."""
        return float(getattr(self, self.kind))


class Cost(Model):
    """Virtual time: what a trial is taken to cost, in virtual seconds; orders the events of trials that run at once."""

    step: Annotated[Number, Field(ge=0, le=1e6)] = 1e-4
    """Virtual seconds per optimizer step (a); of a loop or program, per epoch."""
    sample: Annotated[Number, Field(ge=0)] = 4e-6
    """Virtual seconds per training sample (b); a step costs a + b × batch size."""

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.step + self.sample <= 0:
            raise PydanticCustomError("cost", "step and sample cannot both be 0: training would take no virtual time")
        return self


class Training(Model):
    """How every trial is trained and watched."""

    accumulation_points: tuple[Annotated[Number, Field(gt=0, le=1)], ...] = tuple(k / 10 for k in range(1, 11))
    """Shares of training in (0, 1] where the learning curve is recorded: a list that ends with 1, or a number of evenly
    spaced points."""
    evaluate: Literal["end", "points"] = "end"
    """Measure the validation part at the end of a trial only, or at every accumulation point."""
    threads: Annotated[Whole, Field(ge=1, le=1024)] = 1
    """Threads per trial. Part of the experiment, since it decides the last bits of a result."""
    compiler: Literal["auto", "xla", "graph"] = "auto"
    """`auto`: XLA, but TensorFlow's graph mode for convolutions on a CPU."""

    @field_validator("accumulation_points", mode="before", json_schema_input_type=int | tuple[float, ...])
    @classmethod
    def _expand(cls, given: Any) -> Any:
        if isinstance(given, int) and not isinstance(given, bool):
            if not 1 <= given <= 10_000:
                raise PydanticCustomError("points", "as a number of points, must be between 1 and 10000")
            return tuple(k / given for k in range(1, given + 1))
        if not isinstance(given, list | tuple):
            raise PydanticCustomError(
                "points", "must be a list of shares of training that ends with 1, or their number"
            )
        return given

    @field_validator("accumulation_points")
    @classmethod
    def _increasing(cls, points: tuple[float, ...]) -> tuple[float, ...]:
        if not points or points[-1] != 1 or any(a >= b for a, b in pairwise(points)):
            raise PydanticCustomError("points", "must increase and end with 1")
        return points


class Workflow(Model):
    """What `config/config.yaml` may say."""

    experiments: tuple[str, ...] = ()
    """Experiments that `snakemake` makes when it is given no target."""
    folder: str = "config/experiments"
    """Where the experiment files lie."""
    results: str = "results"
    """Where results go."""


class Setting(Model):
    """Everything that one method's runs depend on, and nothing else: what a run reads and its journal names."""

    experiment: str
    method: str
    seed: int
    data: DataSpec | None
    model: ModelSpec
    objective: Objective
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
        limit = self.budget.trials
        if self.population is not None:
            return self.members
        if self.search is not None and self.search.kind == "grid":
            size = self.space.grid_size(self.search.options.points)
            return size if limit is None else min(limit, size)
        return limit

    @property
    def calibrates(self) -> bool:
        """Whether the record gives LCM's stopping rate, in place of choosing trials."""
        return self.stop is not None and self.stop.calibrates

    @property
    def starters(self) -> int | None:
        """Number of trials that may start: those that a record has chosen, where nothing reconsiders its choice."""
        if not self.record or self.trials is None or self.calibrates:
            return self.trials
        if self.stop is not None and self.stop.kind == "budget_halving":
            return self.trials
        return max(1, round((self.preselect or PRESELECT) * self.trials))

    @property
    def members(self) -> int:
        """Size of the population."""
        assert self.population is not None
        size = self.population.members or self.budget.trials
        assert size is not None, "checked with the experiment"
        return size


# What an editor can know of `data`: only a loop or program may do without.
_NEEDS_DATA: dict[str, Any] = {
    "if": {
        "properties": {"model": {"anyOf": [{"required": [kind], "type": "object"} for kind in ("loop", "command")]}}
    },
    "else": {"required": ["data"]},
}


class Experiment(Model):
    """One experiment file."""

    model_config = ConfigDict(json_schema_extra=_NEEDS_DATA)

    description: str = ""
    """The question that the experiment answers, for the report."""
    data: DataSpec | None = None
    """The data set; a loop or program may do without, having data of its own."""
    model: ModelSpec
    """The network: `softmax`, `dense`, `mlp`, `cnn`; `synthetic`, a learning curve by formula; `recorded`, for replays of
    the recorded curves that `data` names; or your own: a Keras function `package.module:function`, a loop or a command."""
    objective: Objective = Objective()
    """What is optimised."""
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
    figures: tuple[FigureName, ...] | None = None
    """Figures to draw; by default those that fit the experiment."""

    @model_validator(mode="before")
    @classmethod
    def _lower_is_better(cls, given: Any) -> Any:
        """Recorded curves are losses, unless the experiment says otherwise."""
        if isinstance(given, dict) and given.get("model") == RECORDED and "objective" not in given:
            return {**given, "objective": {"metric": "loss", "mode": "min"}}
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise PydanticCustomError("problems", "does not fit together", {"problems": problems})
        return self

    def _problems(self) -> Iterator[Problem]:
        """Errors that need more than one key to see."""
        if self.model == RECORDED:
            yield from self._recorded_problems()
            return
        if "space" not in self.model_fields_set:
            yield Problem(("space",), "is required")
        if self.data is None and not counts_epochs(self.model):
            yield Problem(("data",), "is required")
        elif self.data is not None and self.data.curves is not None:
            yield Problem(("data", "curves"), f"are for `model: {RECORDED}`")
        if self.vary:
            yield Problem(("vary",), f"is for `model: {RECORDED}`")
        if self.budget.cost is not None:
            yield Problem(("budget", "cost"), f"is for `model: {RECORDED}`, where it is known what all would cost")
        if self.retrain and counts_epochs(self.model):
            yield Problem(("retrain",), "is for networks: loops and programs have schedules of their own")
        if self.retrain and isinstance(self.model, KerasSpec) and "learning_rate" not in self.space.root:
            yield Problem(("retrain",), "needs learning_rate in the space, if only as a constant")
        yield from self._model_problems()
        yield from _space_problems(self.model, self.space, ("space",), self.space)
        if self.baseline is not None and self.baseline not in self.methods:
            yield Problem(("baseline",), f"must name a method: {', '.join(self.methods)}", tuple(self.methods))
        for name, method in self.methods.items():
            at: tuple[str, ...] = ("methods", name)
            if self.budget.kind == "trials" and self.budget.at:
                if method.search is not None and method.search.kind == "grid":
                    yield Problem(("budget", "at"), f"the first trials of {name}'s grid are one corner of it")
                if method.stop is not None and method.stop.kind == "lcm" and method.stop.options.configurations is None:
                    yield Problem(
                        (*at, "stop", "lcm"), "needs `configurations` (n), which must not change with the budget"
                    )
                if method.stop is not None and method.stop.options.pauses:
                    yield Problem(
                        ("budget", "at"),
                        f"trials of {name} wait for each other, so its first trials are no run with a smaller budget",
                    )
            try:
                space = self.space_of(name)
            except ValidationError as error:
                for found in error.errors():
                    yield Problem((*at, "space", *found["loc"]), found["msg"])
                continue
            yield from _space_problems(self.model, space, (*at, "space"), method.space)
            if method.population is not None:
                yield from self._population_problems(method.population, space, (*at, "population"))
            if method.trials_per_job != "auto":
                batches = math.ceil(self.independent_trials(name) / method.trials_per_job)
                if batches > MOST_BATCHES:
                    yield Problem(
                        (*at, "trials_per_job"), f"makes {batches} jobs of a run; at most {MOST_BATCHES} are possible"
                    )
            if method.search is not None and method.search.kind == "grid":
                size = space.grid_size(method.search.options.points)
                if size > LARGEST_GRID:
                    yield Problem((*at, "search"), f"the grid has {size} configurations; at most {LARGEST_GRID} can be")
                elif self.budget.trials is not None and size > self.budget.trials:
                    yield Problem(
                        (*at, "search"),
                        f"the grid has {size} configurations but the budget is {self.budget.trials} trials: "
                        "take fewer points or a larger budget",
                    )
            yield from self._stop_problems(method, at)
            if method.record and self.budget.trials is None:
                kind = self.budget.kind
                yield Problem((*at, "record"), f"chooses among a known number of trials, but the budget is in {kind}")

    def _model_problems(self) -> Iterator[Problem]:
        """What the model cannot be asked for, or asks for itself."""
        yield from constraint_problems(self.constraints)
        if isinstance(self.model, str) and self.objective.metric not in ("accuracy", "loss", "mae"):
            said = f"must be accuracy, loss or, of targets, mae, which is what model {self.model} reports"
            yield Problem(("objective", "metric"), said, ("accuracy", "loss", "mae"))
        if not counts_epochs(self.model):
            return
        if self.budget.samples is not None:
            yield Problem(("budget", "samples"), "are not known of a loop or program: take trials or seconds")
        if self.cost.step == 0:
            yield Problem(("cost", "step"), "must be above 0: of a loop or program, it is what an epoch costs")
        spaces: dict[str, Space] = {}
        for name in self.methods:
            try:
                spaces[name] = self.space_of(name)
            except ValidationError:  # told where the method is looked at
                continue
        for name, space in spaces.items():
            if "epochs" not in space or space["epochs"].when:
                at = ("space",) if "epochs" not in self.space else ("methods", name, "space")
                yield Problem((*at, "epochs"), "is required, always: it says how often the model reports")
                break
        if isinstance(self.model, CommandSpec):
            names = {name: None for space in spaces.values() for name in space.names}
            variables = {name: None for space in spaces.values() for name in space.variables}
            for problem in self.model.problems(names, variables, self.data is not None):
                yield Problem(("model", *problem.path), problem.message, problem.allowed)

    def _stop_problems(self, method: Method, at: tuple[str, ...]) -> Iterator[Problem]:
        if method.stop is not None:
            for problem in method.stop.options.problems(self.training.accumulation_points, self.budget.trials):
                path = (*at, "stop", method.stop.kind, *problem.path)
                yield Problem(path, problem.message, problem.allowed)

    def _recorded_problems(self) -> Iterator[Problem]:
        """What replays of recorded curves cannot do."""
        if self.data is None or self.data.curves is None:
            yield Problem(("data",), f"must be `curves: PATH` with `model: {RECORDED}`")
        elif self.data.curves.endswith((".csv", ".csv.gz")) and self.objective.metric != "loss":
            yield Problem(
                ("objective", "metric"),
                "must be `loss`: of a CSV file, `data.metric` names a metric, and lower is better",
            )
        if self.constraints:
            yield Problem(("constraints",), "must be left out: it was recorded which trainings failed")
        if len(self.space):
            yield Problem(("space",), "must be left out: recorded curves bring their own")
        if self.retrain:
            yield Problem(("retrain",), "must be left out: recorded curves cannot be trained again")
        if self.budget.at and self.budget.kind == "samples":
            yield Problem(("budget", "at"), "cannot be in samples: how many a recorded training took is not told")
        if self.baseline is not None and self.baseline not in self.methods:
            yield Problem(("baseline",), f"must name a method: {', '.join(self.methods)}", tuple(self.methods))
        for name, method in self.methods.items():
            at = ("methods", name)
            if method.population is not None:
                yield Problem((*at, "population"), "cannot be replayed: members train under what was never recorded")
            if method.search is not None and method.search.kind != "random":
                yield Problem((*at, "search"), "must be `random`: only what was recorded can be tried, in random order")
            if method.space:
                yield Problem((*at, "space"), "must be left out: recorded curves bring their own")
            if method.tasks is not None:
                yield Problem((*at, "tasks"), "must be left out: a replay is over in milliseconds")
            yield from self._stop_problems(method, at)
        for name, vary in self.vary.items():
            yield from self._vary_problems(vary, ("vary", name))

    def _vary_problems(self, vary: Vary, at: tuple[str, ...]) -> Iterator[Problem]:
        stopped = tuple(name for name, method in self.methods.items() if method.stop is not None)
        if vary.method not in stopped:
            yield Problem((*at, "method"), f"must name a method with `stop`: {', '.join(stopped) or 'none'}", stopped)
            return
        stop = self.methods[vary.method].stop
        assert stop is not None
        if "stopping_rate" in vary.over and (
            stop.calibrates or any(isinstance(rate, Mapping) for rate in vary.over["stopping_rate"])
        ):
            yield Problem(
                (*at, "over", "stopping_rate"), "a regret budget cannot be varied; give it a method of its own"
            )
            return
        found = [
            Problem((*at, "over", *problem.path), problem.message, problem.allowed) for problem in vary.problems(stop)
        ]
        yield from found
        if found:
            return
        for values in vary.combinations():
            try:
                points = self._points(values)
            except ValidationError as error:
                yield Problem((*at, "over", POINTS), error.errors()[0]["msg"])
                return
            for problem in varied(stop, values).options.problems(points, self.budget.trials):
                shown = ", ".join(f"{name} {value}" for name, value in values.items())
                yield Problem((*at, "over", *problem.path), f"with {shown}: {problem.message}", problem.allowed)
                return

    def _points(self, values: Mapping[str, Any]) -> tuple[float, ...]:
        if POINTS not in values:
            return self.training.accumulation_points
        return Training.model_validate({POINTS: values[POINTS]}).accumulation_points

    def variants(self, experiment: str, name: str) -> Iterator[tuple[dict[str, Any], Setting]]:
        """The combinations that an entry of `vary` asks for, and the setting of each."""
        vary = self.vary[name]
        base = self.setting(experiment, vary.method)
        assert base.stop is not None
        for values in vary.combinations():
            training = self.training.model_copy(update={POINTS: self._points(values)})
            yield values, base.model_copy(update={"stop": varied(base.stop, values), "training": training})

    def _population_problems(self, population: Population, space: Space, at: tuple[str, ...]) -> Iterator[Problem]:
        if population.members is None and self.budget.trials is None:
            yield Problem(at, f"needs `members`: the budget is in {self.budget.kind}, so the number of trials is open")
        elif (population.members or self.budget.trials or 2) < 2:
            yield Problem(at, "needs at least 2 `members`; by default the budget's number of trials")
        for name, domain in space.root.items():
            text = any(isinstance(value, str) for value in domain.extremes)
            if name in space.variables and (role_of(self.model, name) != "numeric" or text):
                yield Problem(
                    at,
                    f"{name} must be a constant: members exchange weights, so only numeric hyperparameters may differ",
                )
            if domain.when:
                yield Problem(at, f"{name} is conditional, which a population cannot be")
        if isinstance(self.model, CommandSpec) and not self.model.segmented:
            yield Problem(at, "members exchange state, so the command must have {resume}, {snapshot} and {until}")
        for name in population.explore:
            if name not in space.root:
                names = tuple(space.root)
                yield Problem((*at, "explore", name), f"unknown key: the space has {', '.join(names)}", names)

    @property
    def reference(self) -> str:
        """The baseline's name."""
        return self.baseline or next(iter(self.methods))

    def space_of(self, method: str) -> Space:
        """The space that a method searches: the experiment's, with the method's own domains in it.

        Raises:
            ValidationError: the method's domains do not fit.
        """
        own = self.methods[method].space
        return merged(self.space, own) if own else self.space

    def setting(self, experiment: str, method: str) -> Setting:
        """What the runs of one method depend on.

        Args:
            experiment: the experiment's name.
            method: a key of ``methods``.
        """
        chosen = self.methods[method]
        return Setting(
            experiment=experiment,
            method=method,
            seed=self.seed,
            data=self.data,
            model=self.model,
            objective=self.objective,
            constraints=self.constraints,
            space=self.space_of(method),
            budget=self.budget,
            cost=self.cost,
            training=self.training,
            search=chosen.search,
            stop=chosen.stop,
            record=chosen.record,
            preselect=chosen.preselect,
            population=chosen.population,
            order=chosen.order,
            slots=chosen.slots,
        )

    def independent_trials(self, method: str) -> int:
        """How many trials of a method may be scattered over jobs; 0 where trials depend on each other or are not counted."""
        chosen = self.methods[method]
        alone = chosen.tasks is None and chosen.population is None and chosen.stop is None and self.model != RECORDED
        alone = alone and not chosen.record
        if not alone or self.budget.kind != "trials" or (chosen.search is not None and chosen.search.learns):
            return 0
        return self.setting("", method).trials or 0


def _space_problems(
    model: Trained, space: Space, at: tuple[str | int, ...], names: Container[str]
) -> Iterator[Problem]:
    """Hyperparameters that the model does not know, and domains with values that it cannot take."""
    table = known(model)
    for name, domain in space.root.items():
        if name not in names:
            continue
        if name not in table:
            if isinstance(model, str):
                yield Problem((*at, name), f"unknown key: model {model} has {', '.join(table)}", tuple(table))
            elif isinstance(model, CommandSpec) and name in (*RESERVED, *SEGMENTS):
                yield Problem((*at, name), "means something else in commands; give the hyperparameter another name")
            elif name in COLUMNS:
                yield Problem((*at, name), "is a column of `trials.csv`; give the hyperparameter another name")
            continue
        for value in domain.extremes:
            if problem := table[name].problem(value):
                yield Problem((*at, name), f"{problem}, not {value!r}")
                break
