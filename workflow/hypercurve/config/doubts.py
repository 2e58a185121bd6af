"""What can be run, but is hardly meant: `hypercurve check` and `hypercurve.tune` say it and go on.

What is particular to a searcher or a stopper, its own class says (`doubts`).
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from ..search.searcher import SearchContext
from ..space.doubts import doubts as doubts_of
from ..stopping.stopper import StopContext
from .code_files import lacking
from .data import CSV
from .experiment import Experiment
from .figures import applicable
from .model import RECORDED, CommandSpec, KerasSpec, LoopSpec, counts_epochs
from .objective import COST, PARAMETERS

LONGEST = 100
"""Characters of a name that is part of file names: some file systems hold 143 bytes, and we append to it."""
FILES = (*CSV, ".npz", ".jsonl", ".tar.gz")
"""Ends of what is a file, and no folder that another experiment makes."""
EXCHANGE = ("save", "load", "adjust")
"""Methods that a loop needs in a population."""
# Figures that are drawn only where they are asked for: they fit any experiment.
ASKED_FOR = ("traits",)


def doubts(experiment: Experiment) -> Iterator[str]:
    """What is doubtful in an experiment, each in a sentence that begins with the key and says what to do."""
    found = [
        _names("methods", experiment.methods),
        _names("vary", experiment.vary),
        _names("space", dict.fromkeys(n for name in experiment.methods for n in experiment.space_of(name))),
        _domains(experiment),
        _files(experiment),
        _figures(experiment),
        _constraints(experiment),
        _command(experiment),
        *(chain(_rules(experiment, name), _combinations(experiment, name)) for name in experiment.methods),
        *(_population(experiment, name) for name in experiment.methods),
    ]
    yield from dict.fromkeys(chain.from_iterable(found))


def doubts_of_file(path: Path) -> Iterator[str]:
    """What is doubtful in an experiment's name, which is that of its file."""
    try:
        others = sorted(other.stem for other in path.parent.glob("*.yaml") if other.stem != path.stem)
    except OSError:
        others = []
    yield from (said for said in _names("", [*others, path.stem]) if said.startswith(path.stem))


def _names(key: str, names: Iterable[str]) -> Iterator[str]:
    """Names that some file systems do not hold, or hold as one."""
    seen: dict[str, str] = {}
    for name in names:
        at = f"{key}.{name}" if key else name
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield f"{at}: differs from {other} in capital letters alone, which not all file systems tell apart: rename one"
        if len(name) > LONGEST and key != "space":
            yield f"{at}: has {len(name)} characters, more than some file systems hold: take {LONGEST} at most"


def _domains(experiment: Experiment) -> Iterator[str]:
    own = {f"methods.{name}.space": (name, method.space) for name, method in experiment.methods.items()}
    for at, space, names in [
        ("space", experiment.space, experiment.space.names),
        *((at, experiment.space_of(name), tuple(given)) for at, (name, given) in own.items()),
    ]:
        yield from (f"{at}.{name}: {said}" for name in names for said in doubts_of(space[name]))


def _files(experiment: Experiment) -> Iterator[str]:
    data, records = experiment.data, {f"methods.{name}.record": one.record for name, one in experiment.methods.items()}
    given = [("data.path", data.path), ("data.curves", data.curves)] if data is not None else []
    given += [(key, source) for key, sources in records.items() for source in sources]
    given += [("reuse", source) for source in experiment.reuse] if isinstance(experiment.reuse, tuple) else []
    for key, source in given:
        if source is not None and (key == "data.path" or source.endswith(FILES)) and not Path(source).exists():
            yield f"{key}: there is no file {source} in {Path.cwd()}: put it there, or correct its name"


def _figures(experiment: Experiment) -> Iterator[str]:
    fit = (*applicable(experiment), *ASKED_FOR)
    for figure in experiment.figures or ():
        if figure not in fit:
            yield f"figures: {figure} shows nothing in this experiment: leave it out; {', '.join(fit)} do"


def _constraints(experiment: Experiment) -> Iterator[str]:
    model = experiment.model
    reported: tuple[str, ...] = ()
    if isinstance(model, KerasSpec) and model.loss is not None:
        measured = (*(metric.rpartition(":")[2] for metric in model.metrics), "loss", "accuracy", "mae")
        reported = ("loss", *(f"val_{name}" for name in measured), PARAMETERS, COST)
    for name, bound in experiment.constraints.items():
        yield from (f"constraints.{name}: {said}" for said in bound.doubts(name))
        if reported and name not in reported:
            yield f"constraints.{name}: the model reports no {name}, and all its trials fail: add it to `metrics`"


def _command(experiment: Experiment) -> Iterator[str]:
    model = experiment.model
    if isinstance(model, CommandSpec) and not model.stays and not model.placeholders & {"epochs", "until"}:
        yield (
            "model.command: is given neither {epochs} nor {until}, so the program must know by itself how often to "
            "report: write {epochs} where it belongs"
        )


def _rules(experiment: Experiment, name: str) -> Iterator[str]:
    """What searchers and stoppers say of themselves, and what is true of all."""
    method = experiment.methods[name]
    if method.search is None:
        return
    setting, objective, at = experiment.setting("", name), experiment.objective, f"methods.{name}"
    search, stop, points = method.search, method.stop, experiment.training.accumulation_points
    if experiment.model != RECORDED:
        searching = SearchContext(setting.space, objective.mode, experiment.seed, trials=setting.trials)
        for problem in search.rule.doubts(search.options, searching):
            yield f"{'.'.join(map(str, (at, 'search', search.kind, *problem.path)))}: {problem.message}"
        if search.learns and setting.trials is not None and setting.slots >= setting.trials > 1:
            said = f"all {setting.trials} trials start before any has ended, so {search.kind} learns nothing"
            yield f"{at}.slots: {said}: take fewer slots"
    if stop is None:
        return
    epochs = _epochs(experiment, name) if counts_epochs(experiment.model) else 2
    if len(points) == 1 or epochs == 1:
        key = "training.accumulation_points" if len(points) == 1 else "space.epochs"
        yield f"{key}: trials report at their ends alone, so {stop.kind} stops none in {name}: take 2 or more"
        return
    context = StopContext(
        points, setting.starters, objective.mode, setting.space, cost=experiment.budget.cost, method=name
    )
    for problem in stop.rule.doubts(stop.options, context):
        yield f"{'.'.join(map(str, (at, 'stop', stop.kind, *problem.path)))}: {problem.message}"


def _combinations(experiment: Experiment, name: str) -> Iterator[str]:
    """Trials that must repeat each other; a grid's never do."""
    method, trials, space = experiment.methods[name], experiment.budget.trials, experiment.space_of(name)
    draws = method.search is not None and method.search.kind != "grid"
    if trials is None or experiment.model == RECORDED or not space.variables or not draws:
        return
    if trials > (most := space.combinations):
        yield (
            f"methods.{name}: {trials} trials, but the space has {most:g} combinations; a trial that repeats one "
            "is not trained again, and has its results"
        )


def _population(experiment: Experiment, name: str) -> Iterator[str]:
    population, model = experiment.methods[name].population, experiment.model
    if population is None:
        return
    if isinstance(model, LoopSpec) and (missing := lacking(model, EXCHANGE)):
        said = f"members exchange state, but {model.loop} has no {' and no '.join(missing)}"
        yield f"methods.{name}.population: {said}: write a class with {', '.join(EXCHANGE)}, or take another method"
    if counts_epochs(model) and population.every >= (most := _epochs(experiment, name)):
        said = f"members train for {most:g} epochs at most, so they never exchange anything"
        yield f"methods.{name}.population.every: {said}: take less than {most:g}"


def _epochs(experiment: Experiment, name: str) -> float:
    """Most epochs that a loop or program is trained for."""
    return max(map(float, experiment.space_of(name)["epochs"].extremes))
