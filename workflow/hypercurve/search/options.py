"""What a user may write about searchers: their kinds and options."""

from typing import Annotated

from pydantic import Field

from ..util.schema import Model, NoOptions, Number, OneOf, Whole

_Startup = Annotated[Whole, Field(ge=1, le=10_000)]
_Candidates = Annotated[Whole, Field(ge=2, le=100_000)]
_Weight = Annotated[Number, Field(ge=0, le=4)]

LEARNING = ("tpe", "gp", "cmaes", "pso")
"""Searchers whose suggestions depend on what earlier trials found."""


class GridOptions(Model):
    """Every combination; continuous axes are cut into points."""

    points: Annotated[Whole, Field(ge=1, le=10_000)] = 5
    """Points on each continuous axis that does not name its own number."""


class TPEOptions(Model):
    """The Tree-structured Parzen Estimator: draws where good trials are dense and bad ones are not."""

    startup: _Startup = 10
    """Random search until this many trials are over."""
    candidates: _Candidates = 24
    """Draws that are compared for each suggestion."""


class GPOptions(Model):
    """A Gaussian process with expected improvement."""

    startup: _Startup = 10
    """Random search until this many trials are over."""
    candidates: _Candidates = 1000
    """Draws that are compared for each suggestion, half of them around the best trials."""


class CMAESOptions(Model):
    """The covariance matrix adaptation evolution strategy."""

    population: Annotated[Whole, Field(ge=2, le=10_000)] | None = None
    """Size of a generation; by default 4 + ⌊3 ln d⌋ for d hyperparameters."""


class PSOOptions(Model):
    """Particle swarm optimisation."""

    particles: Annotated[Whole, Field(ge=1, le=10_000)] = 10
    """Size of the swarm."""
    inertia: Annotated[Number, Field(ge=0, lt=1)] = 0.729844
    """Share of its velocity that a particle keeps."""
    own: _Weight = 1.49618
    """Pull of the best position that the particle itself has had."""
    social: _Weight = 1.49618
    """Pull of the best position that any particle has had."""


class Search(OneOf):
    """The searcher: which configurations are tried."""

    random: NoOptions | None = None
    """Independent draws from the space (Bergstra and Bengio 2012)."""
    grid: GridOptions | None = None
    """Every combination of the grid."""
    sobol: NoOptions | None = None
    """A scrambled Sobol sequence: random-like, but evenly spread."""
    tpe: TPEOptions | None = None
    """The Tree-structured Parzen Estimator, by Optuna."""
    gp: GPOptions | None = None
    """Bayesian optimisation with a Gaussian process and expected improvement."""
    cmaes: CMAESOptions | None = None
    """CMA-ES, by Optuna."""
    pso: PSOOptions | None = None
    """Particle swarm optimisation."""

    @property
    def learns(self) -> bool:
        """Whether suggestions depend on what earlier trials found, so that trials are not independent."""
        return self.kind in LEARNING
