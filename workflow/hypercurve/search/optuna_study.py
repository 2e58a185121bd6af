"""What searchers that are samplers of Optuna (Akiba et al. 2019) share: ``tpe`` and ``cmaes``.

A study in memory is asked and told. It minimises scores (:mod:`hypercurve.search.outcomes`), so every trial that is over is
one that Optuna sees as complete. Optuna is imported when the first of these searchers is made.
"""

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from ..space.domains import Choice, Constant, Domain, Integer, LogUniform, Uniform
from ..space.search_space import Configuration, Value
from .learning import LearningSearch, rounded
from .searcher import SearchContext

if TYPE_CHECKING:
    import optuna


class OptunaSearch(LearningSearch):
    """Asks a study with a sampler of Optuna's, and tells it what came of trials."""

    def __init__(self, sampler: "optuna.samplers.BaseSampler", options: Any, context: SearchContext, startup: int):
        import optuna

        super().__init__(options, context, startup)
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


def suggested(asked: "optuna.Trial", name: str, domain: Domain, categorical: bool) -> Value:
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
