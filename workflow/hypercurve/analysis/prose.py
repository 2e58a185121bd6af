"""An experiment's setting in words, for its report."""

from collections.abc import Iterable, Iterator
from typing import Any

from ..config import Budget, Experiment
from ..domains import Choice, Constant, Domain, Integer, LogUniform, Uniform
from ..methods import Method, Population
from ..space import Factors, Rule, UniformFactor
from .figures.style import short

NARROW = "\u202f"


def seconds(value: float) -> str:
    """A duration with about four digits."""
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2
    return f"{value:,.{digits}f}".replace(",", NARROW) + f"{NARROW}s"


def count(value: float) -> str:
    """A number of things, or their mean."""
    return short(round(value, 1), 4) if value != int(value) else short(int(value))


def shares(values: Iterable[float]) -> str:
    """Shares as percentages: ``10, 20 and 40 %``."""
    return listing([f"{round(100 * value, 4):g}" for value in values]) + f"{NARROW}%"


def listing(items: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = [*items]
    return f"{', '.join(most)} and {last}" if most else last


def budget(given: Budget) -> str:
    """When a run ends."""
    unit = {
        "trials": "trials",
        "seconds": "computing seconds, summed over workers",
        "samples": "training samples, summed over trials",
    }
    text = f"{short(given.limit)} {unit[given.kind]}"
    if given.at:
        text += f"; also looked at after {listing(short(value) for value in given.at)}"
    return text


def domain(given: Domain) -> str:
    """A domain as a reader of papers would write it."""
    match given:
        case Uniform(uniform=(low, high)):
            return f"uniform on [{low:g}, {high:g}]"
        case LogUniform(log_uniform=(low, high)):
            return f"log-uniform on [{low:g}, {high:g}]"
        case Integer(integer=(low, high), log=log):
            return f"integers from {low} to {high}" + (", on a log scale" if log else "")
        case Choice(choice=values, ordered=ordered):
            return f"one of {', '.join(map(str, values))}" + (", in this order" if ordered else "")
        case Constant(constant=value):
            return f"always {value}"


def condition(given: Domain) -> str:
    """When a hyperparameter is there at all; empty if always."""
    return (
        listing(f"{parent} is {' or '.join(map(str, values))}" for parent, values in given.when.items())
        if given.when
        else ""
    )


def rules(experiment: Experiment, method: Method) -> list[str]:
    """What a method does, a sentence for each of its parts."""
    if method.population is not None:
        sentences = list(_population(experiment, method.population))
    else:
        sentences = [_search(method), _stop(experiment, method)]
    if (method.tasks or 1) > 1:
        free = ", which the result does not depend on" if method.order == "virtual" else ""
        sentences.append(f"Carried out by {method.tasks} MPI processes{free}.")
    if method.slots > 1:
        sentences.append(f"{method.slots} trials go on at once.")
    if method.space:
        own = {name: _given(value) for name, value in method.space.items()}
        sentences.append("Its own space: " + listing(f"{name} {value}" for name, value in own.items()) + ".")
    return [sentence for sentence in sentences if sentence]


def _search(method: Method) -> str:
    if method.search is None:
        return ""
    options = method.search.options
    match method.search.kind:
        case "random":
            return "Random search: independent draws from the space."
        case "grid":
            return f"Grid search: every combination; continuous axes have {options.points} points or their own number."
        case "sobol":
            return "A scrambled Sobol sequence: random-like draws, but evenly spread."
        case kind:
            return _plainly(kind, options)


def _stop(experiment: Experiment, method: Method) -> str:
    if method.stop is None:
        return "Every trial is trained to its end."
    options = method.stop.options
    match method.stop.kind:
        case "lcm":
            known = options.configurations or experiment.budget.trials
            return (
                f"Learning Curve Matching: once more than {shares([options.split])} of {short(known)} configurations are "
                f"trained to the end, a new trial is checked at {shares(options.check_points)} of its training and "
                f"stopped if the complete training with the nearest losses so far ({options.distance} distance) ended in "
                f"the worst {shares([options.stopping_rate])}."
            )
        case kind:
            return _plainly(kind, options)


def _population(experiment: Experiment, given: Population) -> Iterator[str]:
    members = given.members or experiment.budget.trials
    yield (
        f"Population Based Training: {members} members start with independent draws and train together. Every "
        f"{short(given.every)} iterations they are ranked by the {experiment.objective.metric} of "
        f"{short(given.fitness_samples)} validation samples."
    )
    options = given.exploit.options
    match given.exploit.kind:
        case "quartile":
            share = shares([options.fraction])
            yield f"The least fit {share} copy weights and hyperparameters of members drawn from the most fit {share}."
        case "tournament":
            yield "Each meets another at random, and copies its weights and hyperparameters if that one is fitter."
        case kind:
            yield _plainly(kind, options)
    changes = [f"{name} {_rule(rule)}" for name, rule in given.explore.items()]
    yield f"What is copied is perturbed: {'; '.join(changes)}." if changes else "What is copied is not perturbed."
    yield (
        "All wait for each other at every evolution step."
        if given.lag == 0
        else "Members are ranked on the evolution step before, so that nobody waits for a slow one."
    )


def _rule(rule: Rule) -> str:
    """A perturbation."""
    match rule:
        case Factors(factors=factors):
            parts = ["× " + " or ".join(f"{factor:g}" for factor in factors)]
        case UniformFactor(uniform_factor=(low, high)):
            parts = [f"× a factor uniform on [{low:g}, {high:g}]"]
        case _:
            parts = []
    if rule.resample:
        parts.append(f"drawn anew in {shares([rule.resample])} of cases")
    return ", or ".join(parts)


def _plainly(kind: str, options: Any) -> str:
    given = ", ".join(f"{name} = {value}" for name, value in options.model_dump(mode="json").items())
    return f"{kind}: {given}." if given else f"{kind}."


def _given(value: Any) -> str:
    """A domain as it stands in the file."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', '-')} {inner}" for key, inner in value.items())
    return f"= {value}"
