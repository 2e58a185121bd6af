"""What a whole experiment would take, by what two points of its trainings took. Rough, and said to be so.

Seconds grow with virtual seconds (:mod:`hypercurve.config.cost`), so trials of other lengths and batch sizes than the one
that was tried are counted by these. All trials are taken to be trained to their ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heapreplace

from ..config.cost import CostModel, report_points
from ..config.experiment import Experiment
from ..config.jobs import DRAWS, batches, programs
from ..config.model import CommandSpec, counts_epochs
from ..config.sharing import draws, lenders
from ..curves.cost import distinct_points
from ..util.seeding import generator
from .measure import Tried
from .others import Timed

PROCESS = 2.0
"""Seconds that a job takes besides what was measured: Snakemake's part, and the start of a process."""
FIXED = 400
"""Bytes of a journal for a trial besides its reports: that it started, with its configuration."""


@dataclass(frozen=True, slots=True)
class MethodEstimate:
    """What a method would take, in all of its repeats.

    Attributes:
        trials: of a run; None where the budget is another.
        trial: seconds of a trial.
        training: computing seconds, of trials that another method has not trained already.
        source: that other method.
        jobs: that train.
        job: seconds of each, on so many cores:
        width: cores that a job takes.
        disk: bytes of journals.
        bounded: whether a stopper may make it less.
        waiting: trials that may wait at once, their states kept.
    """

    trials: float | None
    trial: float
    training: float
    source: str | None
    jobs: int
    job: float
    width: int
    disk: float
    bounded: bool
    waiting: float = 0.0


def estimates(
    experiment: Experiment, tried: Mapping[str, Tried], samples: int, start: float
) -> dict[str, MethodEstimate]:
    """What each method would take that was tried and did not fail.

    Args:
        experiment: the experiment.
        tried: by method, the training that stands for its trials.
        samples: size of the training part.
        start: seconds until a process can train: importing and loading.
    """
    found: dict[str, MethodEstimate] = {}
    for method, seen in tried.items():
        found[method] = _estimate(experiment, method, seen, samples, start, _source(experiment, method, found))
    return found


def _estimate(
    experiment: Experiment, method: str, tried: Tried, samples: int, start: float, source: str | None
) -> MethodEstimate:
    setting, budget = experiment.setting("", method), experiment.budget
    costs = CostModel(experiment.model, experiment.cost, samples)
    drawn = [setting.space.sample(generator(0, 0, "batching", draw)) for draw in range(DRAWS)]
    starts = isinstance(experiment.model, CommandSpec) and not experiment.model.stays
    pace, first, compiled = _pace(costs, tried, program=starts)
    mean = sum(costs.of(one).seconds(1.0) for one in drawn) / DRAWS
    trial = first + pace * mean
    trials: float | None = setting.starters
    match budget.kind:
        case "seconds":
            count, training = budget.limit / trial, budget.limit
        case "samples":
            count = budget.limit / max(sum(costs.of(one).trained(1.0) for one in drawn) / DRAWS, 1)
            training = count * trial
        case _:
            count = float(trials or 0)
            training = count * trial
    chosen = experiment.methods[method]
    jobs, width = max(1, batches(experiment, method)), max(1, min(chosen.tasks or chosen.workers or 1, round(count)))
    own = 0.0 if source else training
    structures = 0.0
    if not counts_epochs(experiment.model) and not source:  # half of what is compiled trains, half evaluates
        structures = min(count / jobs, programs(experiment.model, setting.space) / 2)
    # What was compiled for the trial that was tried is in the seconds of the first.
    job = PROCESS + start + own / jobs / width + compiled * structures
    planned = report_points(setting, max(costs.samples, 1))
    points = sum(len(distinct_points(planned, costs.of(one).steps)) for one in drawn) / DRAWS
    return MethodEstimate(
        trials=trials,
        trial=trial,
        training=own * experiment.repeats,
        source=source,
        jobs=jobs * experiment.repeats,
        job=job,
        width=width * setting.training.threads,
        disk=experiment.repeats * count * (points * tried.line + FIXED),
        bounded=setting.stop is not None and not source,
        waiting=count if setting.stop is not None and setting.stop.options.pauses else 0.0,
    )


def _pace(costs: CostModel, tried: Tried, *, program: bool) -> tuple[float, float, float]:
    """Seconds per virtual second, seconds at the start of each trial, and those that only the first of its kind takes."""
    cost = costs.of(tried.trial.configuration)
    first = cost.seconds(tried.points[0])
    # A program that was to save its state was started more than once.
    again = tried.seconds[0] if program or not tried.again < tried.seconds[0] else tried.again
    paces = [again / first]
    if len(tried.points) > 1:
        paces = [_between(costs, tried)]
        paces += [_between(costs, other) for other in tried.others if len(other.points) > 1]
    own, pace = paces[0], sum(paces) / len(paces)
    return pace, max(0.0, again - own * first), tried.seconds[0] - again


def _between(costs: CostModel, timed: Tried | Timed) -> float:
    """Seconds per virtual second between two points."""
    cost = costs.of(timed.trial.configuration)
    return timed.seconds[1] / max(cost.seconds(timed.points[1]) - cost.seconds(timed.points[0]), 1e-12)


def _source(experiment: Experiment, method: str, before: Mapping[str, MethodEstimate]) -> str | None:
    """The method that trains what this one would, so that it counts once."""
    if found := lenders(experiment, method):
        return found[0]
    wanted = draws(experiment, method)
    if wanted is None or experiment.reuse is False or experiment.budget.bound != "trials":
        return None
    same = (name for name, one in before.items() if one.source is None and draws(experiment, name) == wanted)
    return next(same, None)


def by_the_clock(found: Mapping[str, MethodEstimate], cores: int) -> float:
    """Seconds until all jobs are done on so many cores; those that wait for others' trainings come after these."""
    total = 0.0
    for waiting in (False, True):
        free = [0.0] * cores
        heapify(free)
        jobs = [(one.job, one.width) for one in found.values() if bool(one.source) == waiting for _ in range(one.jobs)]
        for seconds, width in sorted(jobs, reverse=True):
            for _ in range(min(width, cores)):  # as if its processes need not run at once
                heapreplace(free, free[0] + seconds * max(1.0, width / cores))
        total += max(free)
    return total
