"""One evolution step of Population Based Training: who copies whom, and what is perturbed.

Exploit and explore as in the slides and in Jaderberg et al. 2017 (section 4): the least fit copy weights and
hyperparameters of the most fit, then perturb the hyperparameters. A pure function of fitness, seed and generation, so every
rank computes the same evolution and only weights move.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..config import Exploit
from ..seeding import generator
from ..space import Configuration, Rule, Space

Fitness = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Move:
    """A member goes on as a perturbed copy of a donor."""

    member: int
    donor: int
    configuration: Configuration


def ranking(fitness: Fitness) -> list[int]:
    """Members from the most to the least fit; ties go to the lower number, NaN ranks last.

    Args:
        fitness: higher is better; only members that have reported.
    """
    return sorted(fitness, key=lambda member: (math.isnan(fitness[member]), -fitness[member], member))


def quartile(members: int, fraction: float) -> int:
    """How many members count as the least, and as the most, fit: ceil(n × fraction), at most n / 2."""
    # The tolerance keeps 0.1 × 30 = 3.0000000000000004 from becoming 4.
    return min(math.ceil(members * fraction - 1e-9), members // 2)


def donors(fitness: Fitness, exploit: Exploit, draw: Callable[[int], "Draw"]) -> dict[int, int]:
    """Which members copy, and whom.

    ``quartile``: the least fit quartile copies members drawn at random from the most fit. ``tournament``: every member
    meets another one at random, and copies it if that one is strictly fitter (Jaderberg et al. 2017, "binary tournament").
    A member whose fitness is NaN (it diverged) is never a donor, and always copies if anyone can be copied.

    Args:
        fitness: of every member that has reported; higher is better.
        exploit: the rule.
        draw: gives a member's random numbers.
    """
    order = ranking(fitness)
    healthy = [member for member in order if not math.isnan(fitness[member])]
    if not healthy:
        return {}
    ill = len(order) - len(healthy)
    if exploit.kind == "quartile":
        size = quartile(len(order), exploit.options.fraction)
        best = healthy[:size] if size else []
        worst = order[len(order) - max(size, ill) :] if max(size, ill) else []
        best = best or healthy[:1]
        return {member: best[draw(member).below(len(best))] for member in sorted(worst) if member not in best}
    chosen: dict[int, int] = {}
    for member in sorted(fitness):
        others = [other for other in sorted(fitness) if other != member]
        if math.isnan(fitness[member]):
            chosen[member] = healthy[draw(member).below(len(healthy))]
        elif others:
            rival = others[draw(member).below(len(others))]
            if fitness[rival] > fitness[member]:
                chosen[member] = rival
    return chosen


@dataclass(frozen=True)
class Draw:
    """A member's random numbers in one generation."""

    seed: int
    repeat: int
    generation: int
    member: int

    def below(self, count: int) -> int:
        """A number in [0, count)."""
        return int(generator(self.seed, self.repeat, "exploit", self.generation, self.member).integers(count))


def evolve(
    fitness: Fitness,
    current: Mapping[int, Configuration],
    *,
    exploit: Exploit,
    explore: Mapping[str, Rule],
    space: Space,
    seed: int,
    repeat: int,
    generation: int,
) -> list[Move]:
    """The moves of one evolution step, in order of members.

    Args:
        fitness: of every member that has reported; higher is better, NaN for a member that diverged.
        current: every member's hyperparameters as they are now, schedules applied.
        exploit: who copies whom.
        explore: how each hyperparameter is perturbed; those without a rule are copied as they are.
        space: what the result is clipped to.
        seed: the experiment's seed.
        repeat: the repeat.
        generation: number of the evolution step, from 1.
    """
    pairs = donors(fitness, exploit, lambda member: Draw(seed, repeat, generation, member))
    return [
        Move(
            member,
            donor,
            space.perturb(current[donor], explore, generator(seed, repeat, "explore", generation, member)),
        )
        for member, donor in sorted(pairs.items())
    ]


__all__: Sequence[str] = ["Move", "donors", "evolve", "quartile", "ranking"]
