"""Training a trial to a point, checking what it reports, and the event that follows; the same for every executor."""

import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from ..config.model import counts_epochs
from ..config.objective import COST, Bound
from ..config.setting import Setting
from ..events.events import Completed, Event, Failed, Reported
from ..events.lines import EventLine, Wall
from ..runs.failures import NOT_REPORTED
from ..training.trainer import Report, Session, TrialFailed
from ..util.errors import UserError, in_a_line

LOSSES = ("loss", "val_loss")
"""Metrics that are numbers from the first point on, or the training has diverged."""


@dataclass(frozen=True, slots=True)
class ReportCheck:
    """What a report must hold.

    Attributes:
        objective: name of the metric that a completed trial must have.
        curve: name of the metric that makes up learning curves, by which trials are judged before their ends.
        network: whether networks of ours are trained: one whose loss is no number has diverged, whatever is judged.
        always: whether every report must have it: a population ranks its members by it.
        constraints: bounds on metrics, by name.
    """

    objective: str
    curve: str = "loss"
    network: bool = True
    always: bool = False
    constraints: Mapping[str, Bound] = field(default_factory=dict)

    @classmethod
    def of(cls, setting: Setting) -> Self:
        """What the reports of a method's trials must hold. (The bound on costs is known before there is a report.)"""
        constraints = {name: bound for name, bound in setting.constraints.items() if name != COST}
        network = not counts_epochs(setting.model)
        return cls(setting.objective.key, setting.judged.metric, network, setting.population is not None, constraints)

    def told(self, curve: Iterable[tuple[float, Mapping[str, float]]]) -> bool:
        """Whether a trial with these reports has had a number in its learning curve."""
        return any(self.curve in metrics for _, metrics in curve)

    def failure(self, report: Report, told: bool = False) -> str | None:
        """Why a report fails its trial; None if it does not.

        Of what is no number, only this fails it: the objective at the end; and the learning curve, unless that is NaN, no
        loss, and has had no number yet. A reward, say, is NaN until an episode has ended.

        Args:
            report: what was reported; a metric that is no number is as good as missing.
            told: whether the trial has had a number in its learning curve.
        """
        needed = self.always or report.progress == 1
        for name, value in report.metrics.items():
            if math.isfinite(value):
                continue
            late = math.isnan(value) and not told and name not in LOSSES
            if (name == self.curve and not late) or (name == "loss" and self.network):
                return f"diverged: {name} is {value}"
            if name == self.objective and needed:
                return f"{name}, the objective, is {value}" + " at the end" * (report.progress == 1)
        for name, bound in self.constraints.items():
            value = report.metrics.get(name, math.nan)
            if reason := bound.broken(name, value):
                return reason
            if report.progress == 1 and not math.isfinite(value):
                return f"{NOT_REPORTED}{name}, on which there is a bound; it reported {', '.join(report.metrics)}"
        if needed and self.objective not in report.metrics:
            there = ", ".join(report.metrics)
            return f"{NOT_REPORTED}{self.objective}, which is the objective; it reported {there}"
        return None


def advance(
    open_session: Callable[[], Session],
    trial: int,
    progress: float,
    check: ReportCheck,
    worker: int,
    told: bool = False,
) -> tuple[EventLine, Session | None]:
    """Train a trial to a point and check what it reports.

    What the check says fails the trial at this point, as does any exception of the user's model: none ends the run. Other
    metrics that are NaN or infinite are left out of the report.

    Args:
        open_session: gives the trial's session, opening it if need be.
        trial: its number.
        progress: the point, in (0, 1].
        check: what reports must hold.
        worker: number of this worker.
        told: whether the trial has had a number in its learning curve.

    Returns:
        The event with the wall-clock part of its journal line, and the session if it is still of use.
    """
    began = time.perf_counter()
    said: str | None = None
    try:
        session = open_session()
        report = session.advance(progress)
        reason = check.failure(report, told)
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
    metrics = {name: float(value) for name, value in report.metrics.items() if math.isfinite(value)}
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
