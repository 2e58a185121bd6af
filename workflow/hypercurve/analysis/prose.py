"""An experiment's setting in words, for its report."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..config.budget import Budget
from ..config.experiment import Experiment
from ..config.methods import PRESELECT, LCMOptions, Method, Population, RegretBudget
from ..config.model import counts_epochs
from ..config.objective import COST as VIRTUAL_COST
from ..config.objective import Constraints
from ..runs.stoppers import COST
from ..space.domains import Choice, Constant, Domain, Integer, LogUniform, Uniform
from ..space.search_space import Factors, Rule, UniformFactor
from ..stopping import brackets
from ..stopping.brackets import Rung
from ..stopping.quotas import rungs_of
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
        sentences = [_search(method), _record(method), _stop(experiment, method)]
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
        case "tpe":
            return (
                f"Tree-structured Parzen Estimator: after {options.startup} random trials, the one of "
                f"{short(options.candidates)} draws that looks most like good trials and least like bad ones."
            )
        case "gp":
            return (
                f"Bayesian optimisation: after {options.startup} random trials, the one of {short(options.candidates)} "
                "draws with the largest expected improvement under a Gaussian process."
            )
        case "cmaes":
            size = f", with {options.population} trials in a generation" if options.population else ""
            return f"CMA-ES: draws from a normal distribution that adapts to the better half of each generation{size}."
        case "pso":
            return (
                f"Particle swarm: {options.particles} particles move towards the best positions that they and the swarm "
                f"have had (inertia {options.inertia:g}, pulls {options.own:g} and {options.social:g})."
            )
        case kind:
            return _plainly(kind, options)


def _stop(experiment: Experiment, method: Method) -> str:
    if method.stop is None:
        return "Every trial is trained to its end."
    options = method.stop.options
    given = experiment.training.accumulation_points
    points = len(given)
    match method.stop.kind:
        case "lcm":
            known = options.configurations or _trials(experiment, method)
            return (
                f"Learning Curve Matching: once more than {shares([options.split])} of {short(known)} configurations are "
                f"trained to the end, a new trial is checked at {shares(options.check_points)} of its training and "
                f"stopped if the complete training with the nearest losses so far ({options.distance} distance) ended in "
                f"the worst {_worst(options)}."
            )
        case "halving":
            known = options.configurations or _trials(experiment, method)
            rungs = brackets.halving(known, points, options.reduction_factor, options.first(points)).rungs
            return f"Successive halving: {_waiting(experiment, known, rungs)}"
        case "hyperband":
            found = brackets.hyperband(points, options.reduction_factor)
            listed = "; then ".join(_waiting(experiment, bracket.size, bracket.rungs).rstrip(".") for bracket in found)
            return f"Hyperband: {listed}; then from the beginning."
        case "fixed":
            known = options.configurations or _trials(experiment, method)
            rungs = brackets.fixed(known, given.index(options.share) + 1, options.keep).rungs
            return f"A fixed fraction: {_waiting(experiment, known, rungs)}"
        case "asha":
            numbers = brackets.rung_points(points, options.reduction_factor, options.first(points))
            if not numbers:
                return "Asynchronous successive halving without rungs: every trial is trained to its end."
            best = f"among the best 1/{options.reduction_factor} of all that have come there"
            rule = (
                f"a trial pauses, and goes on once it is {best}"
                if options.form == "promotion"
                else f"a trial is stopped unless it is {best} so far, or the best"
            )
            where = shares(given[number - 1] for number in numbers)
            return f"Asynchronous successive halving ({options.form} form): at {where} of its training {rule}."
        case "median":
            return (
                f"Median rule: once {short(options.warmup)} trials are complete, a trial is stopped, from "
                f"{shares([given[options.first(points) - 1]])} of its training on, when its lowest loss is above the "
                "median of what complete trainings had on average by then."
            )
        case "budget_halving":
            return _matching(experiment, method)
        case "patience":
            least = f" by more than {options.margin:g}" if options.margin else ""
            return (
                f"Early stopping: a trial ends when its loss has not improved{least} for {short(options.wait(points))} of "
                f"{short(points)} accumulation points."
            )
        case kind:
            return _plainly(kind, options)


def _matching(experiment: Experiment, method: Method) -> str:
    assert method.stop is not None
    options = method.stop.options
    cost = options.cost or experiment.budget.cost or COST
    rungs = rungs_of(experiment.training.accumulation_points, cost)
    known = options.configurations or _trials(experiment, method)
    if not rungs:
        return f"As many of {short(known)} trials as {shares([cost])} of full training allow are trained to the end."
    whole = f"so that the whole costs {shares([cost])} of training all {short(known)} trials"
    views = listing(VIEWS[view] for view in options.views)
    return (
        f"Curve matching in halving quotas: at {shares(rungs)} of training, trials wait for each other, and the best go "
        f"on, {whole}. They are ranked by the mean of their ranks by {views}."
    )


def _worst(options: LCMOptions) -> str:
    """LCM's stopping rate."""
    if not isinstance(options.stopping_rate, RegretBudget):
        return shares([options.stopping_rate])
    return (
        "share s, the largest at which, replayed on the curves of earlier experiments, the mean regret is at most "
        f"{options.stopping_rate.regret:g} on each of them"
    )


VIEWS = {
    "last": "the loss",
    "lowest": "the lowest loss so far",
    "gain": "the lowest loss less what it fell in the second half",
    "match": "what the nearest curves came to",
}


def _record(method: Method) -> str:
    """What a record does for a method."""
    if not method.record or (method.stop is not None and method.stop.calibrates):
        return ""
    learned = f"A record of earlier experiments ({listing(method.record)}) orders the trials"
    if method.stop is not None and method.stop.kind == "budget_halving":
        guard = method.stop.options.guard
        return (
            f"{learned}, and the best and a few others start; the rest as well, unless its prediction for the first "
            f"comparison correlates with what is seen by at least {guard:g}."
        )
    return f"{learned}, and the best {shares([method.preselect or PRESELECT])} of them start."


def _trials(experiment: Experiment, method: Method) -> int:
    """Number of trials of a run of a method that needs to know it."""
    name = next(name for name, other in experiment.methods.items() if other is method)
    trials = experiment.setting("", name).trials
    assert trials is not None, "checked with the experiment"
    return trials


def _waiting(experiment: Experiment, size: int, rungs: Sequence[Rung]) -> str:
    """A bracket of trials that wait for each other."""
    if not rungs:
        return f"{short(size)} trials train to the end."
    points = experiment.training.accumulation_points
    steps = [f"the best {short(keep)} go on at {shares([points[point - 1]])}" for point, keep in rungs]
    return f"of {short(size)} trials, {listing(steps)} of training."


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
