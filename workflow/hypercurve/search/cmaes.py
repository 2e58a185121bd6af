"""The covariance matrix adaptation evolution strategy, by Optuna: the searcher ``cmaes``."""

import math
import warnings
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from typing_extensions import override

from ..space.domains import Choice, Integer
from ..space.search_space import Configuration
from ..util.schema import Whole
from ..util.seeding import integer_seed
from .optuna_study import OptunaSearch, suggested
from .searcher import SearchContext, SearchOptions

if TYPE_CHECKING:
    import optuna


class CMAESOptions(SearchOptions):
    """The covariance matrix adaptation evolution strategy."""

    population: Annotated[Whole, Field(ge=2, le=10_000)] | None = None
    """Size of a generation; by default 4 + ⌊3 ln d⌋ for d hyperparameters."""


class CMAESSearch(OptunaSearch):
    """The covariance matrix adaptation evolution strategy (Hansen and Ostermeier 2001).

    A generation is drawn from a normal distribution, whose mean and covariance then move towards its better half. It need
    not end before the next trial starts: trials beyond its size are drawn from it as well, and only the first ones that are
    over are learned from. Choices, ordered or not, and integers are steps of an axis, with a margin that keeps each of them
    likely (Hamano et al. 2022). All hyperparameters are drawn, and those that are inactive left out.
    """

    rule = "CMA-ES, an evolution strategy: a normal distribution that adapts to the better half of each generation."
    source = "Hansen and Ostermeier 2001; with margin, Hamano et al. 2022; Optuna’s sampler"
    Options = CMAESOptions
    examples = ({"population": 4},)

    @override
    @classmethod
    def explain(cls, options: CMAESOptions) -> str:
        size = f", with {options.population} trials in a generation" if options.population else ""
        return f"CMA-ES: draws from a normal distribution that adapts to the better half of each generation{size}."

    @override
    @classmethod
    def first_draws(cls, options: CMAESOptions, context: SearchContext) -> tuple[str, int]:
        """The first generation."""
        return "population", options.population or 4 + int(3 * math.log(max(1, len(context.space.variables))))

    def __init__(self, options: CMAESOptions, context: SearchContext):
        import optuna

        space = context.space
        stepped = any(isinstance(space[name], Integer | Choice) for name in space.variables)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.CmaEsSampler(
                seed=integer_seed(context.seed, context.repeat, "cmaes"),
                popsize=options.population,
                with_margin=stepped,
                warn_independent_sampling=False,
            )
        super().__init__(sampler, options, context, startup=1)

    @override
    def _configuration(self, asked: "optuna.Trial") -> Configuration:
        values = {
            name: suggested(asked, name, domain, categorical=False) for name, domain in self.space.domains.items()
        }
        return self.space.build(values.__getitem__)
