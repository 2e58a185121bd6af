"""Independent trials as batches, one cluster job each.

Where no trial depends on another, a run's trials are listed once, trained in batches on as many machines as there are,
and their recorded reports then driven through the same executor as any other run: the journal is the one that a single
process would have written.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..config.setting import Setting
from ..events.encoding import differences_of_headers
from ..events.events import Completed, Reported, Start, Started
from ..events.journal import Journal, JournalError, decode
from ..events.lines import EventLine, Tested, Wall
from ..runs.known import Curve, KnownTrainings, networks_beside
from ..runs.run import Run
from ..runs.schedulers import make_searcher
from ..runs.trial import Trial
from ..training.recorded_curves import follow, retrain
from ..training.trainer import Session, Trainer
from ..util.provenance import origin
from .advance import ReportCheck, advance
from .event_loop import Best, check_failures, must_equal

Row = dict[str, Any]
"""A trial of a table: its number and its configuration."""


def trial_table(setting: Setting, repeat: int) -> list[Row]:
    """The configurations of a run whose number of trials is known, but for those that repeat a training."""
    searcher = make_searcher(setting, repeat)
    run = Run(setting, repeat, samples=1, data="")
    table: list[Row] = []
    for number in range(setting.trials or 0):
        configuration = searcher.suggest(number)
        if configuration is None:
            break
        if run.trial_of(number, configuration).first is None:
            table.append({"trial": number, "configuration": configuration})
    return table


def batch_of(table: list[Row], index: int, count: int) -> list[Row]:
    """The trials of one batch: every ``count``-th, so that batches take about equally long."""
    return table[index::count]


def run_batch(
    run: Run, table: Iterable[Row], trainer: Trainer, journal: Journal, number: int, known: KnownTrainings | None = None
) -> None:
    """Train the trials of one batch to their ends, going on where the journal stops, and test the best of them.

    The journal's first line says which batch of what this is; the others are events as in a run's journal, without times
    and decisions, but with configurations. So whoever gathers the batches finds all that the run needs, and trains nothing.

    Args:
        run: the run that the trials belong to; it has not begun.
        table: the batch's rows of the trial table.
        trainer: trains the trials.
        journal: of the batch.
        number: of the batch, and of this worker.
        known: trainings that were recorded earlier, by this batch too.

    Raises:
        Hopeless: its trials fail alike; each batch judges its own.
    """
    header = run.batch_header(number)
    if not journal.lines:
        journal.append(replace(header, wall=Wall(origin=origin())))
    elif differences_of_headers(header, journal.lines[0]):
        raise JournalError(f"{journal.path}:1: belongs to another batch or other settings")
    lines = [decode(raw, f"{journal.path}:{line}") for line, raw in enumerate(journal.lines, start=1)]
    there = {(type(line.event), line.event.trial, line.event.progress) for line in lines if isinstance(line, EventLine)}

    def write(line: EventLine, trial: Trial) -> None:
        if (type(line.event), line.event.trial, line.event.progress) not in there:
            journal.append(line)
        run.failures.take(line.event, trial.configuration, line.wall.traceback)

    objective, best = run.setting.objective, None
    for row in table:
        trial = Trial(row["trial"], row["configuration"], run.setting.seed, run.repeat)
        start = Start(trial.number, row["configuration"])
        write(EventLine(Started(trial.number), Wall(worker=number, at=time.time()), actions=[start]), trial)
        curve: Curve = []
        for line, session in _reports(run, trial, curve, trainer, known, number):
            write(line, trial)
            check_failures(run)
            if isinstance(line.event, Completed):
                value = line.event.metrics[objective.key]
                trained = session is not None and session.progress == 1  # else its end was known
                if session is not None and trained:
                    trainer.keep(trial, session.snapshot, objective.loss(line.event.metrics))
                if best is None or objective.better(value, best[0]):
                    snapshot = session.snapshot() if session is not None and trained else None
                    best = value, Best(trial, curve, line.wall.test, snapshot)
            if session is not None and not isinstance(line.event, Reported):
                session.close()
    if best is not None and not any(isinstance(line, Tested) for line in lines):
        folder = networks_beside(journal.path)
        folder.mkdir(exist_ok=True)
        metrics, wall = best[1].finish(trainer, known, folder, must_equal(run, known))
        journal.append(Tested(best[1].trial.number, metrics, wall))


def _reports(
    run: Run, trial: Trial, curve: Curve, trainer: Trainer, known: KnownTrainings | None, worker: int
) -> Iterator[tuple[EventLine, Session | None]]:
    """What a trial reports until it is over, known or trained for, and its session if it has one; adds to its curve."""
    check = ReportCheck.of(run.setting)
    session: Session | None = None

    def going() -> Session:
        nonlocal session
        if session is None:
            session = retrain(trainer, trial, curve, equal=must_equal(run, known))
        else:
            missed = [point for point in curve if point[0] > session.progress]
            follow(session, trial, missed, equal=must_equal(run, known))
        return session

    for point in run.points_of(run.cost.of(trial.configuration)):
        found = None if known is None else known.report(trial, point)
        if found is not None:
            line = EventLine(found.event, found.wall)
        else:
            line, _ = advance(going, trial.number, point, check, worker, check.told(curve))
        if isinstance(line.event, Reported | Completed):
            curve.append((point, line.event.metrics))
        yield line, session
        if not isinstance(line.event, Reported):
            return
