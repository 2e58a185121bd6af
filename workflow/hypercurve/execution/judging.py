"""From what a session does to the event it means; the same for every executor."""

import math
import re
import time
import traceback
from collections.abc import Callable
from typing import Any

from ..errors import UserError
from ..scheduling import Completed, Event, Failed, Reported
from ..training.base import Report, Session, TrialFailed

Wall = dict[str, Any]


def advance(
    open_session: Callable[[], Session], trial: int, progress: float, objective: str, worker: int
) -> tuple[Event, Wall, Session | None]:
    """Train a trial to a point and judge the outcome.

    A loss that is NaN or infinite fails the trial at this point, as does any exception of the user's model: neither ends
    the run.

    Args:
        open_session: gives the trial's session, opening it if need be.
        trial: its number.
        progress: the point, in (0, 1].
        objective: name of the metric that a completed trial must have.
        worker: number of this worker.

    Returns:
        The event, the wall-clock part of its journal line, and the session if it is still of use.
    """
    began = time.perf_counter()
    try:
        session = open_session()
        report = session.advance(progress)
        reason = _diverged(report, objective)
    except UserError:
        raise
    except TrialFailed as failure:
        reason, report, session = failure.reason, failure.report or Report(progress, {}), None
    except (Exception, SystemExit) as error:  # a model may well call sys.exit
        wall = {
            "seconds": time.perf_counter() - began,
            "worker": worker,
            "at": time.time(),
            "traceback": _traceback(error),
        }
        return Failed(trial, progress, _in_a_line(error)), wall, None
    if report.wall is not None:
        wall = dict(report.wall)
    else:
        wall = {"seconds": report.seconds, "overhead": report.overhead, "worker": worker, "at": time.time()}
    if reason is not None:
        return Failed(trial, progress, reason), wall, None
    metrics = {name: float(value) for name, value in report.metrics.items()}
    if progress < 1:
        return Reported(trial, progress, metrics), wall, session
    return Completed(trial, metrics), wall, session


def _diverged(report: Report, objective: str) -> str | None:
    for name, value in report.metrics.items():
        if not math.isfinite(value):
            return f"diverged: {name} is {value}"
    if report.progress == 1 and objective not in report.metrics:
        return f"the trainer reported no {objective}, which is the objective"
    return None


def _printable(text: str) -> str:
    """Text that is UTF-8: names of files may hold lone surrogates."""
    return text.encode(errors="backslashreplace").decode()


def _traceback(error: BaseException) -> str:
    try:
        return _printable("".join(traceback.format_exception(error)))
    except Exception:
        return type(error).__name__


def _in_a_line(error: BaseException) -> str:
    try:
        text = _printable(str(error)).strip().splitlines()
    except Exception:  # an error that cannot even be told
        text = []
    # Addresses differ from run to run, and equal runs have equal journals.
    text = [re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x...", line) for line in text[:1]]
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
