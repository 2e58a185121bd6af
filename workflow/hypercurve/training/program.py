"""Programs of users as processes: started without a shell, read line by line, stopped and killed for sure.

A program has a process group of its own, so that what it starts ends with it. It runs only while its next line is waited
for: in between, it and all that it has started are stopped (:mod:`hypercurve.training.process_trees`), so that a paused
trial computes nothing, and what it takes is measured where it is spent. When it is no longer wanted it gets SIGTERM, and
SIGKILL after a while; when this process dies, even by SIGKILL, its guardian (:mod:`hypercurve.training.guardian`) kills it,
and what has left the group, which it knows by a mark in its environment.
"""

import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ..util.files import check_plain
from . import guardian
from .process_trees import Trees
from .trainer import TrialFailed

LONGEST_LINE = 1 << 20
"""Bytes of a line at most."""
LARGEST_LOG = 1 << 20
"""Bytes of a trial's standard error that are kept."""
TAIL = 4000
"""Bytes of its end that the journal keeps of a trial that failed."""
_PIECE = 1 << 16
_LOOK = 0.25  # seconds between two looks whether a program has ended whose output somebody else keeps open
# What a launcher gives each process that it starts, to tell it who it is: Open MPI 4 and 5, MPICH and those made from it,
# MVAPICH, HPE's PALS, Slurm. A program would take it for its own. What else begins with OMPI_, PMIX_MCA_, PRTE_, PMI_,
# HYDRA_, SLURM_ and the like is a setting of the user's or the site's.
_IDENTITY = re.compile(
    r"OMPI_(?:COMM_WORLD_|WORLD_|APP_CTX_|NUM_APP_CTX$|FIRST_RANKS$|UNIVERSE_SIZE$|ARGV$|COMMAND$|FILE_LOCATION$|LIBDIR_LOC$"
    r"|TOOL_NAME$|VERSION$)"
    r"|OMPI_MCA_(?:PREFIXES$|cpu_type$|initial_wdir$|num_procs$|ess(?:$|_)|pmix$|shmem_RUNTIME_QUERY_hint$)"
    r"|OMPI_MCA_orte_(?:ess_|local_daemon_uri$|hnp_uri$|parent_uri$|app_num$|num_nodes$|launch$|precondition_transports$"
    r"|(?:top|jobfam)_session_dir$)"
    r"|OPAL_USER_PARAMS_GIVEN$|PMIX_(?!MCA_|PREFIX$|INSTALL_PREFIX$)|PRTE_LAUNCHED$|PRTE_MCA_(?:ess$|ess_|prte_hnp_|prte_parent_)"
    r"|PMI2?_(?:RANK|SIZE|FD|PORT|ID|SPAWNED|APPNUM|JOB_?ID|UNIVERSE_SIZE|TOTALVIEW|PROCESS_MAPPING|HOSTNAME|SHARED_SECRET"
    r"|CONTROL_(?:FD|PORT)|LOCAL_(?:RANK|SIZE)|GRAPH_RANK)$"
    r"|HYDI_|MPI_LOCAL(?:NRANKS|RANKID)$|MV2_COMM_WORLD_|PALS_"
    r"|SLURM_(?:PROCID|LOCALID|NODEID|GTIDS|TASK_PID|STEP_|STEPID$|STEPMGR|SRUN_COMM_|PMIXP_|PMIX_MAPPING_SERV$)"
)


class Programs:
    """The programs of one trainer: their guardian and their folder for snapshot files. Both end with this object.

    Args:
        grace: seconds from SIGTERM to SIGKILL.
    """

    def __init__(self, grace: float):
        self.grace = grace
        self.folder = Path(tempfile.mkdtemp(prefix="hypercurve-"))
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        self._ended: list[subprocess.Popen[bytes]] = []
        self._started = 0
        self._trees = Trees(f"{self.folder.name}-", self._guardian.pid)
        _allow_open_files()
        self._finalizer = weakref.finalize(self, _close, self._guardian)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a program in a process group of its own.

        Raises:
            TrialFailed: it cannot be started.
        """
        self._reap()
        kept = {name: value for name, value in os.environ.items() if not _IDENTITY.match(name)}
        mark = f"{self.folder.name}-{self._started}"
        self._started += 1
        marks = {guardian.VARIABLE: f"{kept.get(guardian.VARIABLE, '')} {mark}".strip()}
        try:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**kept, **environment, **marks},
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise TrialFailed(f"{command[0]} cannot be started: {reason}") from None
        self._tell(f"+{process.pid} {mark}")
        self._trees.add(process.pid, mark)
        return process

    def pause(self, process: subprocess.Popen[bytes], log: "Log") -> None:
        """Stop a program and all that it has started. What does not stop is said in the log, once.

        Whether it has ended is not asked: that would free its number, and signals would reach whoever has it next.
        """
        if not self._trees.known:
            _signal(process, signal.SIGSTOP)
        elif missed := self._trees.stop(process.pid):
            log.note(f"could not be stopped while its trial was paused: {missed}")

    def go_on(self, process: subprocess.Popen[bytes]) -> None:
        """Let it run."""
        if self._trees.known:
            self._trees.go_on(process.pid)
        else:
            _signal(process, signal.SIGCONT)

    def end(self, process: subprocess.Popen[bytes], log: "Log | None" = None) -> None:
        """Have a program ended, without waiting for it; one that has ended already leaves nothing behind either.

        What it computed while it was paused is said in the log.
        """
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        stopped, computed = self._trees.remove(process.pid)
        if computed and log is not None:
            log.note(f"computed while its trial was paused: {computed}", again=True)
        if process.poll() is None:
            self._tell(f"-{process.pid} {self.grace} {' '.join(map(str, stopped))}")
            self._ended.append(process)
        else:
            _signal(process, signal.SIGKILL)  # what it has started and left behind
            self._tell(f"={process.pid}")
        self._reap()

    def _reap(self) -> None:
        gone = [process for process in self._ended if process.poll() is not None]
        for process in gone:
            _signal(process, signal.SIGKILL)
            self._tell(f"={process.pid}")
            self._ended.remove(process)

    def _tell(self, line: str) -> None:
        assert self._guardian.stdin is not None
        try:
            self._guardian.stdin.write(line.encode() + b"\n")
        except OSError:  # somebody has killed it: programs then end in the ordinary way only
            if line.startswith("-"):
                _kill_group(int(line[1:].partition(" ")[0]), signal.SIGKILL)


def _allow_open_files() -> None:
    """Raise the limit on open files as far as is allowed: every trial that is paused has two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _close(process: subprocess.Popen[bytes]) -> None:
    """Let the guardian end, and with it all programs."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    _kill_group(process.pid, number)


def _kill_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class Log:
    """A trial's standard error, in a file that appears with the first byte and does not grow without bound.

    Args:
        path: the file; None drops everything.
    """

    def __init__(self, path: Path | None):
        self.path, self._size, self._begun = path, 0, False
        self._last = b""
        self._there, self._noted = False, False

    def write(self, content: bytes) -> None:
        """Add what was written."""
        self._last = (self._last + content)[-TAIL:]
        if self.path is None or self._size >= LARGEST_LOG or not content:
            return
        kept = content[: LARGEST_LOG - self._size]
        self._size += len(kept)
        self._add(kept + (b"\n[the rest is not kept]\n" if self._size >= LARGEST_LOG else b""))
        self._begun = True

    def note(self, text: str, again: bool = False) -> None:
        """Say something of our own there, which no message repeats and which does not count as the program's.

        Args:
            text: what.
            again: even if something was said before.
        """
        if self.path is not None and (again or not self._noted):
            self._noted = True
            self._add(f"\n[hypercurve: {text}]\n".encode())

    def _add(self, content: bytes) -> None:
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        check_plain(self.path)
        with self.path.open("ab" if self._there else "wb") as file:
            file.write(content)
        self._there = True

    @property
    def tail(self) -> str:
        """The end of what was written."""
        return self._last.decode(errors="backslashreplace")

    @property
    def told(self) -> str:
        """Where to look, for messages; the same in equal runs, wherever they are."""
        return f"; see {self.path.parent.name}/{self.path.name}" if self.path is not None and self._begun else ""


class Program:
    """A program that runs.

    Args:
        programs: whose.
        command: the program and its arguments.
        environment: variables besides our own.
        timeout: seconds to wait for a line, or for the end.
        log: takes its standard error.

    Raises:
        TrialFailed: it cannot be started.
    """

    _STDIN = subprocess.DEVNULL

    def __init__(
        self,
        programs: Programs,
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout: float,
        log: Log,
    ):
        self._timeout, self._grace, self._log, self._programs = timeout, programs.grace, log, programs
        self._process = programs.start(command, environment, self._STDIN)
        self._finalizer: weakref.finalize[..., Any] = weakref.finalize(self, programs.end, self._process, log)
        self._selector = selectors.PollSelector()  # which needs no file of its own: many trials may be paused
        self._rest = bytearray()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out: IO[bytes] = self._process.stdout
        for stream in (self._process.stdout, self._process.stderr):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)
        self._running = True
        self._over: float | None = None  # until when its output is read though it has ended, and others keep that open

    def line(self) -> bytes | None:
        """The next line that it prints, without the newline; blank ones are passed over. None: it has closed its output.

        Raises:
            TrialFailed: it prints nothing for too long, or a line that is too long.
        """
        self.go_on()
        end = time.monotonic() + self._timeout
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                if line.strip():
                    return bytes(line)
                if time.monotonic() >= end:
                    raise TrialFailed(f"printed nothing for {self._timeout:g} s (`timeout`){self._log.told}")
                continue
            if len(self._rest) > LONGEST_LINE:
                raise TrialFailed(f"printed a line of more than {LONGEST_LINE} bytes")
            if self._out.fileno() not in self._watched():
                last, self._rest = bytes(self._rest), bytearray()
                return last if last.strip() else None
            self._read(end, "printed nothing")

    def code(self) -> int:
        """How it ended, waited for: its exit code, or the negative number of the signal that ended it.

        Raises:
            TrialFailed: it does not end.
        """
        self.go_on()
        end = time.monotonic() + self._timeout
        while self._watched():
            self._read(end, "did not end")
        try:
            code = self._process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TrialFailed(f"did not end for {self._timeout:g} s (`timeout`){self._log.told}") from None
        self.close()
        return code

    def _watched(self) -> set[int]:
        return {key.fd for key in self._selector.get_map().values()}

    def _read(self, end: float, what: str) -> None:
        """Take what it has written meanwhile.

        Its output ends with it, or, where something that it has started keeps that open, `grace` seconds later.
        """
        now = time.monotonic()
        if self._over is None and self._has_ended():
            self._over = now + self._grace
        until = end if self._over is None else self._over
        found = [key for key, _ in self._selector.select(max(0.0, min(until - now, _LOOK)))]
        now = time.monotonic()
        if self._over is None and now >= end and all(key.fileobj is not self._out for key in found):
            raise TrialFailed(f"{what} for {self._timeout:g} s (`timeout`){self._log.told}")
        for key in found:
            try:
                content = os.read(key.fd, _PIECE)
            except BlockingIOError:
                continue
            if not content:
                self._selector.unregister(key.fileobj)
            elif key.fileobj is self._out:
                self._rest += content
            else:
                self._log.write(content)
        if self._over is not None and now >= self._over:
            for key in list(self._selector.get_map().values()):
                self._selector.unregister(key.fileobj)

    def _has_ended(self) -> bool:
        """Whether it has ended, asked so that its number stays its own; see :meth:`pause`."""
        if not hasattr(os, "waitid"):  # on macOS before Python 3.13: what keeps the output open is waited for
            return False
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # where SIGCHLD is ignored, nothing is left of a program that has ended
            return True

    def pause(self) -> None:
        """Stop it where it is, with all that it has started, until its next line is wanted."""
        if self._running:
            self._programs.pause(self._process, self._log)
        self._running, self._over = False, None

    def go_on(self) -> None:
        """Let it run."""
        if not self._running:
            self._programs.go_on(self._process)
            self._running = True

    def close(self) -> None:
        """Have it ended, if it has not."""
        self._selector.close()
        self._finalizer()
