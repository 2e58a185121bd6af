"""Runs a command and writes its exit code (null: killed), seconds and largest resident memory in MB to a file, as JSON.

    python -I -S benchmarks/measured.py PATIENCE ADDRESS_SPACE OUTPUT COMMAND...

A process of its own, and a small one: Linux counts the memory of a process's parent as its own until it calls `exec`, so
what a large program starts would never seem smaller than that. It is killed after so many seconds, and gets no more
than so many bytes of address space.
"""

import json
import os
import resource
import signal
import sys
import time


def main() -> None:
    """Run it."""
    patience, space, output, *command = sys.argv[1:]
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (int(space), int(space)))
        os.execv(command[0], command)
    code = None
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() - began > float(patience):
            os.killpg(child, signal.SIGKILL)
            _, _, used = os.wait4(child, 0)
            break
        time.sleep(0.01)
    with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes longer to import than all the rest
        json.dump([code, time.monotonic() - began, used.ru_maxrss / 1024], file)


main()
