"""Which figures an experiment gets. Snakemake asks while it reads its rules, so nothing here imports a plotting library."""

from ..config.experiment import Experiment
from ..config.model import RECORDED, counts_epochs
from ..space.domains import Constant

AXES = 3
"""Axes of the `grid` figure."""
FEWEST = 20
"""Completed trials below which the importance of hyperparameters is not looked for."""


def applicable(experiment: Experiment) -> list[str]:
    """The figures that fit an experiment, in the order of its report.

    ``best`` and ``curves`` always fit; ``parallel`` and ``importance`` where a search varies two hyperparameters or more,
    the latter if its trials can be enough; ``budgets`` where the budget has smaller ones; ``grid`` where a method searches a
    grid of at least three axes; ``schedules`` where some learning rate decays and validation is recorded on the way;
    ``population`` and ``fitness`` where a method is a population; ``timeline`` where trials go on at once. ``traits`` is
    drawn only for experiments that ask for it, ``retrained`` where what was chosen is trained again. Replays have
    ``pareto``, and ``heatmaps`` where settings are varied.
    """
    figures = ["best", "curves"]
    if experiment.model == RECORDED:
        figures = ["pareto", *(["heatmaps"] if experiment.vary else []), *figures]
    varied = [name for name in searches(experiment) if len(experiment.space_of(name).variables) > 1]
    if varied:
        figures.append("parallel")
        trials = [experiment.setting("", name).trials for name in varied]
        if any(count is None or count * experiment.repeats >= FEWEST for count in trials):
            figures.append("importance")
    if experiment.budget.at:
        figures.append("budgets")
    if grid_method(experiment) is not None:
        figures.append("grid")
    if experiment.training.evaluate == "points" and any(decays(experiment, method) for method in searches(experiment)):
        figures.append("schedules")
    if experiment.retrain:
        figures.append("retrained")
    if populations(experiment):
        figures += ["population", "fitness"]
    if any(
        method.population is not None or (method.tasks or 1) > 1 or method.slots > 1
        for method in experiment.methods.values()
    ):
        figures.append("timeline")
    return figures


def searches(experiment: Experiment) -> list[str]:
    """The methods that are searches."""
    return [name for name, method in experiment.methods.items() if method.population is None]


def populations(experiment: Experiment) -> list[str]:
    """The methods that are populations."""
    return [name for name, method in experiment.methods.items() if method.population is not None]


def grid_method(experiment: Experiment) -> str | None:
    """The first method that searches a grid of at least three axes."""
    for name, method in experiment.methods.items():
        grid = method.search is not None and method.search.options.size(experiment.space_of(name)) is not None
        if grid and len(experiment.setting("", name).space.variables) >= AXES:
            return name
    return None


def decays(experiment: Experiment, method: str) -> bool:
    """Whether a method's space has a decay ratio that is not the constant 1."""
    space = experiment.setting("", method).space
    if "decay_ratio" not in space or counts_epochs(experiment.model):
        return False
    domain = space["decay_ratio"]
    return not (isinstance(domain, Constant) and domain.constant == 1)
