"""TensorBoard's event files: a folder per trial, with its learning curve as scalars and its hyperparameters for the hparams
plug-in, whose table then compares all trials of all methods and repeats.

Steps are optimizer steps and times those of the journal, so equal journals give equal files.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..events.trials import TrialState
from ..space.domains import Choice, Constant, Domain, Integer
from ..util.errors import UserError
from ..util.files import check_plain
from .runs import ExportedRun

FILE = "events.out.tfevents.0000000000.hypercurve"
"""TensorBoard takes files by the middle of this name; its own writer puts the time and the host into it."""
VERSION = "brain.Event:2"


def write(runs: Sequence[ExportedRun], output: Path) -> int:
    """Write runs to a folder for `tensorboard --logdir`.

    Args:
        runs: what to write.
        output: a folder that does not exist yet, or is empty.

    Returns:
        The number of trials.

    Raises:
        UserError: the folder holds something, or is none.
    """
    check_plain(output, folder=True)
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output}: exists and holds something; name another folder")
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    count = 0
    try:
        _write(temporary / FILE, [_summary(0.0, 0, _columns(runs))])
        for run in runs:
            digits = len(str(max(run.result.trials, default=0)))
            for trial in run.trials():
                folder = temporary.joinpath(*run.name.split("/"), f"trial-{trial.number:0{digits}}")
                _write(folder / FILE, _trial(run, trial))
                count += 1
        if output.exists():
            output.rmdir()
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


def _write(path: Path, events: Sequence[Any]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        records = RecordWriter(file)
        for event in (Event(wall_time=events[0].wall_time, file_version=VERSION), *events):
            records.write(event.SerializeToString())


def _summary(time: float, step: int, summary: Any) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time, step=step, summary=summary)


def _scalar(time: float, step: int, tag: str, value: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return _summary(time, step, Summary(value=[Summary.Value(tag=tag, simple_value=value)]))


def _trial(run: ExportedRun, trial: TrialState) -> list[Any]:
    """All events of a trial: hyperparameters, curve, how it ended."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    result = run.result
    began, ended = run.span(trial)
    given = {"method": result.method, "repeat": result.repeat, **trial.configuration}
    name = f"{run.name}/{trial.number}"
    events = [_summary(began, 0, hparams_pb(given, trial_id=name, start_time_secs=began))]
    events += _hyperparameters(run, trial, began)
    for progress, metrics in trial.curve:
        time, step = run.times.get((trial.number, progress), ended), run.step(trial, progress)
        events += [_scalar(time, step, metric, value) for metric, value in metrics.items()]
    if result.best == trial.number:
        step = run.step(trial, trial.progress)
        events += [_scalar(ended, step, metric, value) for metric, value in result.test.items()]
    return [*events, _summary(ended, 0, _session_end(trial.status, ended))]


def _session_end(status: str, ended: float) -> Any:
    """The plug-in's mark of how a trial ended: unknown is a trial that was stopped, which neither succeeded nor failed.

    The plug-in's own function for it makes a TensorFlow message where there is a TensorFlow, which takes seconds to import.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    known = {"completed": api_pb2.STATUS_SUCCESS, "failed": api_pb2.STATUS_FAILURE}
    info = plugin_data_pb2.SessionEndInfo(status=known.get(status, api_pb2.STATUS_UNKNOWN), end_time_secs=ended)
    data = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=info))
    tag = metadata.SESSION_END_INFO_TAG
    return Summary(value=[Summary.Value(tag=tag, metadata=data, tensor=metadata.NULL_TENSOR)])


def _hyperparameters(run: ExportedRun, trial: TrialState, began: float) -> Iterator[Any]:
    """The hyperparameters of a population's member over its training, as they were set when it copied."""
    if run.setting.population is None:
        return
    for index, stretch in enumerate(trial.history):
        until = trial.history[index + 1].progress if index + 1 < len(trial.history) else trial.progress
        for progress in dict.fromkeys((stretch.progress, until)):
            time = run.times.get((trial.number, progress), began)
            for name in run.setting.space.variables:
                value = stretch.configuration.get(name)
                if isinstance(value, int | float) and not isinstance(value, bool):
                    yield _scalar(time, run.step(trial, progress), f"hyperparameters/{name}", value)


def _columns(runs: Sequence[ExportedRun]) -> Any:
    """The hparams plug-in's columns: all hyperparameters of all runs, and the metrics."""
    from tensorboard.plugins.hparams import summary_v2 as hp

    domains: dict[str, list[Domain]] = {}
    for run in runs:
        for name in run.setting.space.names:
            domains.setdefault(name, []).append(run.setting.space[name])
    columns = [
        hp.HParam("method", hp.Discrete(sorted({run.result.method for run in runs}))),
        hp.HParam("repeat", hp.Discrete(sorted({run.result.repeat for run in runs}))),
        *(hp.HParam(name, _domain(own)) for name, own in domains.items()),
    ]
    names = {metric for run in runs for trial in run.result.trials.values() for _, m in trial.curve for metric in m}
    objectives = {run.setting.objective.key for run in runs}
    metrics = [
        hp.Metric(name, dataset_type=hp.Metric.VALIDATION if name.startswith("val_") else hp.Metric.TRAINING)
        for name in sorted(names, key=lambda name: (name not in objectives, name))
    ]
    began = min((run.span(trial)[0] for run in runs for trial in run.result.trials.values()), default=0.0)
    return hp.hparams_config_pb(columns, metrics, time_created_secs=began)


def _domain(domains: Sequence[Domain]) -> Any:
    """The domains that methods have for a hyperparameter, as one in the plug-in's terms; None where it has none for them."""
    from tensorboard.plugins.hparams import summary_v2 as hp

    values = list(dict.fromkeys(value for domain in domains for value in domain.extremes))
    if all(isinstance(domain, Choice | Constant) for domain in domains):
        return hp.Discrete(values) if len({type(value) for value in values}) == 1 else None
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return None
    if all(isinstance(domain, Integer) for domain in domains):
        return hp.IntInterval(int(min(numbers)), int(max(numbers)))
    return hp.RealInterval(float(min(numbers)), float(max(numbers)))
