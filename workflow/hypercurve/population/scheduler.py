"""Population Based Training as a scheduler: events in, actions out.

Members train in parallel and report at every evolution step. With ``lag: 0``, all wait there until the last has reported,
and are ranked on this step's fitness (synchronous). With ``lag: 1``, a member that reports at step g is ranked on the
fitness of step g - 1, which all have reported unless somebody is a whole step behind; so nobody waits for a straggler, and
the result is still a function of the seed alone. What it then copies is the donor as it was at step g - 1.

What a member is told depends on the fitness of one generation and on nothing that happened since, so the actions are the
same in whatever order reports arrive.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..config.cost import CostModel
from ..config.learning_rates import decayed
from ..config.setting import Setting
from ..curves.cost import step_at
from ..events.events import Action, Completed, Continue, Copy, Event, Failed, Reported, Start, Started
from ..search.random import RandomSearch
from ..search.searcher import SearchContext, SearchOptions
from ..space.search_space import Configuration
from .evolution import Move, evolve


@dataclass(slots=True)
class Generation:
    """What members reported at one evolution step.

    Attributes:
        progress: share of training at which the step is.
        fitness: by member; higher is better, NaN for one that diverged.
        current: hyperparameters by member as it reported, schedules applied.
        moves: who copies whom, by member, once all have reported.
    """

    progress: float
    fitness: dict[int, float] = field(default_factory=dict)
    current: dict[int, Configuration] = field(default_factory=dict)
    moves: dict[int, Move] | None = None


class PopulationScheduler:
    """The scheduler of a population.

    Args:
        setting: the method's setting; its ``population`` is set.
        repeat: which repeat.
        cost: gives the number of steps of a training.
    """

    def __init__(self, setting: Setting, repeat: int, cost: CostModel):
        assert setting.population is not None
        self._setting, self._repeat = setting, repeat
        self._options = setting.population
        self._sign = 1.0 if setting.objective.mode == "max" else -1.0
        searcher = RandomSearch(SearchOptions(), SearchContext(setting.space, seed=setting.seed, repeat=repeat))
        self._configurations = {member: searcher.suggest(member) for member in range(setting.members)}
        self._steps = cost.of(self._configurations[0]).steps  # equal for all: only numeric hyperparameters differ
        self._anchors = dict.fromkeys(self._configurations, 0)
        self._reports = dict.fromkeys(self._configurations, 0)  # how many evolution steps a member has reached
        self._copied = dict.fromkeys(self._configurations, 0)  # the one at which it last copied
        self._generations: dict[int, Generation] = {}
        self._waiting: set[int] = set()  # members that have reported and are not told yet what to do

    def open(self) -> list[Action]:
        """Start every member with a configuration of its own."""
        return [Start(member, configuration) for member, configuration in self._configurations.items()]

    def on(self, event: Event) -> list[Action]:
        """Record a report, and tell those what to do whose ranking is complete."""
        match event:
            case Started(member):
                return [Continue(member)]
            case Reported(member, progress, metrics):
                return self._report(member, progress, self._sign * metrics[self._setting.objective.key], metrics)
            case Failed(member, progress) if progress < 1:
                return self._report(member, progress, math.nan, {})
            case Completed() | Failed():
                return []

    def upcoming(self) -> list[Copy]:
        """The copies that members make at their next report, if they get there in good health; none without lag.

        Known as soon as a generation is complete, so that executors can move weights ahead of the report.
        """
        complete = min(self._reports.values())
        if self._options.lag == 0 or complete == 0:
            return []
        moves = self._moves(complete).values()
        return [self._copy(move, complete) for move in moves if self._copied[move.member] < complete]

    def _report(self, member: int, progress: float, fitness: float, metrics: Mapping[str, float]) -> list[Action]:
        self._reports[member] += 1
        generation = self._generations.setdefault(self._reports[member], Generation(progress))
        generation.fitness[member] = fitness
        iterations = step_at(progress, self._steps) - self._anchors[member]
        generation.current[member] = decayed(self._configurations[member], iterations, self._setting.model, metrics)
        self._waiting.add(member)
        if len(generation.fitness) < len(self._configurations):  # nobody else has waited for this report
            return self._go_on(member)
        actions = [action for waiting in sorted(self._waiting) for action in self._go_on(waiting)]
        oldest = min(self._reports.values()) - self._options.lag
        self._generations = {step: kept for step, kept in self._generations.items() if step >= oldest}
        return actions

    def _go_on(self, member: int) -> list[Action]:
        """What a waiting member does next; nothing while it must wait."""
        now = self._reports[member]
        diverged = math.isnan(self._generations[now].fitness[member])
        # One that diverged cannot go on by itself, so it is ranked, last, on its own step.
        ranked = now if diverged else now - self._options.lag
        if ranked and len(self._generations[ranked].fitness) < len(self._configurations):
            return []
        self._waiting.discard(member)
        # One that has copied since it was ranked is no longer what was ranked: copying again would undo that.
        move = self._moves(ranked).get(member) if ranked > self._copied[member] else None
        if move is None:
            return [] if diverged else [Continue(member)]  # all diverged: they stay failed
        self._configurations[member], self._copied[member] = move.configuration, now
        self._anchors[member] = step_at(self._generations[now].progress, self._steps)
        return [self._copy(move, ranked), Continue(member)]

    def _copy(self, move: Move, step: int) -> Copy:
        return Copy(move.member, move.donor, self._generations[step].progress, move.configuration)

    def _moves(self, step: int) -> dict[int, Move]:
        """The evolution of a generation that all have reported."""
        generation = self._generations[step]
        if generation.moves is None:
            moves = evolve(
                generation.fitness,
                generation.current,
                exploit=self._options.exploit,
                explore=self._options.explore,
                space=self._setting.space,
                seed=self._setting.seed,
                repeat=self._repeat,
                generation=step,
            )
            generation.moves = {move.member: move for move in moves}
        return generation.moves
