"""Population Based Training as a scheduler: events in, actions out.

Members train in parallel and report at every evolution step. With ``lag: 0``, all wait there until the last has reported,
and are ranked on this step's fitness (synchronous). With ``lag: 1``, a member that reports at step g is ranked on the
fitness of step g - 1, which all have reported unless somebody is a whole step behind; so nobody waits for a straggler, and
the result is still a function of the seed alone. What it then copies is the donor as it was at step g - 1.
"""

import math

from ..config import Setting
from ..cost import CostModel, step_at
from ..scheduling import Action, Completed, Continue, Copy, Event, Failed, Reported, Start, Started
from ..schedules import decayed
from ..search.independent import RandomSearch
from ..space import Configuration
from .evolution import Move, evolve


class PopulationScheduler:
    """The scheduler of a population.

    Args:
        setting: the method's setting; its ``population`` is set.
        repeat: which repeat.
        cost: gives the number of steps of a training.
    """

    def __init__(self, setting: Setting, repeat: int, cost: CostModel):
        assert setting.population is not None
        self._setting, self._repeat, self._cost = setting, repeat, cost
        self._options = setting.population
        self._members = range(setting.members)
        self._sign = 1.0 if setting.objective.mode == "max" else -1.0
        self._configurations: dict[int, Configuration] = {}
        self._steps = 0
        self._anchors = dict.fromkeys(self._members, 0)
        self._ended: set[int] = set()
        # By generation: what members reported, and what they were like then.
        self._fitness: dict[int, dict[int, float]] = {}
        self._current: dict[int, dict[int, Configuration]] = {}
        self._progress: dict[int, float] = {}
        self._moves: dict[int, dict[int, Move]] = {}
        self._reports = dict.fromkeys(self._members, 0)
        self._arrived: set[int] = set()  # members that have reported and wait to be told what to do

    def open(self) -> list[Action]:
        """Start every member with a configuration of its own."""
        searcher = RandomSearch(self._setting.space, self._setting.seed, self._repeat)
        self._configurations = {member: searcher.suggest(member) for member in self._members}
        self._steps = self._cost.of(self._configurations[0]).steps
        return [Start(member, self._configurations[member]) for member in self._members]

    def on(self, event: Event) -> list[Action]:
        """Record a report; when the fitness that is ranked on is complete, evolve."""
        match event:
            case Started(member):
                return [Continue(member)]
            case Reported(member, progress, metrics):
                return self._report(member, progress, self._sign * metrics[self._setting.objective.key])
            case Failed(member, progress):
                return [] if progress == 1 else self._report(member, progress, math.nan)
            case Completed():
                return []

    def _report(self, member: int, progress: float, fitness: float) -> list[Action]:
        self._reports[member] += 1
        generation = self._reports[member]
        self._progress[generation] = progress
        self._fitness.setdefault(generation, {})[member] = fitness
        step = step_at(progress, self._steps)
        self._current.setdefault(generation, {})[member] = decayed(
            self._configurations[member], step - self._anchors[member], self._setting.model
        )
        self._arrived.add(member)
        actions: list[Action] = []
        for waiting in sorted(self._arrived):
            now = self._reports[waiting]
            # One that diverged cannot go on by itself, so it is ranked, last, on its own step.
            ranked = now if math.isnan(self._fitness[now][waiting]) else now - self._options.lag
            if ranked < 1 or len(self._fitness[ranked]) == len(self._members):
                actions += self._go_on(waiting, ranked)
        for old in [g for g in self._fitness if g < min(self._reports.values()) - self._options.lag]:
            for kept in (self._fitness, self._current, self._progress, self._moves):
                kept.pop(old, None)
        return actions

    def _go_on(self, member: int, ranked: int) -> list[Action]:
        """What one member does next, given the generation that it is ranked on (0: none yet)."""
        self._arrived.discard(member)
        now = self._reports[member]
        move = self._evolution(ranked).get(member) if ranked else None
        if move is not None and ranked < now and math.isnan(self._fitness[ranked][member]):
            move = None  # it diverged then, and has copied already
        if move is not None:
            self._configurations[member] = move.configuration
            self._anchors[member] = step_at(self._progress[now], self._steps)
            return [Copy(member, move.donor, self._progress[ranked], move.configuration), Continue(member)]
        if math.isnan(self._fitness[now][member]):
            return []  # diverged, and nobody is left to copy: it stays failed
        return [Continue(member)]

    def _evolution(self, generation: int) -> dict[int, Move]:
        if generation not in self._moves:
            moves = evolve(
                self._fitness[generation],
                self._current[generation],
                exploit=self._options.exploit,
                explore=self._options.explore,
                space=self._setting.space,
                seed=self._setting.seed,
                repeat=self._repeat,
                generation=generation,
            )
            self._moves[generation] = {move.member: move for move in moves}
        return self._moves[generation]
