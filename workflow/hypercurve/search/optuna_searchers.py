"""Searchers that are samplers of Optuna (Akiba et al. 2019): TPE and CMA-ES.

A study in memory is asked and told. It minimises scores (:mod:`hypercurve.search.outcomes`), so every trial that is over is
one that Optuna sees as complete. Optuna is imported when the first of these searchers is made.
"""

import warnings
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from ..space.domains import Choice, Constant, Domain, Integer, LogUniform, Uniform
from ..space.search_space import Configuration, Space, Value
from ..util.seeding import integer_seed
from .learning import LearningSearch, rounded

if TYPE_CHECKING:
    import optuna


class _OptunaSearch(LearningSearch):
    def __init__(
        self,
        sampler: "optuna.samplers.BaseSampler",
        space: Space,
        mode: Literal["min", "max"],
        seed: int,
        repeat: int,
        startup: int,
    ):
        import optuna

        super().__init__(space, mode, seed, repeat, startup)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(sampler=sampler, direction="minimize")
        self._asked: dict[int, optuna.Trial] = {}

    @override
    def drawn(self, trial: int, configuration: Configuration) -> None:
        self._study.enqueue_trial({name: _coded(self.space[name], configuration[name]) for name in configuration})
        self.learned(trial)

    @override
    def learned(self, trial: int) -> Configuration:
        self._asked[trial] = self._study.ask()
        return self._configuration(self._asked[trial])

    @override
    def learn(self, trial: int, score: float) -> None:
        self._study.tell(self._asked.pop(trial), score)

    def _configuration(self, asked: "optuna.Trial") -> Configuration:
        raise NotImplementedError


class TPESearch(_OptunaSearch):
    """The Tree-structured Parzen Estimator (Bergstra et al. 2011), its multivariate form (Falkner et al. 2018, section 3).

    The best trials and the others are each modelled by a kernel density; of some candidates drawn from the first, the one
    with the largest ratio of the densities is tried. Trials that are going count as bad ones, so that trials at once differ
    (constant liar). Only active hyperparameters are modelled: those that depend on each other together. Unordered choices
    are categorical, ordered ones are numbers.

    Args:
        candidates: how many are drawn for each suggestion.
    """

    def __init__(
        self, space: Space, mode: Literal["min", "max"], seed: int, repeat: int, *, startup: int, candidates: int
    ):
        import optuna

        conditional = any(domain.when for domain in space.domains.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=integer_seed(seed, repeat, "tpe"),
                n_startup_trials=startup,
                n_ei_candidates=candidates,
                multivariate=True,
                group=conditional,
                constant_liar=True,
            )
        super().__init__(sampler, space, mode, seed, repeat, startup)

    @override
    def _configuration(self, asked: "optuna.Trial") -> Configuration:
        return self.space.build(lambda name: _suggested(asked, name, self.space[name], categorical=True))


class CMAESSearch(_OptunaSearch):
    """The covariance matrix adaptation evolution strategy (Hansen and Ostermeier 2001).

    A generation is drawn from a normal distribution, whose mean and covariance then move towards its better half. It need
    not end before the next trial starts: trials beyond its size are drawn from it as well, and only the first ones that are
    over are learned from. Choices, ordered or not, and integers are steps of an axis, with a margin that keeps each of them
    likely (Hamano et al. 2022). All hyperparameters are drawn, and those that are inactive left out.

    Args:
        population: size of a generation; None: 4 + ⌊3 ln d⌋ for d hyperparameters.
    """

    def __init__(self, space: Space, mode: Literal["min", "max"], seed: int, repeat: int, *, population: int | None):
        import optuna

        stepped = any(isinstance(space[name], Integer | Choice) for name in space.variables)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.CmaEsSampler(
                seed=integer_seed(seed, repeat, "cmaes"),
                popsize=population,
                with_margin=stepped,
                warn_independent_sampling=False,
            )
        super().__init__(sampler, space, mode, seed, repeat, startup=1)

    @override
    def _configuration(self, asked: "optuna.Trial") -> Configuration:
        values = {
            name: _suggested(asked, name, domain, categorical=False) for name, domain in self.space.domains.items()
        }
        return self.space.build(values.__getitem__)


def _suggested(asked: "optuna.Trial", name: str, domain: Domain, categorical: bool) -> Value:
    """A value that Optuna suggests for a hyperparameter."""
    match domain:
        case Uniform(uniform=(low, high)):
            return domain.clip(rounded(asked.suggest_float(name, low, high)))
        case LogUniform(log_uniform=(low, high)):
            return domain.clip(rounded(asked.suggest_float(name, low, high, log=True)))
        case Integer(integer=(low, high), log=log):
            return asked.suggest_int(name, low, high, log=log)
        case Choice(choice=values, ordered=ordered):
            if categorical and not ordered:
                return values[asked.suggest_categorical(name, range(len(values)))]
            return values[asked.suggest_int(name, 0, len(values) - 1)]
        case Constant(constant=value):
            return value


def _coded(domain: Domain, value: Value) -> Any:
    """A value as Optuna knows it: of choices, which one."""
    return domain.index(value) if isinstance(domain, Choice) else value
