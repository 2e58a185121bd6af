"""Where configurations lie in the space that was searched: for figures of many trials and hyperparameters."""

from collections.abc import Mapping, Sequence

from ..config.experiment import Experiment
from ..config.hyperparameters import RECORDED
from ..results.runs import RunResult
from ..space.domains import Choice, Domain, LogUniform, Uniform
from ..space.search_space import Space, Value
from .tables import Runs

WIDE = 100.0
"""Ratio of the greatest to the least recorded value above which its axis is logarithmic."""
LISTED = 12
"""Different recorded numbers up to which they count as choices."""


def searched(experiment: Experiment, runs: Runs) -> dict[str, Space]:
    """The space of each method that is a search and has runs; populations change hyperparameters while they train.

    Of recorded curves, whose domains the experiment does not tell, the smallest space that holds all that was played.
    """
    found = {}
    for method, given in experiment.methods.items():
        if given.population is None and runs[method]:
            if experiment.model == RECORDED:
                found[method] = _seen([trial.configuration for run in runs[method] for trial in run.trials.values()])
            else:
                found[method] = experiment.space_of(method)
    return found


def alike(spaces: Mapping[str, Space]) -> list[tuple[Space, list[str]]]:
    """The different spaces, each with the methods that search it."""
    groups: list[tuple[Space, list[str]]] = []
    for method, space in spaces.items():
        same = next((methods for other, methods in groups if other.root == space.root), None)
        if same is None:
            groups.append((space, [method]))
        else:
            same.append(method)
    return groups


def completed(runs: Sequence[RunResult], objective: str) -> list[tuple[Mapping[str, Value], float]]:
    """Configurations and final performances, each configuration once: methods that share their draws train some twice."""
    found: dict[tuple[tuple[str, Value], ...], tuple[Mapping[str, Value], float]] = {}
    for run in runs:
        for trial in run.trials.values():
            value = trial.performance(objective)
            if trial.status == "completed" and value is not None:
                found.setdefault(tuple(sorted(trial.configuration.items())), (trial.configuration, value))
    return list(found.values())


def _seen(configurations: Sequence[Mapping[str, Value]]) -> Space:
    names = dict.fromkeys(name for configuration in configurations for name in configuration)
    return Space({name: _domain([c[name] for c in configurations if name in c]) for name in names})


def _domain(values: Sequence[Value]) -> Domain:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    different = list(dict.fromkeys(values))
    if len(numbers) < len(values) or len(different) <= LISTED:
        ordered = len(numbers) == len(values)
        return Choice(choice=tuple(sorted(different) if ordered else different), ordered=ordered)
    low, high = float(min(numbers)), float(max(numbers))
    return LogUniform(log_uniform=(low, high)) if low > 0 and high / low >= WIDE else Uniform(uniform=(low, high))
