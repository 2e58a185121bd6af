"""What can be run, but is hardly meant: `hypercurve check` and `hypercurve.tune` say it and go on."""

from collections.abc import Iterator

from ..stopping.lcm import LCMOptions
from .experiment import Experiment
from .methods import Method
from .model import RECORDED


def doubts(experiment: Experiment) -> Iterator[str]:
    """What is doubtful in an experiment, each in a sentence that begins with the key."""
    yield from _few_curves(experiment)
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


FEW_CURVES = 5
"""Fewer trials than these, trained to their ends, are too few for LCM to tell good from bad."""


def _few_curves(experiment: Experiment) -> Iterator[str]:
    """LCM that stops trials by very few others."""
    for name, method in experiment.methods.items():
        options = method.stop.options if method.stop is not None else None
        trials = experiment.budget.trials
        if not isinstance(options, LCMOptions) or method.record or (options.configurations or trials) is None:
            continue
        n = options.configurations or trials or 0
        curves = int(n * options.split + 1e-9) + 1
        if curves < FEW_CURVES:
            yield (
                f"methods.{name}: LCM compares trials with those that went to their ends, and begins when {curves} have "
                f"(more than `split` = {options.split:g} of {n} trials): too few to tell good from bad. Take more trials or "
                "a larger `split`"
            )


def _draws(method: Method) -> bool:
    """Whether the searcher may suggest a configuration twice: a grid never does."""
    return method.search is not None and method.search.kind != "grid"
