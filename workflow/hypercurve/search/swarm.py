"""Particle swarm optimisation: an evolutionary method whose members remember where they did well."""

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field
from typing_extensions import override

from ..space.search_space import Configuration
from ..util.schema import Number, Whole
from ..util.seeding import generator
from .learning import LearningSearch, rounded
from .searcher import SearchContext, SearchOptions

Vector = npt.NDArray[np.float64]
_Weight = Annotated[Number, Field(ge=0, le=4)]


class PSOOptions(SearchOptions):
    """Particle swarm optimisation."""

    particles: Annotated[Whole, Field(ge=1, le=10_000)] = 10
    """Size of the swarm."""
    inertia: Annotated[Number, Field(ge=0, lt=1)] = 0.729844
    """Share of its velocity that a particle keeps."""
    own: _Weight = 1.49618
    """Pull of the best position that the particle itself has had."""
    social: _Weight = 1.49618
    """Pull of the best position that any particle has had."""


class ParticleSwarm(LearningSearch):
    """A swarm of particles in the unit cube (Kennedy and Eberhart 1995), with inertia (Shi and Eberhart 1998).

    A trial is a move of one particle::

        v ← inertia · v + own · r₁ · (own best − x) + social · r₂ · (swarm's best − x),   x ← x + v

    with r₁ and r₂ uniform on [0, 1] for each axis, drawn anew for each trial. The first positions are those of random
    search, the first velocities 0. A particle that would leave the cube stops at its wall.

    Asynchronous form: moves use the bests known when a trial starts. The particle that moves is one whose trials are all
    over, if there is one, the one with the fewest moves, and the first of those. So trials that all wait for each other are
    the textbook's generations, and a slow trial holds up nobody else. A position is a best only if it scores better than
    the one before.
    """

    rule = "Particle swarm, an evolutionary method: particles move towards the best positions they have had."
    source = "Kennedy and Eberhart 1995; Shi and Eberhart 1998; constants of Clerc and Kennedy 2002"
    Options = PSOOptions
    examples = ({"particles": 4},)

    @override
    @classmethod
    def explain(cls, options: PSOOptions) -> str:
        return (
            f"Particle swarm: {options.particles} particles move towards the best positions that they and the swarm "
            f"have had (inertia {options.inertia:g}, pulls {options.own:g} and {options.social:g})."
        )

    @override
    @classmethod
    def first_draws(cls, options: PSOOptions, context: SearchContext) -> tuple[str, int]:
        """The particles' first positions."""
        return "particles", options.particles

    def __init__(self, options: PSOOptions, context: SearchContext):
        super().__init__(options, context, startup=0)
        self._inertia, self._own, self._social = options.inertia, options.own, options.social
        particles, axes = options.particles, len(context.space.variables)
        self._position = np.zeros((particles, axes))
        self._velocity = np.zeros((particles, axes))
        self._best = np.zeros((particles, axes))
        self._best_score = np.full(particles, np.inf)
        self._moves = [0] * particles
        self._going: dict[int, tuple[int, Vector]] = {}  # by trial: the particle, and where it is tried

    @override
    def drawn(self, trial: int, configuration: Configuration) -> None:
        raise AssertionError("a swarm starts by itself")

    @override
    def learned(self, trial: int) -> Configuration:
        busy = [0] * len(self._moves)
        for other, _ in self._going.values():
            busy[other] += 1
        particle = min(range(len(busy)), key=lambda p: (busy[p] > 0, self._moves[p], p))
        self._move(particle, trial)
        self._moves[particle] += 1
        self._going[trial] = particle, self._position[particle].copy()
        return self.space.decode(self._position[particle])

    def _move(self, particle: int, trial: int) -> None:
        if self._moves[particle] == 0:
            draw = generator(self.seed, self.repeat, "configuration", particle)
            self._position[particle] = draw.random(len(self.space.variables))
            return
        r = generator(self.seed, self.repeat, "swarm", trial).random((2, len(self.space.variables)))
        x, v = self._position[particle], self._inertia * self._velocity[particle]
        if np.isfinite(self._best_score[particle]):
            v = v + self._own * r[0] * (self._best[particle] - x)
        leader = int(np.argmin(self._best_score))
        if np.isfinite(self._best_score[leader]):
            v = v + self._social * r[1] * (self._best[leader] - x)
        aim = np.array([rounded(number) for number in x + v])
        inside = np.clip(aim, 0.0, 1.0)
        self._velocity[particle] = np.where(aim == inside, v, 0.0)
        self._position[particle] = inside

    @override
    def learn(self, trial: int, score: float) -> None:
        particle, position = self._going.pop(trial)
        if score < self._best_score[particle]:
            self._best_score[particle], self._best[particle] = score, position
