"""Independent trials as batches, one cluster job each.

Where no trial depends on another, a run's trials are listed once, trained in batches on as many machines as there are,
and their recorded reports then driven through the same executor as any other run: the journal is the one that a single
process would have written.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from ..config.experiment import Setting
from ..events.encoding import encode_event
from ..events.journal import Journal, JournalError, Line, read_lines, without_wall
from ..runs.schedulers import make_searcher
from ..runs.trial import Trial
from ..training.trainer import Session, Trainer
from ..util.provenance import origin
from .advance import Judge, advance


def trial_table(setting: Setting, repeat: int) -> list[Line]:
    """The configurations of a run whose number of trials is known."""
    searcher = make_searcher(setting, repeat)
    table: list[Line] = []
    for number in range(setting.trials or 0):
        configuration = searcher.suggest(number)
        if configuration is None:
            break
        table.append({"trial": number, "configuration": configuration})
    return table


def batch_of(table: list[Line], index: int, count: int) -> list[Line]:
    """The trials of one batch: every ``count``-th, so that batches take about equally long."""
    return table[index::count]


def run_batch(
    setting: Setting,
    repeat: int,
    table: Iterable[Line],
    trainer: Trainer,
    journal: Journal,
    worker: int,
    model: str | None = None,
) -> None:
    """Train the trials of one batch to their ends, going on where the journal stops.

    The journal's first line says which batch of what this is; the others are events as in a run's journal, without times
    and decisions. Where the user's own code is trained, `model` is its digest.
    """
    header: Line = {"event": "batch", "setting": setting.digest, "repeat": repeat, "batch": worker}
    if model is not None:
        header["model"] = model
    if not journal.lines:
        journal.append({**header, "wall": {"origin": origin()}})
    elif without_wall(journal.lines[0]) != header:
        raise JournalError(f"{journal.path}:1: belongs to another batch or other settings")
    judge = Judge.of(setting)
    over = {line["trial"] for line in journal.lines[1:] if line["event"] in ("completed", "failed")}
    for row in table:
        if row["trial"] in over:
            continue
        trial = Trial(row["trial"], row["configuration"], setting.seed, repeat)
        journal.append({"event": "started", "trial": trial.number, "wall": {"worker": worker, "at": time.time()}})
        opened: list[Session] = []

        def session(trial: Trial = trial, opened: list[Session] = opened) -> Session:
            if not opened:
                opened.append(trainer.open(trial))
            return opened[0]

        for point in setting.training.accumulation_points:
            event, wall, going = advance(session, trial.number, point, judge, worker)
            journal.append({**encode_event(event), "wall": wall})
            if going is None:
                break


def read_batches(setting: Setting, repeat: int, paths: Iterable[Path]) -> list[Line]:
    """The events of all batches of a run.

    Raises:
        JournalError: a file is damaged or belongs to other settings.
    """
    events: list[Line] = []
    for path in paths:
        lines, _ = read_lines(path)
        first = lines[0] if lines else {}
        if (first.get("event"), first.get("setting"), first.get("repeat")) != ("batch", setting.digest, repeat):
            raise JournalError(f"{path}:1: is no batch of {setting.experiment}/{setting.method}/{repeat} as it is now")
        events += lines[1:]
    return events
