"""A journal driven again: every report in it is trained for anew, in its order, and compared.

Unlike carrying out the run once more, this works for every order of reports and every budget, those in seconds too: what the
clock decided is taken from the journal, all else must come out equal.
"""

from collections.abc import Sequence

from ..events.encoding import RawLine
from ..events.events import Completed, Failed, Started, Stop
from ..events.journal import JournalError, check_line, decode
from ..events.lines import BatchHeader, Ended, EventLine, Line, RunHeader, Tested
from ..runs.run import Run
from ..training.trainer import Session, Snapshot, Trainer
from .advance import ReportCheck, advance

_WHY = "training again (with other libraries? on another kind of machine?) led"


def rerun_journal(run: Run, trainer: Trainer, lines: Sequence[RawLine], source: str) -> float:
    """Train a run of independent trials again, as its journal says.

    Args:
        run: a new run.
        trainer: trains the trials.
        lines: a complete journal that follows from the run's setting (:meth:`hypercurve.runs.run.Run.fold`).
        source: the journal's name, for messages.

    Returns:
        Seconds of computing, summed over reports.

    Raises:
        JournalError: an event came out different.
    """
    seconds = 0.0
    check = ReportCheck.of(run.setting)
    sessions: dict[int, Session] = {}
    best: Snapshot | None = None
    for number, raw in enumerate(lines, start=1):
        where = f"{source}:{number}"
        again: Line
        match line := decode(raw, where):
            case RunHeader():
                again = run.start(line.wall)
            case Ended():
                again = run.end(line.reason, line.wall)
            case Tested():
                if run.best is None or best is None:
                    raise JournalError(f"{where}: tests a trial, but none was chosen")
                again = run.test(trainer.test(run.trial(run.best.number), best), line.wall)
            case EventLine(Started()):
                again = run.step(line.event, line.wall)
            case EventLine(recorded):
                trial = recorded.trial
                due = run.due_of(trial)
                if due is None:
                    raise JournalError(f"{where}: trial {trial} is not going")

                def session(trial: int = trial) -> Session:
                    if trial not in sessions:
                        sessions[trial] = trainer.open(run.trial(trial))
                    return sessions[trial]

                told = check.told(run.trials[trial].curve)
                (event, spent, *_), _ = advance(session, trial, due.progress, check, 0, told)
                seconds += spent.seconds or 0.0
                again = run.step(event, line.wall)
                if isinstance(event, Completed) and run.best is not None and run.best.number == trial:
                    best = sessions[trial].snapshot()
                over = [trial] if isinstance(event, Completed | Failed) else []
                for gone in over + [action.trial for action in run.actions if isinstance(action, Stop)]:
                    sessions.pop(gone, None)
            case BatchHeader():
                raise JournalError(f"{where}: is a batch, not a run")
        check_line(again, raw, where, _WHY)
    return seconds
