"""The processes that a training starts: which there are, what memory they took, and whether they end when it is stopped.

Programs and what they start are known by a mark in their environment (:mod:`hypercurve.training.guardian`), processes that
were forked by their parent. Where there is no /proc, as on macOS, none is seen.
"""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..training.guardian import VARIABLE, marked

PROC = Path("/proc")


@contextmanager
def marking() -> Iterator[str]:
    """Whatever is started in here carries a mark, which this gives."""
    before = os.environ.get(VARIABLE)
    mark = f"hypercurve-try-{os.getpid()}"
    os.environ[VARIABLE] = f"{before or ''} {mark}".strip()
    try:
        yield mark
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def started(mark: str) -> set[int]:
    """The processes that carry a mark, and our own children; none that has ended."""
    return ({*marked({mark})} | {*_children()}) - {os.getpid()}


def _children() -> Iterator[int]:
    for path in PROC.glob("[0-9]*/stat"):
        try:
            state, parent, *_ = path.read_text(errors="replace").rpartition(")")[2].split()
        except (OSError, ValueError):  # it has ended
            continue
        if int(parent) == os.getpid() and state not in "ZX":
            yield int(path.parent.name)


def own_peak() -> int:
    """The most memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def peak_of(processes: set[int]) -> int:
    """The most memory that each of these processes has had, in bytes, summed; 0 where that is not known.

    What `getrusage` says of children is of no use: it counts what a child shares with us before it becomes a program.
    """
    total = 0
    for process in processes:
        try:
            lines = (PROC / str(process) / "status").read_text(errors="replace").splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return total
