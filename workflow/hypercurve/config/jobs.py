"""Into how many jobs independent trials are scattered: few enough that what each costs to start is paid for.

Snakemake asks while it builds its plan, in every cluster job again, so the answer follows from the experiment file alone,
and nothing heavy is imported.
"""

import math

from ..space.search_space import Space
from ..util.seeding import generator
from .cost import CostModel
from .experiment import Experiment
from .hyperparameters import role_of
from .model import Trained, counts_epochs

START = 5.0
"""Seconds that a job takes before its first trial, most of them TensorFlow's import."""
COMPILATION = 0.6
"""Seconds that compiling a network's training loop or its evaluation takes."""
SHARE = 0.1
"""Of a job's time, at most this much may go into its start."""
MOST_JOBS = 1000
"""A run has at most so many jobs by itself."""
SAMPLES = 50_000
"""What a training part is taken to hold where only a file knows."""
DRAWS = 64
"""Draws from the space that stand for its trials."""
PROGRAMS = 32
"""A space with more different programs than this compiles for almost each trial, whatever the job it is in."""


def batches(experiment: Experiment, method: str) -> int:
    """Into how many jobs a method's trials are scattered; 0: the method is one search job.

    A single batch would only be gathered again, so it is a search as well.
    """
    trials = experiment.independent_trials(method)
    if trials == 0:
        return 0
    match experiment.methods[method].trials_per_job:
        case "auto":
            count = min(trials // trials_per_job(experiment, method), MOST_JOBS)
        case wanted:
            count = math.ceil(trials / wanted)
    return count if count > 1 else 0


def trials_per_job(experiment: Experiment, method: str) -> int:
    """The least number of trials that pays for a job's start, by the cost model: see config/README.md."""
    space = experiment.space_of(method)
    model = CostModel(experiment.model, experiment.cost, _samples(experiment))
    draws = [space.sample(generator(0, 0, "batching", draw)) for draw in range(DRAWS)]
    trial = sum(model.of(configuration).seconds(1.0) for configuration in draws) / DRAWS
    start, compiled = START, programs(experiment.model, space) if not counts_epochs(experiment.model) else 0
    if compiled <= PROGRAMS:
        start += COMPILATION * compiled
    else:
        trial += 2 * COMPILATION
    return max(1, math.ceil((1 - SHARE) / SHARE * start / trial))


def _samples(experiment: Experiment) -> int:
    known = None if experiment.data is None else experiment.data.samples
    return max(known or SAMPLES, 1)


def programs(model: Trained, space: Space) -> float:
    """How many training loops and evaluations a space compiles to; infinitely many if a continuous axis shapes them."""
    networks = loops = 1.0
    for name in space.variables:
        role = role_of(model, name)
        values = space[name].count
        networks *= values if role == "network" else 1
        loops *= values if role in ("network", "step") else 1
    return networks + loops
