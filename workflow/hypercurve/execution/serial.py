"""The serial executor: one process carries out a run in virtual-time order.

With a trainer that trains, this is a search; with one that plays recorded curves (:mod:`hypercurve.training.recorded`),
it is a replay. Trials that are going at once (``slots``) are open sessions that take turns.
"""

import time
from collections.abc import Callable

from ..journal import Journal
from ..run import Run
from ..scheduling import Completed, Started
from ..training.base import Session, Snapshot, Trainer
from .judging import advance

Watch = Callable[[Run], None]


def execute(run: Run, trainer: Trainer, journal: Journal, *, worker: int = 0, watch: Watch = lambda _: None) -> None:
    """Carry a run to its end, going on from whatever its journal already holds.

    Args:
        run: a new run; the journal's lines are folded into it first.
        trainer: trains the trials.
        journal: where every event is written before its actions take effect.
        worker: number of this worker, for the journal's ``wall``.
        watch: called after every event, for progress displays.
    """
    run.fold(journal.lines, str(journal.path))
    if not journal.lines:
        journal.append(run.begin({"at": time.time()}))
    sessions: dict[int, Session] = {}
    best: tuple[int, Snapshot] | None = None

    while run.ended is None:
        due = run.due()
        if due is None:
            journal.append(run.end("finished", {"at": time.time()}))
            break
        samples = run.setting.budget.kind == "samples"
        if samples and not run.budget_left(due):
            journal.append(run.end("samples", {"at": time.time()}))
            break
        if due.progress == 0:
            journal.append(run.step(Started(due.trial), {"worker": worker, "at": time.time()}))
            continue
        event, wall, session = advance(
            lambda number=due.trial: _session(run, trainer, sessions, number),  # type: ignore[misc]
            due.trial,
            due.progress,
            run.setting.objective.key,
            worker,
        )
        if not run.budget_left(due, wall["seconds"]):
            journal.append(run.end("seconds", {"at": time.time()}))
            break
        journal.append(run.step(event, wall))
        if (
            isinstance(event, Completed)
            and run.best is not None
            and run.best.number == due.trial
            and session is not None
        ):
            best = (due.trial, session.snapshot())
        if run.trials[due.trial].status != "running":
            sessions.pop(due.trial, None)
        watch(run)

    if run.best is not None and run.tested is None:
        trial = run.trial(run.best.number)
        if best is None or best[0] != trial.number:  # chosen before the last resume: train it again, from its seed
            session = trainer.open(trial)
            for point in run.setting.training.accumulation_points:
                session.advance(point)
            best = (trial.number, session.snapshot())
        journal.append(run.test(trainer.test(trial, best[1]), {"at": time.time()}))
    watch(run)


def _session(run: Run, trainer: Trainer, sessions: dict[int, Session], number: int) -> Session:
    """The trial's session; after a resume it is trained again to where its journal stands."""
    if number not in sessions:
        session = trainer.open(run.trial(number))
        for point, _ in run.trials[number].curve:
            session.advance(point)
        sessions[number] = session
    return sessions[number]
