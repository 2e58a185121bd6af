"""States of trials in flight on the disk: one file per trial, which appears whole, tells damage, and holds no pickles.

::

    hypercurve state 1                    what it is
    SHA-256 of all that follows
    {"identity": ..., "weights": ..., ...}    in one line
    weights, then slots                   raw float32

When states are saved, and what becomes of them, is left to :mod:`hypercurve.training.saving`.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..util.files import appearing
from .trainer import Report, Snapshot

MAGIC = b"hypercurve state 1\n"


@dataclass(frozen=True, slots=True)
class SavedState:
    """How far a trial is.

    Attributes:
        identity: what its training depends on; a state of another one is of no use.
        snapshot: of its session.
        share: share of the training done, in [0, 1]: later than the snapshot's `progress`, which is that of a report.
        seconds: trained since that report.
        reports: all reports so far.
    """

    identity: str
    snapshot: Snapshot
    share: float
    seconds: float
    reports: tuple[Report, ...]


def write_state(path: Path, state: SavedState) -> None:
    """Write a state in place of an older one.

    It is not forced to the disk: that takes several times as long, so states would be saved less often. A machine that fails
    may leave a damaged file, which is noticed.

    Raises:
        UserError: it cannot be written.
    """
    snapshot = state.snapshot
    described = {
        "identity": state.identity,
        "progress": snapshot.progress,
        "step": snapshot.step,
        "weights": len(snapshot.weights),
        "slots": len(snapshot.slots),
        "share": state.share,
        "seconds": state.seconds,
        "reports": [
            [
                report.progress,
                {name: float(value) for name, value in report.metrics.items()},
                report.seconds,
                report.overhead,
                report.compiler,
                None,
                None if report.test is None else {name: float(value) for name, value in report.test.items()},
            ]
            for report in state.reports
        ],
    }
    parts: list[bytes | memoryview] = [
        json.dumps(described).encode() + b"\n",
        *(
            np.ascontiguousarray(vector).view(np.uint8).data
            for vector in (snapshot.weights, snapshot.slots)
            if len(vector)
        ),
    ]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with appearing(path) as temporary, temporary.open("wb") as file:
        file.write(MAGIC + digest.hexdigest().encode() + b"\n")
        for part in parts:
            file.write(part)


def read_state(path: Path, identity: str, trial: int | None) -> SavedState | None:
    """A trial's state; None if there is none. One that is damaged or of another training is passed over, which is said.

    Args:
        path: the file.
        identity: of the training that is to go on.
        trial: its number, for messages; None: nothing is said.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return _none(path, trial, f"cannot be read ({error.strerror})")
    start = len(MAGIC) + 65
    if raw[: len(MAGIC)] != MAGIC or raw[len(MAGIC) : start] != _digest(memoryview(raw)[start:]):
        return _none(path, trial, "is damaged")
    end = raw.index(b"\n", start) + 1
    described: Mapping[str, Any] = json.loads(raw[start:end])
    if described["identity"] != identity:
        return _none(path, trial, "is of another training")
    numbers = np.frombuffer(raw, np.uint8)[end:].view(np.float32)
    weights = described["weights"]
    return SavedState(
        identity,
        Snapshot(described["progress"], described["step"], numbers[:weights], numbers[weights:]),
        described["share"],
        described["seconds"],
        tuple(Report(*report) for report in described["reports"]),
    )


def _digest(content: memoryview) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n"


def _none(path: Path, trial: int | None, why: str) -> SavedState | None:
    if trial is not None:
        print(f"warning: trial {trial}: its saved state {why}: {path}; it is not used", file=sys.stderr, flush=True)
    return None
