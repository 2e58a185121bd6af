"""A small process that ends the programs of another when that one dies, however it dies.

It is told over a pipe which process groups there are. When the pipe closes, since the other has ended or was killed, it
kills those that are left and removes their folder. Started by :mod:`hypercurve.training.program` as a program of its own,
with the standard library alone; it imports nothing of this package.

A daemon leaves its group, its session and its parent, but keeps the environment that it was given. So every program has a
mark of its own in a variable, and whoever still carries it after the program's end is killed. Where there is no /proc,
nobody is found in this way.

Lines: ``+GROUP MARK`` a program has started; ``-GROUP GRACE [PROCESS ...]`` it is to end: SIGTERM now, SIGKILL after
so many seconds, and these are stopped and go on; ``=GROUP`` it has ended.
"""

import os
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

VARIABLE = "HYPERCURVE_PROGRAM"
"""Holds a program's mark; those of the programs that hypercurve itself was started by stand before it."""
REST = 0.5
"""Seconds between a program's end and the look for what it left; what ends meanwhile is looked for at once."""


def _kill(group: int, *signals: int) -> None:
    for number in signals:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            return


def marked(marks: set[str]) -> list[int]:
    """The processes of ours that carry one of these marks, or one that begins with it if it ends with ``-``."""
    found = []
    name = f"{VARIABLE}=".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            held = [entry for entry in environment.read_bytes().split(b"\0") if entry.startswith(name)]
        except OSError:  # it is another user's, or has ended
            continue
        carried = {mark for entry in held for mark in entry[len(name) :].decode(errors="replace").split()}
        if any(mark in marks or mark[: mark.rfind("-") + 1] in marks for mark in carried):
            found.append(int(environment.parent.name))
    return found


def sweep(marks: set[str]) -> None:
    """Kill all that carries one of these marks, and what that starts meanwhile."""
    for _ in range(10):
        found = marked(marks)
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        if not found:
            return
        time.sleep(0.05)  # those that were killed are no longer listed then


def main(folder: str) -> None:
    """Serve until the pipe, which is standard input, closes.

    Args:
        folder: removed at the end; all marks begin with its name and a ``-``.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when the one that it watches over has ended
    groups: dict[int, str] = {}
    doomed: dict[int, float] = {}
    over: dict[str, float] = {}  # marks of programs that have ended, and when to look for what they left
    rest = b""
    while True:
        due = [*doomed.values(), *over.values()]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        if select.select([0], [], [], timeout)[0]:
            content = os.read(0, 65536)
            if not content:
                break
            *lines, rest = (rest + content).split(b"\n")
            for line in lines:
                group, _, more = line[1:].decode().partition(" ")
                which = int(group)
                match line[:1]:
                    case b"+":
                        groups[which] = more
                    case b"-":
                        grace, *stopped = more.split()
                        _kill(which, signal.SIGTERM, signal.SIGCONT)
                        for process in map(int, stopped):  # such as ranks, in groups of their own
                            with suppress(ProcessLookupError, PermissionError):
                                os.kill(process, signal.SIGCONT)
                        doomed[which] = time.monotonic() + float(grace)
                    case _:
                        doomed.pop(which, None)
                        if mark := groups.pop(which, ""):
                            over[mark] = time.monotonic() + REST
        now = time.monotonic()
        for late in [one for one, end in doomed.items() if end <= now]:
            _kill(late, signal.SIGKILL)
            if mark := groups.pop(late, ""):
                over[mark] = now
            del doomed[late]
        if over and min(over.values()) <= now:
            sweep({*over})
            over.clear()
    for left in groups:
        _kill(left, signal.SIGKILL)
    sweep({f"{Path(folder).name}-"})
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
