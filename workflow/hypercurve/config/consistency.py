"""What must fit together between the parts of an experiment, one check for each part.

A check is a generator of problems. Of the experiment that it takes, parts may be :data:`hypercurve.util.partial.WRONG`: a
check that uses one of them ends there.
"""

import math
from collections.abc import Container, Iterator, Sequence

from ..space.search_space import Constant, Space
from ..util.partial import WRONG, told, validate_parts
from ..util.schema import Place, Problem
from ..util.words import listing
from .data import CSV
from .hyperparameters import known, role_of
from .methods import Population
from .model import LAUNCHER, RECORDED, RESERVED, SEGMENTS, CommandSpec, KerasSpec, Trained, counts_epochs, label
from .objective import COST, PARAMETERS
from .parts import Parts

COLUMNS = ("method", "repeat", "trial", "member", "status", "progress", "performance", "seconds", "cost", "reason")
"""What hyperparameters of users' own models cannot be called: columns of tables that have a column for each of them."""
MEMBERS = ("step", "source", "ancestor", "copies")
"""Likewise of Keras models and populations, which have tables of schedules and members besides."""
REPORTED = ("loss", "val_loss", "val_accuracy", "val_mae")
"""What built-in models report: an accuracy where there are labels, an error where there are targets."""
BOUNDED = (PARAMETERS, COST)
"""What may be bounded besides."""
# A grid is held in memory; more combinations than this are nobody's intention.
LARGEST_GRID = 1_000_000
# More jobs than this in one run would keep Snakemake busy for minutes before the first begins.
MOST_BATCHES = 20_000


def faults_between(experiment: Parts) -> Iterator[Problem]:
    """Problems that need more than one part of an experiment to see, each once."""
    checks = (
        _data,
        _class_weight,
        _objective,
        _curve,
        _constraints,
        _space,
        _budget,
        _cost,
        _retrain,
        _baseline,
        _command,
        _vary,
    )
    replayed = experiment.model is not WRONG and experiment.model == RECORDED
    each = (
        (_replay, _stop) if replayed else (_method_space, _ranks, _epochs, _population, _grid, _jobs, _counted, _stop)
    )
    names = () if experiment.methods is WRONG else experiment.methods
    of_methods = (check(experiment, name) for name in names for check in each)
    yield from dict.fromkeys(told(*(check(experiment) for check in checks), *of_methods))


def _data(experiment: Parts) -> Iterator[Problem]:
    data, given = experiment.data, "data" in experiment.model_fields_set
    if experiment.model == RECORDED:
        if data is None or data.curves is None:
            yield Problem(("data",), f"must be `curves: PATH` with `model: {RECORDED}`")
    elif not counts_epochs(experiment.model) and (data is None or not given):
        yield Problem(("data",), "is required")
    elif data and data.curves:
        yield Problem(("data", "curves"), f"are for `model: {RECORDED}`")
    if data and data.metric is not None and not (data.curves or "").endswith(CSV):
        yield Problem(("data", "metric"), "names a column of a CSV file of `curves`, and there is none: leave it out")


def _class_weight(experiment: Parts) -> Iterator[Problem]:
    if experiment.training.class_weight is None:
        return
    at = ("training", "class_weight")
    if counts_epochs(experiment.model) or experiment.model in (RECORDED, "synthetic"):
        yield Problem(at, f"is for networks; model {label(experiment.model)} has a loss of its own")
    elif experiment.data is not None and experiment.data.task == "regression":
        yield Problem(at, "is for labels, but `data.task` is regression")


def _objective(experiment: Parts) -> Iterator[Problem]:
    at, metric = ("objective", "metric"), experiment.objective.metric
    if experiment.model == RECORDED:
        curves = experiment.data and experiment.data.curves
        if curves and curves.endswith(CSV) and metric != "loss":
            yield Problem(at, "must be `loss`: of a CSV file, `data.metric` names a metric, and lower is better")
    elif isinstance(experiment.model, str) and metric not in ("accuracy", "loss", "mae"):
        said = f"must be accuracy, loss or, of targets, mae, which is what model {experiment.model} reports"
        yield Problem(at, said, ("accuracy", "loss", "mae"))
    elif isinstance(experiment.model, str) and experiment.data is not None:
        other = {"regression": "accuracy", "classification": "mae"}.get(experiment.data.task or "")
        if metric == other:
            better = "loss or mae" if metric == "accuracy" else "accuracy or loss"
            yield Problem(at, f"must be {better}, since `data.task` is {experiment.data.task}")


def _curve(experiment: Parts) -> Iterator[Problem]:
    judged, model = experiment.judged, experiment.model
    if counts_epochs(model) or model == RECORDED:
        return  # what they report is not known
    if isinstance(model, str) and judged.metric not in REPORTED:
        said = f"must be loss, val_loss, val_accuracy or, of targets, val_mae, which is what model {model} reports"
        yield Problem(("curve", "metric"), said, REPORTED)
    if experiment.training.evaluate == "end" and judged.on_validation:
        stopped = [name for name, method in experiment.methods.items() if method is not WRONG and method.stop]
        if stopped:
            said = f"measures no {judged.metric} on the way, which {stopped[0]} stops trials by: `curve: loss` names another"
            yield Problem(("training", "evaluate"), said)


def _constraints(experiment: Parts) -> Iterator[Problem]:
    if experiment.model is not WRONG and experiment.model == RECORDED:
        if experiment.constraints:
            yield Problem(("constraints",), "must be left out: it was recorded which trainings failed")
        return
    model = experiment.model
    bounded = (*REPORTED, *BOUNDED) if model != "synthetic" else (*REPORTED, COST)
    for name in experiment.constraints:
        if name.startswith("test_"):
            yield Problem(("constraints", name), "the test part takes no part in a search")
        elif isinstance(model, str) and name not in bounded:
            yield Problem(("constraints", name), f"unknown key: model {model} reports {', '.join(bounded)}", bounded)


def _space(experiment: Parts) -> Iterator[Problem]:
    if experiment.model != RECORDED:
        if "space" not in experiment.model_fields_set:
            yield Problem(("space",), "is required")
        yield from _domains(experiment, experiment.space, ("space",), experiment.space)
    elif len(experiment.space):
        yield Problem(("space",), "must be left out: recorded curves bring their own")


def _budget(experiment: Parts) -> Iterator[Problem]:
    budget = experiment.budget
    if experiment.model == RECORDED:
        if budget.at and budget.kind == "samples":
            yield Problem(("budget", "at"), "cannot be in samples: how many a recorded training took is not told")
        return
    if budget.cost:
        yield Problem(("budget", "cost"), f"is for `model: {RECORDED}`, where it is known what all would cost")
    if budget.samples and counts_epochs(experiment.model):
        yield Problem(("budget", "samples"), "are not known of a loop or program: take trials or seconds")


def _cost(experiment: Parts) -> Iterator[Problem]:
    if counts_epochs(experiment.model) and experiment.cost.step == 0:
        yield Problem(("cost", "step"), "must be above 0: of a loop or program, it is what an epoch costs")


def _retrain(experiment: Parts) -> Iterator[Problem]:
    if not experiment.retrain:
        return
    if experiment.model == RECORDED:
        yield Problem(("retrain",), "must be left out: recorded curves cannot be trained again")
    elif counts_epochs(experiment.model):
        yield Problem(("retrain",), "is for networks: loops and programs have schedules of their own")
    elif isinstance(experiment.model, KerasSpec) and "learning_rate" not in experiment.space:
        yield Problem(("retrain",), "needs learning_rate in the space, if only as a constant")


def _baseline(experiment: Parts) -> Iterator[Problem]:
    names = tuple(experiment.methods)
    if experiment.baseline is not None and experiment.baseline not in names:
        yield Problem(("baseline",), f"must name a method: {', '.join(names)}", names)


def _command(experiment: Parts) -> Iterator[Problem]:
    if isinstance(experiment.model, CommandSpec):
        spaces = [space_of(experiment, name)[0] for name, method in experiment.methods.items() if method is not WRONG]
        domains = [(name, domain) for space in spaces for name, domain in space.root.items()]
        names = dict.fromkeys(name for name, _ in domains)
        variables = {n: None for n, domain in domains if domain is not WRONG and not isinstance(domain, Constant)}
        for problem in experiment.model.problems(names, variables, experiment.data is not None):
            yield problem.within("model")


# Recorded curves


def _replay(experiment: Parts, name: str) -> Iterator[Problem]:
    method, at = experiment.methods[name], ("methods", name)
    if method.population:
        yield Problem((*at, "population"), "cannot be replayed: members train under what was never recorded")
    if method.tasks:
        yield Problem((*at, "tasks"), "must be left out: a replay is over in milliseconds")
    if method.space:
        yield Problem((*at, "space"), "must be left out: recorded curves bring their own")
    if method.search and method.search.kind != "random":
        yield Problem((*at, "search"), "must be `random`: only what was recorded can be tried, in random order")


def _vary(experiment: Parts) -> Iterator[Problem]:
    if experiment.model == RECORDED:
        yield from told(*(_variants(experiment, name) for name in experiment.vary))
    elif experiment.vary:
        yield Problem(("vary",), f"is for `model: {RECORDED}`")


def _variants(experiment: Parts, name: str) -> Iterator[Problem]:
    vary = experiment.vary[name]
    stopped = {one: method.stop for one, method in experiment.methods.items() if method.stop is not None}
    stop = stopped.get(vary.method)
    if stop is None:
        known = ", ".join(stopped) or "none"
        yield Problem(("vary", name, "method"), f"must name a method with `stop`: {known}", tuple(stopped))
    elif stop is not WRONG:
        for problem in vary.problems(stop, experiment.training, experiment.budget.trials):
            yield problem.within("vary", name, "over")


# Methods


def space_of(experiment: Parts, name: str) -> tuple[Space, list[Problem]]:
    """The space that a method searches, as far as it is right, and what is wrong with the method's own domains."""
    own = experiment.methods[name].space
    return validate_parts(Space, {**experiment.space.root, **own}) if own else (experiment.space, [])


def _method_space(experiment: Parts, name: str) -> Iterator[Problem]:
    at = ("methods", name, "space")
    space, found = space_of(experiment, name)
    yield from (problem.within(*at) for problem in found)
    yield from _domains(experiment, space, at, experiment.methods[name].space)


def _domains(experiment: Parts, space: Space, at: Place, names: Container[str]) -> Iterator[Problem]:
    """Hyperparameters that the model does not know, and domains with values that it cannot take."""
    model, methods = experiment.model, experiment.methods
    populations = methods is not WRONG and any(one is not WRONG and one.population for one in methods.values())
    taken = COLUMNS + (MEMBERS if populations or isinstance(model, KerasSpec) else ())
    yield from told(*(_domain(model, space, at, name, taken) for name in space if name in names))


def _domain(model: Trained, space: Space, at: Place, name: str, taken: Sequence[str]) -> Iterator[Problem]:
    table = known(model)
    if name not in table:
        if isinstance(model, str):
            yield Problem((*at, name), f"unknown key: model {model} has {', '.join(table)}", tuple(table))
        elif isinstance(model, CommandSpec) and name in (*RESERVED, *SEGMENTS, LAUNCHER):
            yield Problem((*at, name), "means something else in commands; give the hyperparameter another name")
        elif name in taken:
            columns = f"is the name of a column of results, as {listing(one for one in taken if one != name)} are"
            yield Problem((*at, name), f"{columns}; give the hyperparameter another name")
        return
    for value in space[name].extremes:
        if problem := table[name].problem(value):
            yield Problem((*at, name), f"{problem}, not {value!r}")
            return


def _ranks(experiment: Parts, name: str) -> Iterator[Problem]:
    model, at = experiment.model, ("methods", name, "ranks")
    if experiment.methods[name].ranks == 1:
        return
    if not counts_epochs(model):
        yield Problem(at, f"are for loops and programs of your own: {label(model)} is trained by one process")
    elif isinstance(model, CommandSpec) and LAUNCHER not in model.placeholders:
        said = f'are started by {{{LAUNCHER}}}, which must stand before the program: ["{{{LAUNCHER}}}", ./solver, ...]'
        yield Problem(at, said)


def _epochs(experiment: Parts, name: str) -> Iterator[Problem]:
    if counts_epochs(experiment.model):
        space, _ = space_of(experiment, name)
        if "epochs" not in space or space["epochs"].when:
            at = ("methods", name, "space") if "epochs" in experiment.space else ("space",)
            yield Problem((*at, "epochs"), "is required, always: it says how often the model reports")


def _population(experiment: Parts, name: str) -> Iterator[Problem]:
    if population := experiment.methods[name].population:
        space, _ = space_of(experiment, name)
        own = (_members(experiment, population), _explore(population, space))
        for problem in told(*own, *(_member(experiment.model, space, one) for one in space)):
            yield problem.within("methods", name, "population")


def _members(experiment: Parts, population: Population) -> Iterator[Problem]:
    model, budget = experiment.model, experiment.budget
    if model is not WRONG and isinstance(model, CommandSpec) and not model.segmented:
        yield Problem((), "members exchange state, so the command must have {resume}, {snapshot} and {until}")
    if population.members is None and budget.trials is None:
        yield Problem((), f"needs `members`: the budget is in {budget.kind}, so the number of trials is open")
    elif (population.members or budget.trials or 2) < 2:
        yield Problem((), "needs at least 2 `members`; by default the budget's number of trials")


def _explore(population: Population, space: Space) -> Iterator[Problem]:
    for name in population.explore:
        if name not in space:
            yield Problem(("explore", name), f"unknown key: the space has {', '.join(space)}", space.names)


def _member(model: Trained, space: Space, name: str) -> Iterator[Problem]:
    domain = space[name]
    if domain.when:
        yield Problem((), f"{name} is conditional, which a population cannot be")
    text = any(isinstance(value, str) for value in domain.extremes)
    if not isinstance(domain, Constant) and (role_of(model, name) != "numeric" or text):
        said = "members exchange weights, so only numeric hyperparameters may differ"
        yield Problem((), f"{name} must be a constant: {said}")


def _grid(experiment: Parts, name: str) -> Iterator[Problem]:
    search, trials = experiment.methods[name].search, experiment.budget.trials
    if search is None or (size := search.options.size(space_of(experiment, name)[0])) is None:
        return
    at = ("methods", name, "search")
    if size > LARGEST_GRID:
        yield Problem(at, f"the {search.kind} has {size} configurations; at most {LARGEST_GRID} can be")
    elif trials is not None and size > trials:
        said = f"the {search.kind} has {size} configurations but the budget is {trials} trials"
        yield Problem(at, f"{said}: take fewer points or a larger budget")


def _jobs(experiment: Parts, name: str) -> Iterator[Problem]:
    wanted = experiment.methods[name].trials_per_job
    if wanted == "auto" or space_of(experiment, name)[1]:
        return
    batches = math.ceil(experiment.independent_trials(name) / wanted)
    if batches > MOST_BATCHES:
        at = ("methods", name, "trials_per_job")
        yield Problem(at, f"makes {batches} jobs of a run; at most {MOST_BATCHES} are possible")


def _counted(experiment: Parts, name: str) -> Iterator[Problem]:
    """What depends on the budget being in trials, and on smaller budgets."""
    method, budget, at = experiment.methods[name], experiment.budget, ("methods", name)
    if method.record and budget.trials is None:
        yield Problem((*at, "record"), f"chooses among a known number of trials, but the budget is in {budget.kind}")
    counts = method.search is not None and method.search.options.counts_trials
    if counts and budget.trials is None:
        yield Problem((*at, "search"), f"needs a budget in trials, but it is in {budget.kind}")
    if budget.kind != "trials" or not budget.at:
        return
    if method.search and method.search.options.size(space_of(experiment, name)[0]) is not None:
        yield Problem(("budget", "at"), f"the first trials of {name}'s {method.search.kind} are one corner of it")
    if counts:
        said = (
            f"{name}'s configurations depend on the number of trials: its first trials are no run with a smaller budget"
        )
        yield Problem(("budget", "at"), said)
    if method.stop and method.stop.options.counts_trials:
        yield Problem(
            (*at, "stop", method.stop.kind), "needs `configurations` (n), which must not change with the budget"
        )
    if method.stop and method.stop.options.pauses:
        said = f"trials of {name} wait for each other, so its first trials are no run with a smaller budget"
        yield Problem(("budget", "at"), said)


def _stop(experiment: Parts, name: str) -> Iterator[Problem]:
    if stop := experiment.methods[name].stop:
        for problem in stop.options.problems(experiment.training.accumulation_points, experiment.budget.trials):
            yield problem.within("methods", name, "stop", stop.kind)
