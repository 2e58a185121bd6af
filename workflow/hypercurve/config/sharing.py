"""Which methods of an experiment train nothing but what another one trains as well.

Snakemake plans by it (:mod:`hypercurve.workflow_support.ordering`): the answer follows from the experiment file alone.
"""

from .experiment import Experiment
from .hyperparameters import RECORDED
from .identity import training_digest
from .jobs import batches

Draws = tuple[str, str, str]


def lenders(experiment: Experiment, method: str) -> tuple[str, ...]:
    """The methods that train, to their ends, the very trials that a method may start.

    A method that waits for one of them has nothing left to train, so it ends when that one does, and the trainings are paid
    for once. So it is only where both have the same trials: with a budget in seconds or samples, a method with a stopper
    starts more of them, and waiting would only delay it.

    Args:
        experiment: the experiment.
        method: a key of its ``methods``.

    Returns:
        Their names, in the order in which they are best waited for: what is trained in more processes at once is there
        sooner. None of them has the method among its own.
    """
    wanted = draws(experiment, method)
    if (
        wanted is None
        or experiment.reuse is False
        or experiment.model == RECORDED
        or experiment.budget.bound != "trials"
        or experiment.methods[method].workers is not None  # its journal's job gathers; its workers begin when they can
    ):
        return ()
    able = [
        name for name, chosen in experiment.methods.items() if chosen.stop is None and draws(experiment, name) == wanted
    ]
    able.sort(key=lambda name: -_width(experiment, name))
    return tuple(able[: able.index(method)] if method in able else able)


def _width(experiment: Experiment, name: str) -> int:
    """In how many processes at once a method trains."""
    method = experiment.methods[name]
    return method.tasks or method.workers or batches(experiment, name)


def draws(experiment: Experiment, method: str) -> Draws | None:
    """What decides a method's trainings before there are results; None: its results decide as well, or its record."""
    setting = experiment.setting("", method)
    if setting.search is None or setting.search.learns or (setting.record and not setting.calibrates):
        return None
    # Not with sorted keys: the order of the space decides which draw goes to which hyperparameter.
    return training_digest(setting, "", None), setting.search.model_dump_json(), setting.space.model_dump_json()
