"""Further trials than the one that is tried: what their points take, where values may make another amount of work."""

import time
from dataclasses import dataclass, replace

from ..config.hyperparameters import role_of
from ..config.model import counts_epochs
from ..execution.advance import ReportCheck
from ..runs.failures import Alike
from ..runs.run import Run
from ..runs.trial import Trial
from ..training.trainer import Trainer
from ..util.errors import UserError
from .one_training import Training

MOST_TIMED = 2
"""Further trials that are timed, where values shape what a training takes."""
LOOKED_AT = 20
"""Trials among which they are looked for."""
TIMING = 10.0
"""Seconds after which no further trial is timed."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A further trial: what its two points took.

    Attributes:
        trial: which.
        points: the shares of the training that were reached.
        seconds: by the clock, until the first point, and from there to the second.
        failure: why it failed.
    """

    trial: Trial
    points: list[float]
    seconds: list[float]
    failure: Alike | None


def trial_of(run: Run, number: int) -> Trial | None:
    """A trial that has started, or whose configuration is known."""
    configuration = run.trials[number].configuration if number in run.trials else run.peek(number)
    return None if configuration is None else run.trial_of(number, configuration)


def time_others(run: Run, trainer: Trainer, first: Trial, spent: float) -> list[Timed]:
    """Time further trials that differ in what may take another time: of networks, in values that shape them.

    Args:
        run: a run that has begun.
        trainer: trains.
        first: the trial that was tried.
        spent: seconds that its points took.
    """
    model = run.setting.model
    names = [name for name in run.setting.space.variables if counts_epochs(model) or role_of(model, name) == "network"]
    met = {tuple(first.configuration.get(name) for name in names)}
    began, check, found = time.monotonic() - spent, ReportCheck.of(run.setting), list[Timed]()
    for number in range(first.number + 1, first.number + LOOKED_AT if names else 0):
        if len(found) == MOST_TIMED or time.monotonic() - began > TIMING or (trial := trial_of(run, number)) is None:
            break
        shape = tuple(trial.configuration.get(name) for name in names)
        if shape not in met:
            met.add(shape)
            found.append(_timed(run, trainer, trial, check))
    return found


def _timed(run: Run, trainer: Trainer, trial: Trial, check: ReportCheck) -> Timed:
    """Train a further trial to its two points."""
    training = Training(trainer, trial, check)
    found = Timed(trial, [], [], None)
    try:
        for point in run.points_of(run.cost.of(trial.configuration))[:2]:
            if training.to(point) is None:
                return replace(found, failure=training.failure)
            found.points.append(point)
            found.seconds.append(training.seconds)
    except UserError as error:
        return replace(found, failure=Alike(str(error), trial.number, trial.configuration, None))
    finally:
        training.closed()
    return found
