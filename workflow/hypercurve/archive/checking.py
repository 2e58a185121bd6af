"""Results held to their journals: journals are decided anew, tables are made again and compared. No trained code is run."""

import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

from ..analysis import lineage, schedules_export, schedules_gain, tables
from ..analysis.traits import traits
from ..config.code_files import rule_modules
from ..config.experiment import Experiment
from ..config.files import read_resolved, read_setting
from ..config.hyperparameters import RECORDED
from ..config.setting import Setting
from ..curves.record import PREPARED, Record, load_record
from ..events.encoding import RawLine
from ..events.journal import JournalError, decode_header, each_line
from ..results.runs import RunResult, read_run, write_trials
from ..runs.run import Run as RunState
from ..util.errors import UserError
from ..util.user_code import imports
from .contents import File, Run, payload_digest

TOLERANCE = 1e-9
"""Relative difference up to which numbers of a table count as equal: other versions of libraries sum in another order."""
LARGEST_EXPERIMENT = 10_000_000


@dataclass
class Results:
    """What stands in a results folder.

    Attributes:
        experiment: None if it could not be read.
        runs: every run's record that could be read.
        journals: the same runs' lines.
        records: by method, what its runs learned from, for methods that have a record.
        payload: digest of the payload; None where a run is missing or damaged.
        data: digest of the data that all runs were trained on; None where they differ.
        unchecked: searchers and stoppers of the user's own that decided runs and were not imported to check it.
        problems: what is wrong, each in a line that begins with the file.
    """

    experiment: Experiment | None = None
    runs: dict[Run, RunResult] = field(default_factory=dict)
    journals: dict[Run, list[RawLine]] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    payload: str | None = None
    data: str | None = None
    unchecked: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def check(folder: Path, name: str) -> Results:
    """Check an experiment's results: settings, journals, tables.

    Args:
        folder: the results, as the workflow leaves them.
        name: the experiment's name.
    """
    results = Results()
    path = folder / "experiment.json"
    try:
        if path.exists() and path.stat().st_size > LARGEST_EXPERIMENT:
            raise UserError(f"{path}: is larger than {LARGEST_EXPERIMENT} bytes, so it is no experiment")
        experiment = read_resolved(path)
    except UserError as error:
        results.problems.append(_below(folder, error))
        return results
    results.experiment = experiment
    if experiment.model == RECORDED:  # its journals follow from the curves, which are not among the results
        assert experiment.data is not None, "checked with the experiment"
        said = f"experiment.json: plays the curves in {experiment.data.curves}: archive those, a replay takes seconds"
        results.problems.append(said)
        return results
    for method in experiment.methods:
        own = folder / "runs" / method
        setting = experiment.setting(name, method)
        try:
            if read_setting(own / "setting.json").digest != setting.digest:
                results.problems.append(f"runs/{method}/setting.json: differs from what experiment.json says of it")
            if setting.record:
                results.records[method] = load_record(own / PREPARED)
        except UserError as error:
            results.problems.append(_below(folder, error))
        known = imports() or not rule_modules(setting)
        if not known:
            results.unchecked |= {
                part.kind for part in (setting.search, setting.stop) if part is not None and part.is_own
            }
        for repeat in range(experiment.repeats):
            try:
                path = own / str(repeat) / "journal.jsonl"
                record = results.records.get(method)
                lines = check_journal(path, setting, repeat, record) if known else list(each_line(path))
                results.runs[method, repeat] = read_run(path)
                results.journals[method, repeat] = lines
            except UserError as error:
                results.problems.append(_below(folder, error))
            except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
                results.problems.append(f"runs/{method}/{repeat}/journal.jsonl: is not what a run writes ({error!r})")
    data = {run.data for run in results.runs.values()}
    if len(data) > 1:
        results.problems.append(f"runs: were trained on different data: {', '.join(sorted(data))}")
    elif data:
        (results.data,) = data
    if len(results.runs) == len(experiment.methods) * experiment.repeats:
        results.payload = payload_digest(experiment, results.journals)
        results.problems += check_retrainings(folder, experiment, name, results.runs)
        results.problems += check_tables(folder, experiment, name, results.runs)
    return results


def check_retrainings(folder: Path, experiment: Experiment, name: str, runs: dict[Run, RunResult]) -> Iterator[str]:
    """Hold the retrainings of an experiment with `retrain` to what the runs found."""
    for (method, repeat), run in runs.items() if experiment.retrain else ():
        if run.best is None:
            continue
        own = f"schedules/{method}/{repeat}"
        try:
            setting = schedules_export.retraining(run, experiment.setting(name, method), experiment.retrain)
            if read_setting(folder / own / "retraining.json").digest != setting.digest:
                yield f"{own}/retraining.json: differs from what follows from the run's journal"
            check_journal(folder / own / "retrained.jsonl", setting, 0)
            again = read_run(folder / own / "retrained.jsonl")
            if again.model != run.model:
                yield f"{own}/retrained.jsonl: was trained with other code of the user's than the run"
            if again.data != run.data:
                yield f"{own}/retrained.jsonl: was trained on other data than the run"
        except UserError as error:
            yield _below(folder, error)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            yield f"{own}/retrained.jsonl: is not what a run writes ({error!r})"


def check_journal(path: Path, setting: Setting, repeat: int, record: Record | None = None) -> list[RawLine]:
    """A complete journal's lines, every one decided anew.

    Raises:
        JournalError: it is missing, damaged or not complete, or a line does not follow from the setting.
    """
    lines: list[RawLine] = []
    try:
        rest = each_line(path)
        first = next(rest, None)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from None
    if first is None:
        raise JournalError(f"{path}: is empty")
    header = decode_header(first, f"{path}:1")
    samples = header.samples
    if not isinstance(samples, int) or isinstance(samples, bool) or not (setting.data is not None) <= samples < 1 << 40:
        raise JournalError(f"{path}:1: samples = {samples!r} is no size of a training part")
    try:
        run = RunState(
            setting,
            repeat,
            samples=samples,
            data=header.data,
            record=record,
            model=header.model,
            rules=header.rules,
        )
    except (ValueError, MemoryError) as error:
        raise JournalError(f"{path}:1: does not fit its setting: {error}") from None

    def taken() -> Iterator[RawLine]:
        """Line by line, so that a journal which makes no sense is not held in memory to its end."""
        for line in chain([first], rest):
            lines.append(line)
            yield line

    run.fold(taken(), str(path))
    if not run.complete:
        raise JournalError(f"{path}: its run has not ended")
    return lines


def table_files(experiment: Experiment) -> Iterator[str]:
    """The tables that belong to an experiment's results, below its folder."""
    yield "comparison.csv"
    if experiment.budget.at:
        yield "budgets.csv"
    if "traits" in (experiment.figures or ()):
        yield "traits.csv"
    if experiment.retrain:
        yield "schedule.csv"
    for method, options in experiment.methods.items():
        for repeat in range(experiment.repeats):
            names = ["trials"] if options.population is None else ["trials", "members", "schedule", "lineage"]
            yield from (f"runs/{method}/{repeat}/{name}.csv" for name in names)


def check_tables(folder: Path, experiment: Experiment, name: str, runs: dict[Run, RunResult]) -> Iterator[str]:
    """Make every table again from the journals and say which differ from what is there."""
    ordered = {method: [runs[method, repeat] for repeat in range(experiment.repeats)] for method in experiment.methods}
    whole: dict[str, Callable[[Path], None]] = {
        "comparison": lambda path: tables.write(tables.comparison(experiment, ordered), path),
        "budgets": lambda path: tables.write(tables.at_budgets(experiment, ordered), path),
        "traits": lambda path: tables.write(traits(experiment, ordered), path),
        "schedule": lambda path: tables.write(schedules_gain.of_experiment(experiment, ordered, folder), path),
    }
    with TemporaryDirectory() as temporary:
        again = Path(temporary) / "again.csv"
        for file in table_files(experiment):
            path = folder / file
            if not path.is_file():
                yield f"{file}: is missing"
                continue
            try:
                if path.parent == folder:
                    whole[path.stem](again)
                else:
                    method, repeat = path.parts[-3], int(path.parts[-2])
                    _write_own(path.stem, runs[method, repeat], experiment.setting(name, method), again)
                difference = compare_tables(path, again)
            except (UserError, KeyError, ValueError, IndexError, ZeroDivisionError) as error:
                difference = f"cannot be made again from the journals: {error}"
            if difference:
                yield f"{file}: {difference}"


def _write_own(kind: str, run: RunResult, setting: Setting, path: Path) -> None:
    """Write a table of one run."""
    if kind == "trials":
        write_trials(run, setting, path)
    else:
        make = {"members": lineage.members, "schedule": lineage.schedule, "lineage": lineage.lineage}[kind]
        tables.write(make(run, setting), path)


def compare_tables(path: Path, again: Path) -> str | None:
    """How a table differs from the one made again; None if it does not."""
    try:
        with path.open(encoding="utf-8", newline="") as file, again.open(encoding="utf-8", newline="") as other:
            new: int | None = None
            for number, (one, two) in enumerate(zip_longest(csv.reader(file), csv.reader(other)), start=1):
                if one is None or two is None:
                    return f"has {'fewer' if one is None else 'more'} rows than follow from the journals"
                if number == 1 and "reason" in two and "reason" not in one:  # older tables do not say it
                    new = two.index("reason")
                if new is not None:
                    del two[new]
                if len(one) != len(two):
                    return f"row {number} has {len(one)} cells in place of {len(two)}"
                for cell, expected in zip(one, two, strict=True):
                    if not _same(cell, expected):
                        return f"row {number} says {cell[:60]!r} where {expected[:60]!r} follows from the journals"
    except (csv.Error, UnicodeDecodeError) as error:
        return f"is no table: {error}"
    return None


def _same(cell: str, expected: str) -> bool:
    if cell == expected:
        return True
    try:
        return math.isclose(float(cell), float(expected), rel_tol=TOLERANCE, abs_tol=1e-12)
    except ValueError:
        return False


def data_digest(manifest: Path) -> str:
    """The digest of prepared data, from its manifest.

    Raises:
        UserError: the manifest cannot be read.
    """
    from ..training.data import digest_of

    try:
        return digest_of(json.loads(manifest.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{manifest}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{manifest}: is no manifest of prepared data") from None


def function_file(manifest: Path) -> File | None:
    """The file whose function gave the data, as their manifest says; None: they are of no function, or it does not say."""
    try:
        return File.model_validate(json.loads(manifest.read_text(encoding="utf-8"))["function"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _below(folder: Path, error: UserError) -> str:
    return str(error).replace(f"{folder}/", "")
