"""What can be run, but is hardly meant: `hypercurve check` and `hypercurve.tune` say it and go on."""

from collections.abc import Iterator

from .experiment import Experiment
from .methods import Method
from .model import RECORDED


def doubts(experiment: Experiment) -> Iterator[str]:
    """What is doubtful in an experiment, each in a sentence that begins with the key."""
    trials = experiment.budget.trials
    for name, method in experiment.methods.items():
        space = experiment.space_of(name)
        if trials is None or experiment.model == RECORDED or not space.variables or not _draws(method):
            continue
        if trials > (most := space.combinations):
            yield (
                f"methods.{name}: {trials} trials, but the space has {most:g} combinations; a trial that repeats one "
                "is not trained again, and has its results"
            )


def _draws(method: Method) -> bool:
    """Whether the searcher may suggest a configuration twice: a grid never does."""
    return method.search is not None and method.search.kind != "grid"
