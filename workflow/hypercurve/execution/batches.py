"""Independent trials as batches, one cluster job each.

Where no trial depends on another, a run's trials are listed once, trained in batches on as many machines as there are,
and their recorded reports then driven through the same executor as any other run: the journal is the one that a single
process would have written.
"""

import time
from collections.abc import Iterable, Iterator

from ..config.experiment import Setting
from ..events.encoding import encode_event
from ..events.events import Completed, Event, Failed, Reported
from ..events.journal import Journal, JournalError, Line, without_wall
from ..runs.known import Curve, KnownTrainings, networks_beside
from ..runs.run import Run
from ..runs.searchers import make_searcher
from ..runs.trial import Trial
from ..training.recorded_curves import train_again
from ..training.trainer import Session, Trainer
from ..util.provenance import origin
from .advance import Judge, Wall, advance
from .event_loop import Best, must_equal

OVER = ("completed", "failed")


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
    run: Run,
    table: Iterable[Line],
    trainer: Trainer,
    journal: Journal,
    number: int,
    known: KnownTrainings | None = None,
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
    """
    header = {**run.identity("batch"), "batch": number}
    if not journal.lines:
        journal.append({**header, "wall": {"origin": origin()}})
    elif without_wall(journal.lines[0]) != header:
        raise JournalError(f"{journal.path}:1: belongs to another batch or other settings")
    objective, over = run.setting.objective, {line["trial"] for line in journal.lines if line["event"] in OVER}
    best: tuple[float, Best] | None = None
    for row in table:
        trial = Trial(row["trial"], row["configuration"], run.setting.seed, run.repeat)
        write = journal.append if trial.number not in over else lambda _: None
        begun = {"worker": number, "at": time.time()}
        write({"event": "started", "trial": trial.number, "configuration": row["configuration"], "wall": begun})
        curve: Curve = []
        for event, wall, session in _reports(run, trial, curve, trainer, known, number):
            write({**encode_event(event), "wall": wall})
            if isinstance(event, Completed):
                value = event.metrics[objective.key]
                if best is None or objective.better(value, best[0]):
                    snapshot = None if session is None else session.snapshot()
                    best = value, Best(trial, curve, wall.get("test"), snapshot)
                    if snapshot is not None:
                        trainer.keep(trial, snapshot)
            if session is not None and not isinstance(event, Reported):
                session.close()
    if best is not None and not any(line["event"] == "tested" for line in journal.lines):
        _, found = best
        folder = networks_beside(journal.path)
        folder.mkdir(exist_ok=True)
        metrics, wall = found.finish(trainer, known, folder, must_equal(run, known))
        journal.append({"event": "tested", "trial": found.trial.number, "metrics": dict(metrics), "wall": wall})


def _reports(
    run: Run, trial: Trial, curve: Curve, trainer: Trainer, known: KnownTrainings | None, worker: int
) -> Iterator[tuple[Event, Wall, Session | None]]:
    """What a trial reports until it is over, known or trained for, and its session if it has one; adds to its curve."""
    judge = Judge.of(run.setting)
    session: Session | None = None

    def going() -> Session:
        return session or train_again(trainer, trial, curve, equal=must_equal(run, known))

    for point in run.points:
        found = None if known is None else known.report(trial, point)
        if found is not None:
            event, wall = found.event, dict(found.wall)
        else:
            event, wall, session = advance(going, trial.number, point, judge, worker)
        if not isinstance(event, Failed):
            curve.append((point, event.metrics))  # type: ignore[union-attr]
        yield event, wall, session
        if not isinstance(event, Reported):
            return
