"""A small process that ends the programs of another when that one dies, however it dies.

It is told over a pipe which process groups there are. When the pipe closes, since the other has ended or was killed, it
kills those that are left and removes their folder. Started by :mod:`hypercurve.training.program` as a program of its own,
with the standard library alone; it imports nothing of this package.

Lines: ``+GROUP`` a program has started; ``-GROUP GRACE`` it is to end: SIGTERM now, SIGKILL after so many seconds;
``=GROUP`` it has ended.
"""

import os
import select
import shutil
import signal
import sys
import time


def _kill(group: int, *signals: int) -> None:
    for number in signals:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            return


def main(folder: str) -> None:
    """Serve until the pipe, which is standard input, closes.

    Args:
        folder: removed at the end.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when the one that it watches over has ended
    groups: set[int] = set()
    doomed: dict[int, float] = {}
    rest = b""
    while True:
        timeout = max(0.0, min(doomed.values()) - time.monotonic()) if doomed else None
        if select.select([0], [], [], timeout)[0]:
            content = os.read(0, 65536)
            if not content:
                break
            *lines, rest = (rest + content).split(b"\n")
            for line in lines:
                group, _, grace = line[1:].partition(b" ")
                which = int(group)
                match line[:1]:
                    case b"+":
                        groups.add(which)
                    case b"-":
                        _kill(which, signal.SIGTERM, signal.SIGCONT)
                        doomed[which] = time.monotonic() + float(grace)
                    case _:
                        groups.discard(which)
                        doomed.pop(which, None)
        now = time.monotonic()
        for late in [one for one, end in doomed.items() if end <= now]:
            _kill(late, signal.SIGKILL)
            groups.discard(late)
            del doomed[late]
    for left in groups:
        _kill(left, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
