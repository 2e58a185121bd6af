"""An experiment's setting in words, for its report."""

from collections.abc import Iterator
from typing import Any

from ..config.budget import Budget
from ..config.experiment import Experiment
from ..config.methods import PRESELECT, Method, Population
from ..config.model import counts_epochs
from ..config.objective import COST as VIRTUAL_COST
from ..config.objective import Constraints
from ..runs.schedulers import stop_context
from ..space.domains import Choice, Constant, Domain, Integer, LogUniform, Uniform
from ..space.search_space import Factors, Rule, UniformFactor
from ..util.words import NARROW as NARROW
from ..util.words import listing, short
from ..util.words import shares as shares

POPULATION = (
    "Jaderberg et al. 2017, Population based training of neural networks, arXiv 1711.09846; C. Ouyang and D. McBride, "
    "Neural Network Hyperparameter Optimization (slides and poster, JICS)"
)
"""Where Population Based Training comes from."""


FEW_REPEATS = 5
"""With fewer repeats than this, a report says that its intervals rest on few."""


def few(repeats: int) -> str:
    """What is to be known of intervals over so many repeats; empty where there are none, or repeats enough.

    >>> few(3)
    'Intervals are from 3 repeats only: take five or more before you conclude from them.'
    """
    if not 1 < repeats < FEW_REPEATS:
        return ""
    return f"Intervals are from {repeats} repeats only: take five or more before you conclude from them."


def seconds(value: float) -> str:
    """A duration with about four digits."""
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2
    return f"{value:,.{digits}f}".replace(",", NARROW) + f"{NARROW}s"


def count(value: float) -> str:
    """A number of things, or their mean."""
    return short(round(value, 1), 4) if value != int(value) else short(int(value))


def metric(name: str) -> str:
    """What a metric of reports measures."""
    return f"validation {name.removeprefix('val_')}" if name.startswith("val_") else f"training {name}"


def curve(given: Experiment) -> str:
    """The learning curve, and what it is for."""
    stopped = any(method.stop is not None for method in given.methods.values())
    return f"the {metric(given.judged.metric)}" + (", by which trials are stopped," if stopped else "")


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
        sentences = list(_trials(experiment, method))
    if (method.tasks or 1) > 1:
        free = ", which the result does not depend on" if method.order == "virtual" else ""
        sentences.append(f"Carried out by {method.tasks} MPI processes{free}.")
    if (method.workers or 1) > 1:
        sentences.append(f"Carried out by up to {method.workers} workers at a time, in order of arrival.")
    if method.slots > 1:
        sentences.append(f"{method.slots} trials go on at once.")
    if method.space:
        own = {name: _given(value) for name, value in method.space.items()}
        sentences.append("Its own space: " + listing(f"{name} {value}" for name, value in own.items()) + ".")
    return sentences


def source(method: Method) -> str:
    """The publications that a method's rules follow; empty for rules that need none (a grid, a fixed fraction)."""
    if method.population is not None:
        return POPULATION
    return ". ".join(part.rule.source for part in (method.search, method.stop) if part is not None and part.rule.source)


def _trials(experiment: Experiment, method: Method) -> Iterator[str]:
    """What the searcher, the record and the stopper do."""
    assert method.search is not None
    yield method.search.rule.explain(method.search.options)
    stop = method.stop
    if method.record and not (stop is not None and stop.calibrates):
        learned = f"A record of earlier experiments ({listing(method.record)}) orders the trials"
        if stop is not None and stop.options.tests_record:
            yield f"{learned}, {stop.rule.explain_record(stop.options)}"
        else:
            yield f"{learned}, and the best {shares([method.preselect or PRESELECT])} of them start."
    if stop is None:
        yield "Every trial is trained to its end."
    else:
        name = next(name for name, other in experiment.methods.items() if other is method)
        yield stop.rule.explain(stop.options, stop_context(experiment.setting("", name)))


def constraints(given: Constraints) -> str:
    """Bounds on what trials report.

    >>> from hypercurve.config.objective import Bound
    >>> constraints({"size": Bound(max=1000), "val_precision": Bound(min=0.7, max=0.9)})
    'size at most 1000; val_precision at least 0.7 and at most 0.9'
    """
    bounds = []
    for name, bound in given.items():
        unit = " virtual seconds" if name == VIRTUAL_COST else ""
        kept = [("at least", bound.min), ("at most", bound.max)]
        bounds.append(f"{name} {listing([f'{word} {end:.12g}{unit}' for word, end in kept if end is not None])}")
    return "; ".join(bounds)


def _population(experiment: Experiment, given: Population) -> Iterator[str]:
    members = given.members or experiment.budget.trials
    metric, every = experiment.objective.metric, short(given.every)
    ranked = f"{every} iterations they are ranked by the {metric} of {short(given.fitness_samples)} validation samples"
    if counts_epochs(experiment.model):
        epochs = "epoch" if given.every == 1 else f"{every} epochs"
        ranked = f"{epochs} they are ranked by the {metric} that they report"
    yield (
        f"Population Based Training: {members} members start with independent draws and train together. Every {ranked}."
    )
    options = given.exploit.options
    match given.exploit.kind:
        case "quartile":
            share = shares([options.fraction])
            yield f"The least fit {share} copy weights and hyperparameters of members drawn from the most fit {share}."
        case "tournament":
            yield "Each meets another at random, and copies its weights and hyperparameters if that one is fitter."
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


def _given(value: Any) -> str:
    """A domain as it stands in the file."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', '-')} {inner}" for key, inner in value.items())
    return f"= {value}"
