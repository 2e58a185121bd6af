"""A journal driven again: every report in it is trained for anew, in its order, and compared.

Unlike carrying out the run once more, this works for every order of reports and every budget, those in seconds too: what the
clock decided is taken from the journal, all else must come out equal.
"""

from collections.abc import Sequence

from ..events.events import Completed, Failed, Started, Stop
from ..events.journal import JournalError, Line, check_line
from ..runs.run import Run
from ..training.trainer import Session, Snapshot, Trainer
from .advance import Judge, advance

_WHY = "training again (with other libraries? on another kind of machine?) led"


def drive_again(run: Run, trainer: Trainer, lines: Sequence[Line], source: str) -> None:
    """Train a run of independent trials again, as its journal says.

    Args:
        run: a new run.
        trainer: trains the trials.
        lines: a complete journal that follows from the run's setting (:meth:`hypercurve.runs.run.Run.fold`).
        source: the journal's name, for messages.

    Raises:
        JournalError: an event came out different.
    """
    judge = Judge.of(run.setting)
    sessions: dict[int, Session] = {}
    best: Snapshot | None = None
    for number, line in enumerate(lines, start=1):
        wall = line.get("wall")
        match line["event"]:
            case "run":
                again = run.begin(wall)
            case "ended":
                again = run.end(line["reason"], wall)
            case "tested":
                if run.best is None or best is None:
                    raise JournalError(f"{source}:{number}: tests a trial, but none was chosen")
                again = run.test(trainer.test(run.trial(run.best.number), best), wall)
            case "started":
                again = run.step(Started(line["trial"]), wall)
            case _:
                trial = int(line["trial"])
                due = run.due_of(trial)
                if due is None:
                    raise JournalError(f"{source}:{number}: trial {trial} is not going")

                def session(trial: int = trial) -> Session:
                    if trial not in sessions:
                        sessions[trial] = trainer.open(run.trial(trial))
                    return sessions[trial]

                event, _, _ = advance(session, trial, due.progress, judge, 0)
                again = run.step(event, wall)
                if isinstance(event, Completed) and run.best is not None and run.best.number == trial:
                    best = sessions[trial].snapshot()
                over = [trial] if isinstance(event, Completed | Failed) else []
                for gone in over + [action.trial for action in run.actions if isinstance(action, Stop)]:
                    sessions.pop(gone, None)
        check_line(again, line, f"{source}:{number}", _WHY)
