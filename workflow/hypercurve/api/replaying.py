"""Replays: methods on recorded curves, from files to tables and a figure. The command `replay` calls this.

What is replayed is an experiment with `model: recorded`: read from a file, or put together from the command line, one for
each file of curves, since accumulation points are those that were recorded.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..config.experiment import Experiment
from ..config.files import parse_yaml, read_mapping
from ..config.hyperparameters import RECORDED
from ..config.rules import Search, Stop
from ..config.setting import Setting
from ..curves.record import Record
from ..curves.table import Curves
from ..execution.replay import Job, Outcome, replays
from ..records.prepare import prepare_record
from ..stopping.registry import STOPPERS
from ..util.errors import UserError
from ..util.files import write_text
from ..util.schema import in_lines

CHUNK = 10
"""Repeats that a process takes at a time."""
COSTS = (0.1, 0.15, 0.3)
"""Shares of full training at which regrets are read off."""


@dataclass(frozen=True)
class Task:
    """Recorded curves, and the experiment that is replayed on them.

    Attributes:
        name: the experiment's name.
        folder: where journals go: ``runs/METHOD/REPEAT/journal.jsonl`` in it.
    """

    name: str
    curves: Curves
    experiment: Experiment
    folder: Path


def methods_from(given: Sequence[str], points: Sequence[float]) -> dict[str, Any]:
    """Methods as an experiment file would have them, from what stands on the command line.

    Args:
        given: the name of a stopper or searcher; ``NAME={search: ..., stop: ...}``; or a file whose `methods` are taken.
        points: the accumulation points; defaults of stoppers that are given by name alone are moved to them.

    Raises:
        UserError: it is none of these.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, form = text.partition("=")
        if equals:
            found[name.strip()] = parse_yaml(form, f"--method {name}")
        elif text in Stop.kinds():
            found[text] = {"search": "random", "stop": moved({text: {}}, points)}
        elif text in Search.kinds():
            found[text] = {"search": text}
        elif Path(text).suffix in (".yaml", ".yml"):
            methods = read_mapping(Path(text)).get("methods")
            if not isinstance(methods, Mapping):
                raise UserError(f"{text}: has no `methods`")
            found |= methods
        else:
            names = ", ".join((*Stop.kinds(), *Search.kinds()))
            raise UserError(
                f"--method {text}: must be one of {names}; NAME={{search: random, stop: ...}}; or a YAML file with `methods`"
            )
    return found


def moved(stop: Mapping[str, Mapping[str, Any]], points: Sequence[float]) -> dict[str, Any]:
    """A stopper whose check points or share are moved to the nearest accumulation points.

    Args:
        stop: its name and options, as in an experiment file.
        points: the accumulation points; if the end is the only one, nothing is moved.
    """
    [(name, options)] = stop.items()
    changes = STOPPERS[name].Options.moved(options, points)
    return {name: {**options, **{key: value for key, value in changes.items() if value}}}


def experiment_for(curves: Curves, points: Sequence[float], **given: Any) -> Experiment:
    """The experiment that replays methods on one table of curves.

    Args:
        points: the accumulation points.
        given: other keys of an experiment file.

    Raises:
        UserError: it does not fit together.
    """
    content = {"model": RECORDED, "training": {"accumulation_points": [*points]}, **given}
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{curves.name}: {in_lines(error)}") from None


def carry_out(
    tasks: Sequence[Task], output: Path, *, processes: int = 1, journals: bool = False, costs: Sequence[float] = COSTS
) -> None:
    """Replay all methods on all tasks and write the tables.

    Args:
        tasks: on what.
        output: folder for `replay.csv`, `costs.csv`, `runs.csv` and `vary.csv`.
        processes: how many at once.
        journals: whether to keep the runs' journals.
        costs: for `costs.csv`.

    Raises:
        UserError: a task has not recorded its objective.
    """
    from ..analysis import replays as tables
    from ..analysis.tables import write

    for task in tasks:
        if not np.isfinite(task.curves.performance(task.experiment.objective.key)).any():
            raise UserError(
                f"{task.curves.name}: objective.metric = {task.experiment.objective.metric}: no training has recorded it"
            )
    plan = [entry for task in tasks for entry in _plan(task, journals)]
    found = _played([job for _, _, job in plan], processes)
    plain = [one for (name, _, _), outcomes in zip(plan, found, strict=True) if not name for one in outcomes]
    varied: dict[tuple[str, str], tuple[str, Mapping[str, Any], list[Outcome]]] = {}
    for (name, values, _), outcomes in zip(plan, found, strict=True):
        if name:
            varied.setdefault((name, str(values)), (name, values, []))[2].extend(outcomes)
    write(tables.runs(plain), output / "runs.csv")
    write(tables.at_costs(plain, costs), output / "costs.csv")
    write(tables.variants(varied.values()), output / "vary.csv")
    write(tables.summary(plain), output / "replay.csv")


def _plan(task: Task, journals: bool) -> Iterator[tuple[str, Mapping[str, Any], Job]]:
    """Name of the entry of `vary` or nothing, the settings that it varies, and a job."""
    experiment = task.experiment
    entries: list[tuple[str, Mapping[str, Any], Setting]] = [
        ("", {}, experiment.setting(task.name, method)) for method in experiment.methods
    ]
    for name in experiment.vary:
        entries += [(name, values, setting) for values, setting in experiment.variants(task.name, name)]
    records: dict[tuple[str, ...], Record | None] = {}
    for name, values, setting in entries:
        # A task that is replayed is no record of itself: so one method serves all tasks, each left out in its turn.
        key = (*setting.record, setting.digest if setting.calibrates else "")
        if key not in records:
            fitting = setting.model_copy(update={"space": task.curves.space})
            found = records[key] = prepare_record(fitting, task.curves)
            if found is not None and found.calibration is not None:
                print(f"{task.name}: {setting.method}: {found.calibration}", file=sys.stderr)
        record = records[key]
        folder = task.folder / "runs" / setting.method if journals and not name else None
        if folder is not None and not (folder / "setting.json").exists():
            write_text(folder / "setting.json", setting.model_dump_json(indent=2) + "\n")
        for first in range(0, experiment.repeats, CHUNK):
            yield (
                name,
                values,
                (setting, task.curves, range(first, min(first + CHUNK, experiment.repeats)), folder, record),
            )


def _played(jobs: Sequence[Job], processes: int) -> list[list[Outcome]]:
    """The outcomes of all jobs, with a line that says how far it is."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    found = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        line = progress.add_task("replays", total=sum(len(repeats) for _, _, repeats, *_ in jobs))
        for outcomes in replays(jobs, processes):
            found.append(outcomes)
            last = outcomes[-1]
            progress.update(line, advance=len(outcomes), description=f"{last.task} {last.method}")
    if not console.is_terminal:
        console.print(f"{sum(map(len, found))} replays done", soft_wrap=True)
    return found
