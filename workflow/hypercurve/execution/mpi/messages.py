"""What the messages of a search look like: fixed layouts, and JSON for what has none.

A report is 56 bytes, and a message holds any number of them. Failures with their tracebacks, and reports with metrics or
readings of another kind, travel as JSON instead.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from struct import Struct

from ...events.encoding import decode_line, encode_line
from ...events.events import Completed, Event, Reported
from ...events.lines import EventLine, Tested, Wall
from ...space.search_space import Configuration

Curve = Sequence[tuple[float, Mapping[str, float]]]
"""Points and metrics, as a trial's state has them."""

# Trial, number of the point, seconds, overhead, at; loss, val_loss, val_accuracy, each NaN if it was not reported: a report
# that holds a NaN itself has failed, and travels as JSON.
_REPORT = Struct("<ii6d")
_GO = Struct("<iid")  # trial, points that it may train to, virtual time of its start
_RELEASE = Struct("<i?")  # trial, whether it is the best so far
_nan = math.nan


def pack_report(point: int, line: EventLine) -> bytes | None:
    """A report in the fixed layout, or None if it has no place there.

    Args:
        point: number of the point in the run, from 0.
        line: a report, completion or failure. The worker is the sender.
    """
    event, (seconds, overhead, _, at, *others), *_ = line
    if seconds is None or overhead is None or at is None or any(other is not None for other in others):
        return None
    if not isinstance(event, Reported | Completed):
        return None
    metrics = event.metrics
    get = metrics.get
    loss, val_loss, val_accuracy = get("loss", _nan), get("val_loss", _nan), get("val_accuracy", _nan)
    if len(metrics) != (loss == loss) + (val_loss == val_loss) + (val_accuracy == val_accuracy):
        return None
    return _REPORT.pack(event.trial, point, seconds, overhead, at, loss, val_loss, val_accuracy)


def unpack_reports(message: bytes | bytearray, points: tuple[float, ...], worker: int) -> Iterator[EventLine]:
    """The reports of a message, as :func:`pack_report` made them.

    Args:
        message: any number of reports.
        points: the run's.
        worker: the sender.
    """
    last = len(points) - 1
    for trial, point, seconds, overhead, at, loss, val_loss, val_accuracy in _REPORT.iter_unpack(message):
        metrics = {} if loss != loss else {"loss": loss}
        if val_loss == val_loss:
            metrics["val_loss"] = val_loss
        if val_accuracy == val_accuracy:
            metrics["val_accuracy"] = val_accuracy
        event: Event = Completed(trial, metrics) if point == last else Reported(trial, points[point], metrics)
        yield EventLine(event, Wall(seconds, overhead, worker, at))


def pack_detail(line: EventLine) -> bytes:
    """A report as JSON."""
    return json.dumps(encode_line(line)).encode()


def unpack_detail(message: bytes | bytearray) -> EventLine:
    """A report, as :func:`pack_detail` made it."""
    line = decode_line(json.loads(message))
    assert isinstance(line, EventLine)
    return line


def pack_start(
    trial: int,
    configuration: Configuration,
    curve: Curve,
    limit: int,
    started: float,
    processors: Collection[str | None] | None = None,
    first: int | None = None,
) -> bytes:
    """A trial to train; see :meth:`Worker.start`. Its configuration, its curve and what trained that are JSON."""
    trained = None if processors is None else list(processors)
    return _GO.pack(trial, limit, started) + json.dumps([configuration, curve, trained, first]).encode()


def unpack_start(
    message: bytes | bytearray,
) -> tuple[int, Configuration, Curve, int, float, Collection[str | None] | None, int | None]:
    """What :func:`pack_start` was given."""
    trial, limit, started = _GO.unpack_from(message)
    configuration, curve, processors, first = json.loads(message[_GO.size :])
    return trial, configuration, curve, limit, started, processors, first


def pack_go(trial: int, limit: int, started: float) -> bytes:
    """How far a trial may go; see :meth:`Worker.go`."""
    return _GO.pack(trial, limit, started)


def unpack_go(message: bytes | bytearray) -> tuple[int, int, float]:
    """What :func:`pack_go` was given."""
    trial, limit, started = _GO.unpack(message)
    return trial, limit, started


def pack_release(trial: int, best: bool) -> bytes:
    """A trial that is over; see :meth:`Worker.release`."""
    return _RELEASE.pack(trial, best)


def unpack_release(message: bytes | bytearray) -> tuple[int, bool]:
    """What :func:`pack_release` was given."""
    trial, best = _RELEASE.unpack(message)
    return trial, best


def pack_test(trial: int, reported: Mapping[str, float] | None, folder: Path) -> bytes:
    """A trial to test; see :meth:`Worker.test`."""
    return json.dumps([trial, None if reported is None else dict(reported), str(folder)]).encode()


def unpack_test(message: bytes | bytearray) -> tuple[int, Mapping[str, float] | None, Path]:
    """What :func:`pack_test` was given."""
    trial, reported, folder = json.loads(message)
    return trial, reported, Path(folder)


def pack_tested(line: Tested) -> bytes:
    """What a test gave."""
    return json.dumps(encode_line(line)).encode()


def unpack_tested(message: bytes | bytearray) -> Tested:
    """What :func:`pack_tested` was given."""
    line = decode_line(json.loads(message))
    assert isinstance(line, Tested)
    return line
