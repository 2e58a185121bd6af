"""Preparing a record: earlier experiments, read from files and put into the coding of the space that is searched now."""

import math
import shutil
import sys
import tarfile
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..config.data import CSV
from ..config.files import read_setting
from ..config.objective import TRAINING_LOSS, JudgedCurve
from ..config.setting import Setting
from ..curves.prepared import PREPARED
from ..curves.record import Record, RecordError, Task
from ..curves.table import Curve, Curves
from ..space.domains import Choice
from ..space.search_space import Configuration, Space
from ..util.errors import UserError
from ..util.files import LARGEST
from .calibration import calibrated
from .curve_files import journals_in, read_curves

FEWEST = 10
"""A task with fewer usable trainings says too little."""


def prepare_record(setting: Setting, played: Curves | None = None) -> Record | None:
    """The record that a method's runs start from: its paths, one task each; None if it has none.

    Args:
        setting: of the method; of CSV files, its ``data.metric`` is read.
        played: of a replay, what it plays. Those trainings are no part of its record, whatever file they are in: the record
            would know how they end. What is left out is told on standard error.

    Raises:
        RecordError: a task's space does not fit, and the message says which key differs; nothing is left of the record; or
            the method's regret budget cannot be kept.
        UserError: a file cannot be read.
    """
    space, objective = setting.space, setting.objective
    tasks, tables = [], []
    unfit: dict[str, str] = {}  # why a regret budget cannot be calibrated on a task
    for path in setting.record:
        curves, searches = _curves(Path(path), setting.data.metric if setting.data else None)
        if played is not None:
            others = curves.taken(_others(curves, played))
            if same := len(curves) - len(others):
                rest = "" if len(others) >= FEWEST else f"; the {len(others)} others are too few"
                print(
                    f"{path}: as a record for {played.name}, without {same} of {len(curves)} trainings, which are played"
                    + rest,
                    file=sys.stderr,
                )
                if len(others) < FEWEST:
                    continue
            curves = others
        tasks.append(task_of(curves, space, objective.key, objective.mode, path, setting.judged))
        if chosen := [search for search in map(_chosen_by, searches) if search]:
            unfit[path] = f"trials are chosen by {chosen[0]}, and no random sample"
        else:
            whole = searches and all(search.stop is None for search in searches)
            # Without a stopper, what was stopped is what was going when the budget was spent.
            tables.append(inside(curves.playable() if whole else curves, space))
    if setting.record and not tasks:
        raise RecordError(
            f"{', '.join(setting.record)}: cannot be a record for {setting.method}: nothing is left without the trainings "
            "that are played"
        )
    if not tasks:
        return None
    return Record(space.variables, tuple(tasks), calibrated(setting, tables, unfit) if setting.calibrates else None)


def _chosen_by(setting: Setting) -> str:
    """What has chosen the trials of an earlier method by more than chance; empty if nothing has."""
    if setting.search is not None and not setting.search.rule.sample:
        return f"the searcher {setting.search.kind}"
    return "a record" if setting.record and not setting.calibrates else ""


def inside(curves: Curves, space: Space) -> Curves:
    """The trainings that a space could draw."""
    return curves.taken(
        [row for row, configuration in enumerate(curves.configurations) if not _coded(space, configuration)[1]]
    )


def _others(curves: Curves, played: Curves) -> list[int]:
    """The rows of a table that are not among the trainings that are played."""
    names = played.space.variables  # constants need not be told in both
    by_values = {
        tuple(configuration.get(name) for name in names): curve
        for configuration, curve in zip(played.configurations, played.curves, strict=True)
    }
    found = []
    for row, configuration in enumerate(curves.configurations):
        other = by_values.get(tuple(configuration.get(name) for name in names))
        if other is None or not _same(curves.curves[row], other):
            found.append(row)
    return found


def _same(one: Curve, other: Curve) -> bool:
    """Whether two curves of one configuration are of one training: with the same end, if known, and equal common losses."""
    if "stopped" not in (one.outcome, other.outcome) and (one.outcome, one.failed_at) != (
        other.outcome,
        other.failed_at,
    ):
        return False
    losses = [
        {round(s, 9): report["loss"] for s, report in zip(c.shares, c.reports, strict=True)} for c in (one, other)
    ]
    common = losses[0].keys() & losses[1].keys()
    if not common:  # stopped before it said anything, or both failed there
        return not one.shares
    return all(math.isclose(losses[0][share], losses[1][share], rel_tol=1e-6, abs_tol=1e-12) for share in common)


def _curves(path: Path, metric: str | None) -> tuple[Curves, list[Setting]]:
    """What a file, a folder or an archive of an experiment's results holds, and the settings of the methods in it."""
    if not path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return read_curves(path, metric if path.name.endswith(CSV) else None), _settings(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path) as archive:
                wanted = [m for m in archive if m.isfile() and Path(m.name).name in ("journal.jsonl", "setting.json")]
                if sum(member.size for member in wanted) > LARGEST:
                    raise RecordError(f"{path}: its journals are larger than {LARGEST} bytes")
                for member in wanted:
                    _extract(archive, member, Path(folder).resolve())
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise RecordError(f"{path}: cannot be read: {error}") from None
        try:
            named = replace(read_curves(Path(folder)), name=path.name.partition(".")[0])
            return named, _settings(Path(folder))
        except UserError as error:
            raise RecordError(f"{path}: {str(error).replace(f'{folder}/', '').replace(folder, str(path))}") from None


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a plain file of an archive, within a folder. (`extractall` is safe from Python 3.11.4 on.)"""
    target, content = (folder / member.name).resolve(), archive.extractfile(member)
    if not target.is_relative_to(folder):
        raise tarfile.ExtractError(f"{member.name[:200]!r} would lie outside of it")
    target.parent.mkdir(parents=True, exist_ok=True)
    assert content is not None
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)


def _settings(path: Path) -> list[Setting]:
    """Of the methods whose journals are read from a path: populations are not."""
    journals = [path] if path.suffix == ".jsonl" else journals_in(path) if path.is_dir() else []
    if path.is_dir() and (path / PREPARED).exists():
        journals = []
    found = {journal.parent.parent: read_setting(journal.parent.parent / "setting.json") for journal in journals}
    return [setting for setting in found.values() if setting.population is None]


def task_of(
    curves: Curves, space: Space, objective: str, mode: str, source: str, judged: JudgedCurve = TRAINING_LOSS
) -> Task:
    """A recorded task in the coding of a space.

    Hyperparameters are mapped by name. A number beyond its domain counts as the domain's end, since an earlier experiment
    may have searched a somewhat wider range; trainings with a choice that the space lacks are left out.

    Args:
        curves: the recorded trainings.
        space: the space that is searched now.
        objective: the metric by which completed trainings are ordered; the loss where it was not recorded.
        mode: whether a larger one is better (``max``) or a smaller one (``min``).
        source: what the task is called in messages.
        judged: the learning curve that stoppers compare.

    Raises:
        RecordError: the spaces differ; the message says in which key.
    """
    for name in space.variables:
        if name not in curves.space:
            raise RecordError(f"{source}: cannot be a record: it has no hyperparameter {name}, which the space varies")
    for name in curves.space.variables:
        if name not in space:
            raise RecordError(f"{source}: cannot be a record: it varies {name}, which the space does not have")
        if name not in space.variables:
            raise RecordError(f"{source}: cannot be a record: it varies {name}, which is {space[name]} in the space")
    rows, coded, outside = [], [], dict.fromkeys(space.variables, 0)
    for row, configuration in enumerate(curves.configurations):
        point, beyond = _coded(space, configuration)
        for name in beyond:
            outside[name] += 1
        if point is not None:
            rows.append(row)
            coded.append(point)
    for name, count in outside.items():
        if 2 * count > len(curves):
            raise RecordError(
                f"{source}: cannot be a record: {count} of {len(curves)} values of {name} are outside {space[name]}"
            )
    if len(rows) < FEWEST:
        raise RecordError(
            f"{source}: cannot be a record: it has {len(rows)} usable trainings; at least {FEWEST} are needed"
        )
    chosen = curves.taken(rows)
    losses = chosen.losses(chosen.points, judged.loss)
    completed = np.array([curve.outcome == "completed" for curve in chosen.curves])
    performance = chosen.performance(objective) * (-1.0 if mode == "max" else 1.0)
    if not np.isfinite(performance[completed]).all():
        performance = losses[:, -1]
    order = np.full(len(rows), -1, np.int64)
    done = np.flatnonzero(completed)
    order[done[np.argsort(performance[done], kind="stable")]] = np.arange(len(done))
    return Task(
        curves.name,
        np.array(coded),
        np.array(chosen.points),
        losses,
        np.array([curve.outcome == "failed" for curve in chosen.curves]),
        order,
    )


def _coded(space: Space, configuration: Configuration) -> tuple[list[float] | None, list[str]]:
    """A configuration's point in the unit cube, None if it has no place there; and which values are outside."""
    point, beyond, possible = [], [], True
    for name in space.variables:
        domain, value = space[name], configuration.get(name)
        if value is None:
            point.append(np.nan)
        elif domain.contains(value):
            point.append(domain.encode(value))
        else:
            beyond.append(name)
            if isinstance(domain, Choice) or isinstance(value, str | bool):
                possible = False
            else:
                low, high = min(domain.extremes), max(domain.extremes)
                point.append(domain.encode(min(max(value, low), high)))
    return (point if possible else None), beyond
