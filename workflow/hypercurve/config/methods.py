"""What a user may write about a method: searchers, stoppers, populations, and their options."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import override

from ..search.registry import SEARCHERS
from ..space.search_space import Rule
from ..util.partial import told
from ..util.schema import Model, Name, Number, OneOf, Problem, Share, Whole, in_words
from .rules import Search, Stop

PRESELECT = 0.1
"""Share of the trials that a record chooses where neither the method nor its stopper says."""


class QuartileOptions(Model):
    """The least fit quartile copies members of the most fit (slides; "truncation selection" in Jaderberg et al. 2017)."""

    fraction: Annotated[Number, Field(gt=0, le=0.5)] = 0.25
    """Share of the population that counts as the least, and as the most, fit; rounded up, at most half."""


class TournamentOptions(Model):
    """Every member meets another at random and copies it if that one is fitter ("binary tournament")."""


class Exploit(OneOf):
    """Who copies whom at an evolution step."""

    @override
    @classmethod
    def kinds(cls) -> Mapping[str, type[Model]]:
        return {"quartile": QuartileOptions, "tournament": TournamentOptions}


class Population(Model):
    """Population Based Training (slides; Jaderberg et al. 2017)."""

    members: Annotated[Whole, Field(ge=2)] | None = None
    """Size of the population; by default the budget's number of trials."""
    every: Annotated[Whole, Field(ge=1)]
    """Optimizer steps between evolution steps."""
    exploit: Exploit = Exploit.model_validate("quartile")
    """Who copies whom: `quartile` or `tournament`."""
    explore: dict[Name, Rule] = Field(default_factory=dict)
    """How copied hyperparameters are perturbed, by name: `factors`, `uniform_factor`, `resample`; clipped to the space."""
    lag: Literal[0, 1] = 0
    """0: all wait for each other and rank on this step's fitness; 1: rank on the step before, so that nobody waits."""
    fitness_samples: Annotated[Whole, Field(ge=1)] = 1000
    """Validation samples that fitness is measured on at evolution steps; the end is measured on all."""
    snapshot_every: Annotated[Whole, Field(ge=1)] = 10
    """Evolution steps between snapshots, from which a killed run goes on; the last two are kept. There is one after the
    minutes of `snapshot`, too."""


class Method(Model):
    """How an experiment is searched: a searcher and, if wanted, a stopper; or a population."""

    description: str = ""
    """A line for the report."""
    search: Search | None = None
    """Which configurations are tried; a class of your own: `module:Class`."""
    stop: Stop | None = None
    """Which trials go on; without it, all do. A class of your own: `module:Class`."""
    population: Population | None = None
    """Population Based Training, in place of `search` and `stop`."""
    record: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Earlier experiments with the same space, from which the method learns who should start: files of recorded curves,
    journals, folders of runs, or archives."""
    preselect: Share | None = None
    """Share of the trials that a record chooses to start. Others never start, unless `stop` is `budget_halving` and
    finds the record wrong. By default the square root of what `budget_halving` may cost, else 0.1."""
    order: Literal["virtual", "arrival"] = "virtual"
    """Whether decisions take reports in virtual-time order, so that the result is the same on any number of processes, or
    as they arrive."""
    tasks: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """MPI processes that carry out a run together; without it, those of one trial, or batches where trials are independent.
    The result is the same (with `order: virtual`)."""
    ranks: Annotated[Whole, Field(ge=1, le=100_000)] = 1
    """MPI processes of each trial, for loops and programs of your own: a loop gets a communicator as `context.comm`, a
    program is started on them by what stands for `{launcher}`. `tasks` is then a multiple of it: 4 ranks and 12 tasks train
    three trials at once; one task more, and the first process supervises and trains nothing."""
    gpus: Annotated[Number, Field(ge=0)] | None = None
    """GPUs of each process that trains, each rank of a trial included: a whole number, or a share of one, such as 0.25,
    which then serves four. 0 hides all. Without it, every process sees all GPUs of its job."""
    space: dict[str, Any] = Field(default_factory=dict)
    """Domains that replace or extend the experiment's space for this method."""
    slots: Annotated[Whole, Field(ge=1, le=100_000)] = 1
    """How many trials are going at once in the method's own logic; not the number of processes."""
    trials_per_job: Annotated[
        Annotated[Whole, Field(ge=1)] | Literal["auto"], in_words("must be a whole number of at least 1, or auto")
    ] = "auto"
    """Trials per cluster job, for methods whose trials do not depend on each other and a budget in trials. `auto`: as many
    as pay for a job's start, by the cost model."""

    @override
    def faults(self) -> Iterator[Problem]:
        """Parts of different ways to search, and what needs a record or does not go with one."""
        if (self.search is None) == (self.population is None):
            yield Problem((), "needs either `search`, with or without `stop`, or `population`")
            return
        if self.population is not None and self.stop is not None:
            yield Problem((), "a population takes no `stop`: it replaces its members by itself")
        if self.population is not None and self.order == "arrival":
            yield Problem((), "a population has no `order: arrival`; `lag: 1` spares it waiting")
        yield from told(self._calibration_faults(), self._record_faults(), self._rank_faults())
        if self.gpus is not None and self.gpus > 1 and self.gpus != int(self.gpus):
            yield Problem(("gpus",), "must be a whole number, or at most 1")

    @property
    def processes(self) -> int:
        """How many MPI processes a run takes, those of its trials' ranks included."""
        return self.tasks or self.ranks

    def _rank_faults(self) -> Iterator[Problem]:
        if (over := self.processes % self.ranks) > (self.population is None):
            one_more = "" if self.population is not None else ", or one more for a supervisor that trains nothing"
            said = f"must be a multiple of `ranks` = {self.ranks}, which each trial has{one_more}"
            yield Problem(("tasks",), f"{said}: {self.processes - over} or {self.processes - over + self.ranks}")

    def _calibration_faults(self) -> Iterator[Problem]:
        if self.stop is None or not self.stop.calibrates:
            return
        if not self.record:
            yield Problem((), "a regret budget as `stopping_rate` is kept by what a `record` shows: it needs one")
        if self.preselect is not None:
            said = "trials that a record has chosen are not like those in it"
            yield Problem((), f"`preselect` does not go with a regret budget: {said}")
        if self.search is not None and not self.search.rule.sample:
            said = "a regret budget is calibrated on random draws"
            fit = ", ".join(kind for kind, rule in SEARCHERS.items() if rule.sample)
            yield Problem((), f"search = {self.search.kind}: {said}: `search` must be one of {fit}")

    def _record_faults(self) -> Iterator[Problem]:
        if self.preselect is not None and not self.record:
            yield Problem((), "`preselect` has an effect only with a `record`")
        if self.record and (self.search is None or self.search.learns):
            fit = ", ".join(kind for kind, rule in SEARCHERS.items() if rule.independent)
            yield Problem((), f"a `record` chooses among drawn configurations: `search` must be one of {fit}")
