"""Reading recorded learning curves: CSV tables, our own runs' journals, and prepared tables.

A CSV file (or one compressed with gzip) has one row per configuration and step: ``config_id``, the hyperparameters,
``step``, then the metrics, lower is better. The rules for what such files leave open:

- The learning curve, and the performance at its end, is one metric: the one asked for, else the first whose name begins with
  ``val``, else the first that is not ``seconds``. If the same name with ``test`` in place of ``val...`` exists, that is the
  performance on the test set. ``seconds`` are the computing seconds since the start of the training.
- A training is as long as its own last step. Trainings of different lengths are compared at equal shares of their own
  lengths. Step 0 is before the training, so it is left out, as are configurations that have no other step.
- Empty cells, ``nan`` and ``inf`` are no values. From the step on after which no value comes, the training has diverged: it
  fails there, and what it cost up to there is paid. Other cells without a value were missed: the value before holds on.
- Of equal configurations, the first one counts.

Journals hold all of that as it was: failed trials failed where they did, of stopped ones the rest is not known. They are
kept, but not played. Members of populations are left out, since their hyperparameters change on the way.
"""

import csv
import gzip
import math
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..config.consistency import COLUMNS
from ..config.cost import CostModel
from ..config.data import CSV
from ..config.files import read_setting
from ..config.hyperparameters import RECORDED
from ..config.model import Trained
from ..config.setting import Setting
from ..curves.cost import TrialCost
from ..curves.prepared import PREPARED, RecordingError, load_curves
from ..curves.table import Curve, Curves, key_of
from ..events.trials import TrialState
from ..results.runs import RunResult, read_run
from ..space.domains import LARGEST_INTEGER
from ..space.search_space import Configuration, Space, Value

LOG_FROM = 100.0
"""Positive numbers of which the largest is at least so many times the smallest are taken to be searched on a log scale."""
ASCENDING = re.compile(r"accura|auc|auroc|score|reward|(?<![a-z])(val|valid|test|train)?(acc|f1)(?![a-z])")
"""Names of metrics of which more is usually better, in lower case; unless they are also :data:`DESCENDING`."""
DESCENDING = re.compile(r"err|loss|regret|neg|minus")


def read_curves(path: Path, metric: str | None = None) -> Curves:
    """The recorded curves in a CSV file, a run's journal, a folder of runs, or a prepared table.

    Args:
        path: ``*.csv``, ``*.csv.gz``, ``journal.jsonl``; a folder ``results/EXPERIMENT``, ``.../runs/METHOD`` or
            ``.../runs/METHOD/REPEAT``, whose runs are put together; or a folder with a prepared table.
        metric: of a CSV file, the metric that is the learning curve.

    Raises:
        UserError: there is nothing there, or it is damaged.
    """
    if metric is not None and not path.name.endswith(CSV):
        raise RecordingError(f"{path}: {metric!r} would name a column of a CSV file, which this is not: leave it out")
    if path.is_dir():
        curves = load_curves(path) if (path / PREPARED).exists() else _runs(path)
    elif path.name.endswith(CSV):
        curves = _table(path, metric)
    elif path.name.endswith(".jsonl"):
        curves = _put_together(_name_of(path), [path])
    elif not path.exists():
        raise RecordingError(f"{path}: there is no such file or folder")
    else:
        raise RecordingError(
            f"{path}: recorded curves are a .csv or .csv.gz file, a journal.jsonl, or a folder of runs"
        )
    if not any(curve.outcome == "completed" for curve in curves.curves):
        raise RecordingError(f"{path}: holds no training that was recorded to its end")
    return curves


# CSV

MOST_COLUMNS = 1000
LONGEST_LINE = 1 << 20


def _table(path: Path, metric: str | None) -> Curves:
    names, rows = _rows(path)
    if "step" not in names:
        raise RecordingError(f"{path}:1: has no column `step`; hyperparameters stand before it, metrics after it")
    at = names.index("step")
    identified = names[0] == "config_id"
    hyperparameters = names[int(identified) : at]
    metrics = {name: column for column, name in enumerate(names) if column > at}
    if not hyperparameters:
        raise RecordingError(f"{path}:1: has no hyperparameters: they are the columns before `step`, after `config_id`")
    if taken := [name for name in hyperparameters if name in COLUMNS]:
        raise RecordingError(
            f"{path}:1: {taken[0]} is the name of a column of results; give the hyperparameter another"
        )
    chosen = _metric(path, metrics, metric)
    if ASCENDING.search(chosen.lower()) and not DESCENDING.search(chosen.lower()):
        print(f"{path}: {chosen} is taken as lower is better; if it is not, store its negative", file=sys.stderr)
    test = _test_of(chosen, metrics)
    found: dict[tuple[str, ...], list[tuple[int, int, list[str]]]] = {}
    for line, row in rows:
        if len(row) != len(names):
            raise RecordingError(f"{path}:{line}: has {len(row)} cells where the first line has {len(names)}")
        step = _step(row[at])
        if step is None:
            raise RecordingError(f"{path}:{line}: step = {row[at][:60]!r}: must be a whole number of at least 0")
        found.setdefault(tuple(row[: 1 if identified else at]), []).append((step, line, row))
    if not found:
        raise RecordingError(f"{path}: holds no rows")
    values = _columns(path, hyperparameters, int(identified), found.values())
    configurations, curves, seen = [], [], set()
    for number, steps in enumerate(found.values()):
        configuration = {name: column[number] for name, column in values.items()}
        steps.sort(key=lambda entry: entry[0])
        for (step, _, _), (again, line, _) in pairwise(steps):
            if step == again:
                raise RecordingError(f"{path}:{line}: step {step} of this configuration is there twice")
        steps = [entry for entry in steps if entry[0] > 0]
        if not steps or key_of(configuration) in seen:
            continue
        seen.add(key_of(configuration))
        configurations.append(configuration)
        curves.append(
            _curve(path, steps, metrics[chosen], metrics.get("seconds"), None if test is None else metrics[test])
        )
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    try:
        space = space_of(configurations)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecordingError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return Curves(name, space, tuple(configurations), tuple(curves))


def _rows(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    reader = csv.reader(_lines(path))

    def rows() -> Iterator[tuple[int, list[str]]]:
        try:
            yield from ((reader.line_num, row) for row in reader if row)
        except csv.Error as error:
            raise RecordingError(f"{path}:{reader.line_num}: is no row of a table: {error}") from None

    _, names = next(rows(), (1, []))
    if len(names) > MOST_COLUMNS:
        raise RecordingError(f"{path}:1: has {len(names)} columns, so it is no table of curves; at most {MOST_COLUMNS}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise RecordingError(f"{path}:1: there are two columns {twice[0]}")
    return names, rows()


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file, plain or packed, one by one: a small file may unpack to a huge one."""
    number = 0
    try:
        if path.exists() and not path.is_file():  # a device or pipe, which may never end
            raise RecordingError(f"{path}: is not a file")
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise RecordingError(
                        f"{path}:{number}: has more than {LONGEST_LINE} characters: no row of a table has"
                    )
                if "\0" in line:
                    raise RecordingError(f"{path}:{number}: holds a zero byte, so it is no text")
                yield line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RecordingError(f"{path}: is damaged: {error}") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None


def _metric(path: Path, metrics: Mapping[str, int], asked: str | None) -> str:
    if asked is not None:
        if asked not in metrics:
            raise RecordingError(f"{path}: has no metric {asked!r}; it has {', '.join([*metrics][:20])}")
        return asked
    validation = [name for name in metrics if name.startswith("val")]
    others = [name for name in metrics if name != "seconds"]
    if not others:
        raise RecordingError(f"{path}:1: there is no metric after the column `step`")
    return (validation or others)[0]


def _test_of(metric: str, metrics: Mapping[str, int]) -> str | None:
    first, _, rest = metric.partition("_")
    name = f"test_{rest}"
    return name if first.startswith("val") and name in metrics else None


def _step(text: str) -> int | None:
    value = _number(text)
    return int(value) if value is not None and value >= 0 and value == int(value) else None


def _number(text: str) -> float | None:
    """A finite number; None for an empty cell, `nan` and `inf`.

    Raises:
        ValueError: it is something else.
    """
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _columns(
    path: Path, names: Sequence[str], first: int, found: Iterable[Sequence[tuple[int, int, list[str]]]]
) -> dict[str, list[Value]]:
    """The hyperparameters' values by name, one for each configuration, each column of one kind."""
    columns: dict[str, list[str]] = {name: [] for name in names}
    for steps in found:
        _, _, begun = steps[0]
        for _, line, row in steps:
            if row[first : first + len(names)] != begun[first : first + len(names)]:
                raise RecordingError(f"{path}:{line}: other hyperparameters than in the configuration's first row")
        for name, text in zip(names, begun[first:], strict=False):
            columns[name].append(text)
    return {name: _typed(texts) for name, texts in columns.items()}


def _typed(texts: Sequence[str]) -> list[Value]:
    numbers = [_number(text) for text in texts]
    if any(number is None for number in numbers):
        return list(texts)
    if all(text.strip().lstrip("+-").isdigit() for text in texts):
        whole = [int(text) for text in texts]
        if max(map(abs, whole)) <= LARGEST_INTEGER:
            return [*whole]
    return [float(text) for text in texts]


def _curve(
    path: Path, steps: Sequence[tuple[int, int, list[str]]], metric: int, clock: int | None, test: int | None
) -> Curve:
    values = []
    for _, line, row in steps:
        if (value := _number(row[metric])) is None and row[metric].strip().lower().lstrip("+-") not in (
            "",
            "nan",
            "inf",
            "infinity",
        ):
            raise RecordingError(f"{path}:{line}: {row[metric][:60]!r} is not a number")
        values.append(value)
    total = steps[-1][0]
    cost = TrialCost(steps=total, batch_size=1, step_seconds=1.0)
    end = max((i + 1 for i, value in enumerate(values) if value is not None), default=0)
    known = [value for value in values[:end] if value is not None]
    held, last = [], known[0] if known else 0.0
    for value in values[:end]:
        last = last if value is None else value
        held.append(last)
    shares = tuple(step / total for step, _, _ in steps[:end])
    reports: list[dict[str, float]] = [{"loss": value, "val_loss": value} for value in held]
    if end == len(values) and test is not None and (tested := _number(steps[-1][2][test])) is not None:
        reports[-1]["test_loss"] = tested
    seconds = _seconds([None if clock is None else _number(row[clock]) for _, _, row in steps[:end]])
    if end == len(values):
        return Curve(shares, tuple(reports), seconds, cost)
    return Curve(shares, tuple(reports), seconds, cost, "failed", steps[end][0] / total, "diverged: loss is nan")


def _seconds(clock: Sequence[float | None]) -> tuple[float, ...]:
    """Seconds between points from seconds since the start; 0 where there is no telling."""
    found, last = [], 0.0
    for value in clock:
        now = last if value is None else max(last, value)
        found.append(now - last)
        last = now
    return tuple(found)


def space_of(configurations: Sequence[Configuration]) -> Space:
    """The smallest space that holds the configurations.

    Numbers lie between the least and the greatest that there are; on a log scale if all are positive and the greatest is at
    least :data:`LOG_FROM` times the least. Text is a choice; what never changes is a constant.
    """
    domains: dict[str, Any] = {}
    for name in configurations[0] if configurations else ():
        values = [configuration[name] for configuration in configurations]
        distinct = list(dict.fromkeys(values))
        if len(distinct) == 1:
            domains[name] = distinct[0]
        elif any(isinstance(value, str) for value in values):
            domains[name] = {"choice": distinct}
        else:
            low, high = min(values), max(values)
            log = float(low) > 0 and float(high) / float(low) >= LOG_FROM
            if isinstance(low, int) and isinstance(high, int):
                domains[name] = {"integer": [low, high], "log": log}
            else:
                domains[name] = {"log_uniform" if log else "uniform": [low, high]}
    return Space.model_validate(domains)


# Journals


def journals_in(folder: Path) -> list[Path]:
    """The journals of a run's, a method's or an experiment's folder, by method and repeat."""
    return sorted(
        folder.rglob("journal.jsonl"),
        key=lambda path: (path.parent.parent.name, path.parent.name.zfill(9)),
    )


def _runs(folder: Path) -> Curves:
    journals = journals_in(folder)
    if not journals:
        raise RecordingError(f"{folder}: holds no journal.jsonl of a run")
    return _put_together(_name_of(folder), journals)


def _name_of(path: Path) -> str:
    """What the curves of a journal or folder are called: experiment, method and repeat as far as the path says."""
    folder = path.parent if path.suffix == ".jsonl" else path
    parts = folder.resolve().parts
    if "runs" in parts[1:]:
        at = len(parts) - 1 - parts[::-1].index("runs")
        return "-".join((parts[at - 1], *parts[at + 1 :]))
    return folder.resolve().name


def _put_together(name: str, journals: Sequence[Path]) -> Curves:
    """All trials of the runs, each configuration once: completed if it ever did, else failed, else as far as it got."""
    rank = {"completed": 0, "failed": 1, "stopped": 2}
    found: dict[tuple[tuple[str, Any], ...], tuple[Configuration, Curve]] = {}
    space: dict[str, Any] = {}
    samples: int | None = None
    model: tuple[Trained, str] | None = None
    for journal in journals:
        setting = read_setting(journal.parent.parent / "setting.json")
        if setting.population is not None:
            continue
        if setting.model == RECORDED:
            played = setting.data.curves if setting.data else None
            raise RecordingError(f"{journal}: is a replay; name the curves that it plays: {played}")
        run = read_run(journal)
        if model is not None and (setting.model, run.data) != model:
            raise RecordingError(f"{journal}: is of another network or other data than {journals[0]}; name one of them")
        model, samples = (setting.model, run.data), run.samples
        for key, domain in setting.space.root.items():
            # A method's own constant says less than the domain that the others searched.
            if key not in space or (domain.extremes != space[key].extremes and len(domain.extremes) > 1):
                space[key] = domain
        for configuration, curve in _trials(run, setting, journal):
            before = found.get(key_of(configuration))
            if before is None or rank[curve.outcome] < rank[before[1].outcome]:
                found[key_of(configuration)] = (configuration, curve)
    try:
        whole = Space.model_validate(space)
    except ValidationError:
        raise RecordingError(f"{name}: the methods' spaces do not fit together; name one method's folder") from None
    configurations, curves = (tuple(part) for part in zip(*found.values(), strict=True)) if found else ((), ())
    return Curves(name, whole, configurations, curves, samples or 1)


def _trials(run: RunResult, setting: Setting, journal: Path) -> Iterator[tuple[Configuration, Curve]]:
    if run.samples is None:
        raise RecordingError(f"{journal}:1: does not say how many samples were trained on")
    costs = CostModel(setting.model, setting.cost, run.samples)
    seconds: dict[int, list[float]] = {}
    for event in run.events:
        seconds.setdefault(event.trial, []).append(event.seconds)
    for trial in sorted(run.trials.values(), key=lambda trial: trial.number):
        configuration = dict(trial.configuration)
        yield configuration, _of(trial, tuple(seconds.get(trial.number, ())), costs.of(configuration))


def _of(trial: TrialState, seconds: tuple[float, ...], cost: TrialCost) -> Curve:
    shares = tuple(progress for progress, _ in trial.curve)
    reports = tuple(metrics for _, metrics in trial.curve)
    seconds = seconds[: len(shares)]
    if trial.status == "failed":
        return Curve(shares, reports, seconds, cost, "failed", trial.progress, trial.reason or "")
    return Curve(shares, reports, seconds, cost, "completed" if trial.status == "completed" else "stopped")
