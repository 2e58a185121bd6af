"""One evolution step of Population Based Training: who copies whom, and what is perturbed.

Exploit and explore as in the slides ("PBT: Algorithm", steps 3 and 4) and in Jaderberg et al. 2017 (section 4): the least
fit copy weights and hyperparameters of the most fit, then perturb the hyperparameters. A pure function of fitness, seed and
generation, so every rank computes the same evolution and only weights move.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..config.methods import Exploit
from ..space.search_space import Configuration, Rule, Space
from ..util.seeding import generator

Fitness = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Move:
    """A member goes on as a perturbed copy of a donor."""

    member: int
    donor: int
    configuration: Configuration


def ranking(fitness: Fitness) -> list[int]:
    """Members from the most to the least fit; ties go to the lower number, NaN ranks last.

    >>> ranking({0: 0.5, 1: math.nan, 2: 0.9, 3: 0.5})
    [2, 0, 3, 1]

    Args:
        fitness: higher is better; only members that have reported.
    """
    return sorted(fitness, key=lambda member: (math.isnan(fitness[member]), -fitness[member], member))


def quartile(members: int, fraction: float) -> int:
    """How many members count as the least, and as the most, fit: ceil(n × fraction), at least 1 and at most n / 2.

    >>> [quartile(n, 0.25) for n in (2, 3, 4, 5, 10)]
    [1, 1, 1, 2, 3]
    """
    # The tolerance keeps 0.1 × 30 = 3.0000000000000004 from becoming 4.
    return min(max(1, math.ceil(members * fraction - 1e-9)), members // 2)


def donors(fitness: Fitness, exploit: Exploit, draw: Callable[[int, int], int]) -> dict[int, int]:
    """Which members copy, and whom.

    ``quartile``: the least fit quartile copies members drawn at random from the most fit ("truncation selection").
    ``tournament``: every member meets another one at random, and copies it if that one is strictly fitter ("binary
    tournament"). Under both, a member whose fitness is NaN (it diverged) is never a donor, and copies somebody whenever
    anybody is healthy. Nobody copies when all diverged.

    >>> donors({0: 0.1, 1: 0.9, 2: math.nan, 3: 0.5}, Exploit.model_validate("quartile"), lambda member, count: 0)
    {2: 1}

    Args:
        fitness: of every member that has reported; higher is better.
        exploit: the rule.
        draw: ``draw(member, count)`` is the member's random number in [0, count); asked for once per member at most.

    Returns:
        Donor by member, members in order.
    """
    order = ranking(fitness)
    healthy = [member for member in order if not math.isnan(fitness[member])]
    ill = len(order) - len(healthy)
    if not healthy:
        return {}
    if exploit.kind == "quartile":
        size = quartile(len(order), exploit.options.fraction)
        best, worst = healthy[:size], order[-max(size, ill) :]  # disjoint, since the size is at most half
        return {member: best[draw(member, len(best))] for member in sorted(worst)}
    chosen: dict[int, int] = {}
    for member in sorted(fitness):
        diverged = math.isnan(fitness[member])
        rivals = healthy if diverged else [other for other in order if other != member]
        rival = rivals[draw(member, len(rivals))]
        if diverged or fitness[rival] > fitness[member]:
            chosen[member] = rival
    return chosen


def explored(
    configuration: Configuration, explore: Mapping[str, Rule], space: Space, seed: int, repeat: int, *key: int
) -> Configuration:
    """A donor's hyperparameters, perturbed.

    What has a rule ends up inside the space; what has none is copied as it is, a rate below the space's that the donor's
    schedule has decayed to included.

    Args:
        configuration: of the donor, schedules applied.
        explore: how each hyperparameter is perturbed.
        space: what the result is clipped to.
        seed: the experiment's seed.
        repeat: the repeat.
        key: what tells this draw from the others of the repeat: generation and member.
    """
    inside = {name: space[name].clip(value) if name in explore else value for name, value in configuration.items()}
    # A rate that decays without being searched is not in the space, and is copied all the same.
    others = {name: value for name, value in configuration.items() if name not in space}
    return {**others, **space.perturb(inside, explore, generator(seed, repeat, "explore", *key))}


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
        space: what the perturbed ones are clipped to.
        seed: the experiment's seed.
        repeat: the repeat.
        generation: number of the evolution step, from 1.
    """

    def draw(member: int, count: int) -> int:
        return int(generator(seed, repeat, "exploit", generation, member).integers(count))

    return [
        Move(member, donor, explored(current[donor], explore, space, seed, repeat, generation, member))
        for member, donor in donors(fitness, exploit, draw).items()
    ]
