"""The Tree-structured Parzen Estimator, by Optuna: the searcher ``tpe``."""

import warnings
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from typing_extensions import override

from ..space.search_space import Configuration
from ..util.schema import Whole
from ..util.seeding import integer_seed
from ..util.words import short
from .learning import Startup
from .optuna_study import OptunaSearch, suggested
from .searcher import SearchContext, SearchOptions

if TYPE_CHECKING:
    import optuna


class TPEOptions(SearchOptions):
    """The Tree-structured Parzen Estimator: draws where good trials are dense and bad ones are not."""

    startup: Startup = 10
    """Random search until this many trials are over."""
    candidates: Annotated[Whole, Field(ge=2, le=100_000)] = 24
    """Draws that are compared for each suggestion."""


class TPESearch(OptunaSearch):
    """The Tree-structured Parzen Estimator (Bergstra et al. 2011), its multivariate form (Falkner et al. 2018, section 3).

    The best trials and the others are each modelled by a kernel density; of some candidates drawn from the first, the one
    with the largest ratio of the densities is tried. Trials that are going count as bad ones, so that trials at once differ
    (constant liar). Only active hyperparameters are modelled: those that depend on each other together. Unordered choices
    are categorical, ordered ones are numbers.
    """

    rule = "Tree-structured Parzen Estimator: tries what looks like good trials and not like bad ones."
    source = "Bergstra et al. 2011, Algorithms for hyper-parameter optimization, NeurIPS 24; Optuna’s sampler"
    Options = TPEOptions
    examples = ({"startup": 4},)

    @override
    @classmethod
    def explain(cls, options: TPEOptions) -> str:
        return (
            f"Tree-structured Parzen Estimator: after {options.startup} random trials, the one of "
            f"{short(options.candidates)} draws that looks most like good trials and least like bad ones."
        )

    def __init__(self, options: TPEOptions, context: SearchContext):
        import optuna

        conditional = any(domain.when for domain in context.space.domains.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=integer_seed(context.seed, context.repeat, "tpe"),
                n_startup_trials=options.startup,
                n_ei_candidates=options.candidates,
                multivariate=True,
                group=conditional,
                constant_liar=True,
            )
        super().__init__(sampler, options, context, options.startup)

    @override
    def _configuration(self, asked: "optuna.Trial") -> Configuration:
        return self.space.build(lambda name: suggested(asked, name, self.space[name], categorical=True))
