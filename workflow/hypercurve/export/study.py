"""An Optuna storage: a study per run, with its trials as Optuna would have kept them, for optuna-dashboard and others."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ..config.setting import Setting
from ..events.trials import TrialState
from ..space.domains import Choice, Constant, Integer, LogUniform, Uniform
from ..util.errors import UserError
from ..util.files import appearing
from .runs import ExportedRun

DATABASES = (".db", ".sqlite", ".sqlite3")
LOGS = (".log", ".jsonl")


def write(runs: Sequence[ExportedRun], output: Path) -> int:
    """Write runs to a storage of Optuna's, whole or not at all; what is there is replaced.

    Args:
        runs: what to write; each becomes a study called EXPERIMENT/METHOD/REPEAT.
        output: an SQLite file, or a file of Optuna's journal storage, as its suffix says.

    Returns:
        The number of trials.

    Raises:
        UserError: the suffix says neither.
    """
    if output.suffix not in (*DATABASES, *LOGS):
        raise UserError(
            f"{output}: must end in {', '.join(DATABASES)} for SQLite, or {', '.join(LOGS)} for Optuna's journal storage"
        )
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with appearing(output) as temporary:
            storage = _storage(temporary, output.suffix in DATABASES)
            for run in runs:
                _study(run, storage)
            if output.suffix in DATABASES:
                storage.remove_session()
                storage.engine.dispose()
    finally:
        optuna.logging.set_verbosity(verbosity)
    return sum(len(run.result.trials) for run in runs)


def _storage(path: Path, database: bool) -> Any:
    """A new storage."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if database:
        return optuna.storages.RDBStorage(f"sqlite:///{path}")
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def _study(run: ExportedRun, storage: Any) -> None:
    import optuna

    setting = run.setting
    direction: Literal["maximize", "minimize"] = "maximize" if setting.objective.mode == "max" else "minimize"
    study = optuna.create_study(storage=storage, study_name=run.name, direction=direction)
    watched = _watched(run)
    attributes: dict[str, Any] = {
        "description": f"hypercurve: {run.name}",
        "objective": setting.objective.key,
        "intermediate values": f"{watched} by optimizer step",
        "constants": {n: d.constant for n in setting.space.names if isinstance(d := setting.space[n], Constant)},
        "setting": run.result.setting,
        "data": run.result.data,
        **({"test": dict(run.result.test), "chosen trial": run.result.best} if run.result.test else {}),
    }
    for name, value in attributes.items():
        study.set_user_attr(name, value)
    distributions = {n: d for n in setting.space.names if (d := _distribution(setting, n)) is not None}
    study.add_trials([_trial(run, trial, distributions, watched) for trial in run.trials()])


def _watched(run: ExportedRun) -> str:
    """The metric that a trial's curve shows: the objective, if every report has it, else what is judged, or the loss."""
    curves = [metrics for trial in run.result.trials.values() for _, metrics in trial.curve]
    wanted = (run.setting.objective.key, run.setting.judged.metric)
    return next((key for key in wanted if all(key in metrics for metrics in curves)), "loss")


def _distribution(setting: Setting, name: str) -> Any:
    """A domain in Optuna's terms; None for a constant."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match setting.space[name]:
        case Uniform(uniform=(low, high)):
            return FloatDistribution(float(low), float(high))
        case LogUniform(log_uniform=(low, high)):
            return FloatDistribution(float(low), float(high), log=True)
        case Integer(integer=(low, high), log=log):
            return IntDistribution(low, high, log=log)
        case Choice(choice=values):
            return CategoricalDistribution(values)
        case _:
            return None


def _trial(run: ExportedRun, trial: TrialState, distributions: dict[str, Any], watched: str) -> Any:
    from optuna.trial import TrialState, create_trial

    states = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    own = {name: distribution for name, distribution in distributions.items() if name in trial.configuration}
    attributes = {"progress": trial.progress, "seconds": trial.seconds, "cost": trial.cost}
    made = create_trial(
        state=states[trial.status],
        value=trial.performance(run.setting.objective.key) if trial.status == "completed" else None,
        params={name: trial.configuration[name] for name in own},
        distributions=own,
        user_attrs=attributes | ({"reason": trial.reason} if trial.reason else {}),
        intermediate_values={
            run.step(trial, progress): metrics[watched] for progress, metrics in trial.curve if watched in metrics
        },
    )
    began, ended = run.span(trial)
    made.datetime_start, made.datetime_complete = datetime.fromtimestamp(began), datetime.fromtimestamp(ended)
    return made
