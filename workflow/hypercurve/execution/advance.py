"""Training a trial to a point, checking what it reports, and the event that follows; the same for every executor."""

import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from ..config.objective import COST, Bound
from ..config.setting import Setting
from ..events.events import Completed, Event, Failed, Reported
from ..events.lines import EventLine, Wall
from ..runs.failures import NOT_REPORTED
from ..training.trainer import Report, Session, TrialFailed
from ..util.errors import UserError, in_a_line


@dataclass(frozen=True, slots=True)
class ReportCheck:
    """What a report must hold.

    Attributes:
        objective: name of the metric that a completed trial must have.
        always: whether every report must have it: a population ranks its members by it.
        constraints: bounds on metrics, by name.
    """

    objective: str
    always: bool = False
    constraints: Mapping[str, Bound] = field(default_factory=dict)

    @classmethod
    def of(cls, setting: Setting) -> Self:
        """What the reports of a method's trials must hold. (The bound on costs is known before there is a report.)"""
        constraints = {name: bound for name, bound in setting.constraints.items() if name != COST}
        return cls(setting.objective.key, setting.population is not None, constraints)

    def failure(self, report: Report) -> str | None:
        """Why a report fails its trial; None if it does not."""
        for name, value in report.metrics.items():
            if not math.isfinite(value):
                return f"diverged: {name} is {value}"
        for name, bound in self.constraints.items():
            if name in report.metrics:
                if reason := bound.broken(name, report.metrics[name]):
                    return reason
            elif report.progress == 1:
                return f"{NOT_REPORTED}{name}, on which there is a bound; it reported {', '.join(report.metrics)}"
        if (self.always or report.progress == 1) and self.objective not in report.metrics:
            there = ", ".join(report.metrics)
            return f"{NOT_REPORTED}{self.objective}, which is the objective; it reported {there}"
        return None


def advance(
    open_session: Callable[[], Session], trial: int, progress: float, check: ReportCheck, worker: int
) -> tuple[EventLine, Session | None]:
    """Train a trial to a point and check what it reports.

    A metric that is NaN or infinite, or beyond its bound, fails the trial at this point, as does any exception of the user's
    model: none ends the run.

    Args:
        open_session: gives the trial's session, opening it if need be.
        trial: its number.
        progress: the point, in (0, 1].
        check: what reports must hold.
        worker: number of this worker.

    Returns:
        The event with the wall-clock part of its journal line, and the session if it is still of use.
    """
    began = time.perf_counter()
    said: str | None = None
    try:
        session = open_session()
        report = session.advance(progress)
        reason = check.failure(report)
    except UserError:
        raise
    except TrialFailed as failure:
        reason, report, session = failure.reason, failure.report or Report(progress, {}), None
        said = failure.said and _printable(failure.said)
    except (Exception, SystemExit) as error:  # a model may well call sys.exit
        seconds = time.perf_counter() - began
        wall = Wall(seconds, worker=worker, at=time.time(), traceback=_traceback(error))
        return EventLine(Failed(trial, progress, in_a_line(error)), wall), None
    wall = report.wall or Wall(report.seconds, report.overhead, worker, time.time(), report.compiler or None, said)
    if progress == 1 and report.test is not None:
        wall = wall._replace(test={name: value for name, value in report.test.items() if math.isfinite(value)})
    if reason is not None:
        return EventLine(Failed(trial, progress, reason), wall), None
    metrics = {name: float(value) for name, value in report.metrics.items()}
    event: Event = Reported(trial, progress, metrics) if progress < 1 else Completed(trial, metrics)
    return EventLine(event, wall), session


def _printable(text: str) -> str:
    """Text that is UTF-8: names of files may hold lone surrogates."""
    return text.encode(errors="backslashreplace").decode()


def _traceback(error: BaseException) -> str:
    try:
        return _printable("".join(traceback.format_exception(error)))
    except Exception:
        return type(error).__name__
