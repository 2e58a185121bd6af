"""Independent trials as batches, one cluster job each.

Where no trial depends on another, a run's trials are listed once, trained in batches on as many machines as there are,
and their recorded reports then driven through the same executor as any other run: the journal is the one that a single
process would have written.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..config.setting import Setting
from ..events.encoding import RawLine, encode_line, without_wall
from ..events.events import Completed, Failed, Started
from ..events.journal import Journal, JournalError, decode, read_lines
from ..events.lines import BatchHeader, EventLine, Wall
from ..runs.searchers import make_searcher
from ..runs.trial import Trial
from ..training.trainer import Session, Trainer
from ..util.provenance import origin
from .advance import ReportCheck, advance

Row = dict[str, Any]
"""A trial of a table: its number and its configuration."""


def trial_table(setting: Setting, repeat: int) -> list[Row]:
    """The configurations of a run whose number of trials is known."""
    searcher = make_searcher(setting, repeat)
    table: list[Row] = []
    for number in range(setting.trials or 0):
        configuration = searcher.suggest(number)
        if configuration is None:
            break
        table.append({"trial": number, "configuration": configuration})
    return table


def batch_of(table: list[Row], index: int, count: int) -> list[Row]:
    """The trials of one batch: every ``count``-th, so that batches take about equally long."""
    return table[index::count]


def run_batch(
    setting: Setting,
    repeat: int,
    table: Iterable[Row],
    trainer: Trainer,
    journal: Journal,
    worker: int,
    model: str | None = None,
) -> None:
    """Train the trials of one batch to their ends, going on where the journal stops.

    The journal's first line says which batch of what this is; the others are events as in a run's journal, without times
    and decisions. Where the user's own code is trained, `model` is its digest.
    """
    header = BatchHeader(setting.digest, repeat, worker, model, Wall(origin=origin()))
    if not journal.lines:
        journal.append(header)
    elif without_wall(journal.lines[0]) != without_wall(encode_line(header)):
        raise JournalError(f"{journal.path}:1: belongs to another batch or other settings")
    check = ReportCheck.of(setting)
    over = {
        line.event.trial for line in _events(journal.path, journal.lines) if isinstance(line.event, Completed | Failed)
    }
    for row in table:
        if row["trial"] in over:
            continue
        trial = Trial(row["trial"], row["configuration"], setting.seed, repeat)
        journal.append(EventLine(Started(trial.number), Wall(worker=worker, at=time.time())))
        opened: list[Session] = []

        def session(trial: Trial = trial, opened: list[Session] = opened) -> Session:
            if not opened:
                opened.append(trainer.open(trial))
            return opened[0]

        for point in setting.training.accumulation_points:
            line, going = advance(session, trial.number, point, check, worker)
            journal.append(line)
            if going is None:
                break


def read_batches(setting: Setting, repeat: int, paths: Iterable[Path]) -> list[EventLine]:
    """The events of all batches of a run.

    Raises:
        JournalError: a file is damaged or belongs to other settings.
    """
    events: list[EventLine] = []
    for path in paths:
        lines, _ = read_lines(path)
        first = decode(lines[0], f"{path}:1") if lines else None
        if not isinstance(first, BatchHeader) or (first.setting, first.repeat) != (setting.digest, repeat):
            raise JournalError(f"{path}:1: is no batch of {setting.experiment}/{setting.method}/{repeat} as it is now")
        events += _events(path, lines)
    return events


def _events(path: Path, lines: Sequence[RawLine]) -> Iterator[EventLine]:
    """What a batch's journal holds after its first line."""
    for number, raw in enumerate(lines[1:], start=2):
        line = decode(raw, f"{path}:{number}")
        if not isinstance(line, EventLine):
            raise JournalError(f"{path}:{number}: is no line of a batch")
        yield line
