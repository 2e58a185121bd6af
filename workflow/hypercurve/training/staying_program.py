"""A program that stays, as a process: it is asked on its standard input and answers on its standard output.

A request is one JSON object on a line; states are raw bytes that follow their line, either way. It is never stopped
(SIGSTOP): a program that waits for its next request computes nothing. What each request means is left to
:mod:`hypercurve.training.staying`.
"""

import fcntl
import json
import os
import select
import selectors
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from .program import Log, Program, Programs
from .trainer import TrialFailed

ORDERLY = 2.0
"""Seconds in which a program may end by itself when its standard input has been closed."""
_PIECE = 1 << 16
_PIPE = 1 << 20  # bytes that a pipe should hold: 16 times fewer changes of processes than by default


class StayingProgram(Program):
    """A program that stays.

    Args:
        programs: whose.
        command: the program and its arguments.
        environment: variables besides our own.
        timeout: seconds without an answer after which it has failed.
        log: takes its standard error, until :meth:`write_to` names another one.

    Raises:
        TrialFailed: it cannot be started.
    """

    _STDIN = subprocess.PIPE

    def __init__(
        self,
        programs: Programs,
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,
        log: Log,
    ):
        super().__init__(programs, command, environment, timeout, log)
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _ended, programs, self._process)
        assert self._process.stdin is not None
        self._in = self._process.stdin
        os.set_blocking(self._in.fileno(), False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            for stream in (self._in, self._out):
                with suppress(OSError):  # the user's pipes hold much already
                    fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)

    def write_to(self, log: Log) -> None:
        """Have its standard error go to another log from now on; what it has written so far goes to the old one."""
        while self._selector.get_map() and self._selector.select(0):
            self._read(time.monotonic() + self._timeout, "")
            if self.unasked:
                break
        self._log = log

    @property
    def unasked(self) -> str:
        """What it has said that nobody asked for."""
        return bytes(self._rest[:200]).decode(errors="backslashreplace").strip()

    def ask(self, request: Mapping[str, Any], content: memoryview | None = None) -> None:
        """Send a request, and the bytes that follow it. One that has ended is told nothing: its answer shows that.

        Raises:
            TrialFailed: it does not read, or has said something unasked.
        """
        if text := self.unasked:
            raise TrialFailed(f"printed {text!r}, which nobody has asked for")
        line = json.dumps(request).encode() + b"\n"
        with suppress(BrokenPipeError):
            self._write(memoryview(line))
            if content is not None:
                self._write(content)

    def _write(self, content: memoryview) -> None:
        end = time.monotonic() + self._timeout
        while content and self._out.fileno() in self._watched():
            try:
                content = content[os.write(self._in.fileno(), content) :]
                end = time.monotonic() + self._timeout
                continue
            except BlockingIOError:
                pass
            ready = select.poll()
            ready.register(self._in.fileno(), select.POLLOUT)
            for stream in self._watched():
                ready.register(stream, select.POLLIN)
            ready.poll(1000 * max(0.0, end - time.monotonic()))
            if self._selector.select(0):  # else it might wait for us, and we for it
                self._read(end, "read nothing")
            elif time.monotonic() >= end:
                raise TrialFailed(f"read nothing for {self._timeout:g} s (`timeout`){self._log.told}")

    def take(self, place: memoryview) -> bool:
        """Read bytes that follow an answer; whether it has given all before its end.

        Raises:
            TrialFailed: they do not come.
        """
        done = min(len(self._rest), len(place))
        place[:done] = self._rest[:done]
        del self._rest[:done]
        end = time.monotonic() + self._timeout
        while done < len(place):
            try:
                count = os.readv(self._out.fileno(), [place[done:]])
            except BlockingIOError:
                found = [key for key, _ in self._selector.select(max(0.0, end - time.monotonic()))]
                for key in found:
                    if key.fileobj is not self._out:
                        self._hear(key)
                if time.monotonic() >= end:
                    reason = f"gave {done} of {len(place)} bytes of its state, then nothing for {self._timeout:g} s"
                    raise TrialFailed(f"{reason} (`timeout`){self._log.told}") from None
                continue
            if not count:
                return False
            done += count
            end = time.monotonic() + self._timeout
        return True

    def _hear(self, key: selectors.SelectorKey) -> None:
        """Take what it has written to standard error."""
        content = os.read(key.fd, _PIECE)
        if content:
            self._log.write(content)
        else:
            self._selector.unregister(key.fileobj)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._has_ended()

    def kill(self) -> None:
        """Have it ended without waiting for it."""
        self._selector.close()
        if self._finalizer.detach() is not None:
            self._programs.end(self._process)


def _ended(programs: Programs, process: subprocess.Popen[bytes]) -> None:
    """Tell a program by the end of its input that it is over, and see to it that it ends."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(min(programs.grace, ORDERLY))
    programs.end(process)
