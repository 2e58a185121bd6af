"""The processes of each program: found, stopped and continued, all of them. Linux's /proc tells which there are.

A signal to the program's group would not do. `mpiexec` puts its ranks, and daemons put themselves, into other groups. And
Linux (signal.c, "multiprocess signals") hands a SIGSTOP to a group on to the child that one of its members is forking just
then, but not the SIGCONT that follows: by default that is ignored, so it takes nothing back, and the child, once it is
there, stops and stays so for ever. So every process gets a signal of its own, which no child inherits, and what was forked
meanwhile is looked for, until all are seen to stand still.

A process belongs to a program whose mark stands in its environment (:mod:`hypercurve.training.guardian`), or by its session
or parent. All of /proc is seldom read: the kernel says which number it gave last (/proc/loadavg), and gives them in turn, so
only numbers that are new since the last look are looked at. What runs on other nodes is not found.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from . import guardian

PATIENCE = 1.0
"""Seconds after which a process that does not stop is no longer waited for."""
NOISE = 0.05
"""Seconds of computing in a pause that are not told: times are counted in hundredths."""
_UNINTERRUPTED = 0.005  # seconds after which one that waits in the kernel counts as still: it stops before it computes
_BECOMING = (
    1.0  # seconds that a process is looked at again whose environment is empty, as it is while a program starts in it
)
_PARENTS = 0.1  # seconds that children wait for their parent to stop: some continue it all the time
_FEW = 1000  # new numbers that are looked at one by one; of more, all processes are listed
_PER_SECOND = 50_000  # no machine starts more processes than that
_KERNEL_THREAD = 0x00200000
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc says of a process.

    Attributes:
        state: a letter; T: stopped, Z: ended and not yet waited for.
        ticks: processor time of it and of its children that it has waited for, in ticks of the clock.
        began: when it was started, in ticks; with its number it tells it from all others.
    """

    state: str
    parent: int
    session: int
    kernel: bool
    ticks: int
    threads: int
    began: int

    @classmethod
    def of(cls, number: int | str) -> Self | None:
        """The process (or thread) of this number, if there is one."""
        found = _read(f"/proc/{number}/stat").rpartition(b")")[2].split()
        if len(found) < 20:
            return None
        ticks = sum(map(int, found[11:15]))
        kernel = bool(int(found[6]) & _KERNEL_THREAD)
        return cls(found[0].decode(), int(found[1]), int(found[3]), kernel, ticks, int(found[17]), int(found[19]))

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs: where its first thread has ended, others may run on."""
        return self.state in "ZX" and self.threads <= 1


def _read(path: str) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        pieces = []
        while piece := os.read(file, 1 << 16):
            pieces.append(piece)
            if len(piece) < 4096:
                break
        return b"".join(pieces)
    except OSError:  # it ended while it was read
        return b""
    finally:
        os.close(file)


@dataclass(slots=True)
class Tree:
    """A program's processes.

    Attributes:
        root: the program itself, whose number is its session's too.
        processes: when each began, by number, parents first.
        stopped: those that we have stopped; others may be stopped by somebody else, who continues them.
        computed: seconds of processor time that were spent in pauses, without noise.
        pauses: in how many.
    """

    root: int
    processes: dict[int, int]
    stopped: set[int] = field(default_factory=set)
    computed: float = 0.0
    pauses: int = 0
    ticks: dict[int, int] = field(default_factory=dict)  # by number, when it was seen to stand still
    paused: float = 0.0  # since when; 0: it is not


class Trees:
    """Who belongs to which of the programs of one trainer.

    Args:
        prefix: all their marks begin with it.
        newest: the number of a process that was started just now, by which is told whether the kernel can be believed.

    Attributes:
        known: whether there is a /proc as Linux has it.
    """

    def __init__(self, prefix: str, newest: int):
        self._prefix = prefix.encode()
        self._trees: dict[int, Tree] = {}
        self._marks: dict[bytes, Tree] = {}
        self._owners: dict[int, Tree] = {}
        self._missing: set[int] = set()  # numbers that were given and are not there: gone, or not yet
        self._unsure: dict[int, float] = {}  # numbers that are looked at again, and until when
        self._looked, self._last = 0.0, 0
        self.known = Path("/proc/self/task").is_dir() and Process.of(os.getpid()) is not None
        with suppress(ValueError, IndexError):
            self._last = _last_number()
        # A number stands for one process only as long as they have not all been given once more.
        self._valid = 0.0
        if 0 <= self._last - newest <= _FEW:
            with suppress(ValueError):
                self._valid = int(_read("/proc/sys/kernel/pid_max")) / _PER_SECOND

    def add(self, root: int, mark: str) -> None:
        """A program has been started."""
        process = Process.of(root) if self.known else None
        tree = Tree(root, {root: process.began if process else 0})
        self._trees[root] = self._marks[mark.encode()] = self._owners[root] = tree

    def remove(self, root: int) -> tuple[set[int], str]:
        """Forget a program that is to end.

        Returns:
            Which of its processes are stopped, and what it computed in pauses; empty: nothing to speak of.
        """
        tree = self._trees.pop(root, None)
        if tree is None:
            return set(), ""
        if tree.paused:
            self._count(tree, self._those_of(tree))
        self._marks = {mark: other for mark, other in self._marks.items() if other is not tree}
        self._owners = {number: other for number, other in self._owners.items() if other is not tree}
        return tree.stopped, f"{tree.computed:.2f} s in {tree.pauses} pauses" if tree.pauses else ""

    def stop(self, root: int) -> str:
        """Stop a program's processes, until they are seen to stand still.

        Returns:
            Which did not; empty: all do.
        """
        tree = self._trees[root]
        began, waits, quiet = time.monotonic(), 0, 0
        missed: dict[int, str] = {}
        while True:
            moving = self._stop_once(tree, time.monotonic() - began, missed)
            new = self._look(tree)
            # Of several, one may have continued another before it stopped itself, as `mpiexec` does.
            quiet = 0 if moving or new else quiet + 1
            if quiet >= (1 if len(tree.processes) == 1 else 2):
                break
            if time.monotonic() - began > PATIENCE:
                missed |= moving
                break
            if moving:
                os.sched_yield() if waits < 3 else time.sleep(min(0.01, 1e-5 * 2**waits))
                waits += 1
        self._missing.clear()  # all have forked what they were forking
        tree.paused = time.monotonic()
        return ", ".join(f"process {number} ({why})" for number, why in missed.items())

    def _stop_once(self, tree: Tree, waited: float, missed: dict[int, str]) -> dict[int, str]:
        """Signal those that are not stopped, parents before their children.

        Returns:
            Those that moved.
        """
        moving = {}
        found = self._those_of(tree)
        for number, process in found:
            tree.ticks[number] = process.ticks
            if process.ended or (process.state in "TtZ" and (process.threads == 1 or _all_stopped(number))):
                continue
            if waited > _UNINTERRUPTED and process.state == "D" and number in tree.stopped:
                continue
            moving[number] = f"its state is {process.state}"
        for number, process in found:
            # A shell with job control that does not stand still yet would see its child stop, and take that for its end.
            if number not in moving or (process.parent in moving and waited < _PARENTS):
                continue
            try:  # at each look: another process may have continued it meanwhile, which takes the signal back
                os.kill(number, signal.SIGSTOP)
                tree.stopped.add(number)
            except ProcessLookupError:
                del moving[number]
            except PermissionError:
                missed[number] = "it is another user's"
                del moving[number]
        return moving

    def go_on(self, root: int) -> None:
        """Continue what was stopped; children first, so that no parent finds its child stopped."""
        if root not in self._trees:
            return
        tree = self._trees[root]
        if time.monotonic() - tree.paused > NOISE:
            self._look(tree)
        found = self._those_of(tree)
        self._count(tree, found)
        for number, _ in reversed(found):
            if number in tree.stopped:  # at once, whatever it was about to do: signals to stop are taken back
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(number, signal.SIGCONT)
        tree.stopped.clear()

    def _count(self, tree: Tree, found: list[tuple[int, Process]]) -> None:
        """Count what was computed in the pause that ends."""
        ticks = sum(process.ticks - tree.ticks.get(number, 0) for number, process in found)
        if ticks > NOISE * _TICK:
            tree.computed += ticks / _TICK
            tree.pauses += 1
        tree.ticks.clear()
        tree.paused = 0.0

    def _those_of(self, tree: Tree) -> list[tuple[int, Process]]:
        found = []
        for number, began in list(tree.processes.items()):
            process = Process.of(number)
            if process is not None and process.began == began:
                found.append((number, process))
            elif number != tree.root:
                del tree.processes[number]
                self._owners.pop(number, None)
                tree.stopped.discard(number)
                if process is not None:
                    self._unsure[number] = time.monotonic() + _BECOMING
        return found

    def _look(self, tree: Tree) -> bool:
        """Find the processes that were started since the last look.

        Returns:
            Whether there are any of this program.
        """
        now, before = time.monotonic(), len(tree.processes)
        last = _last_number() if self._valid else 0
        if self._valid and 0 <= last - self._last <= _FEW and now - self._looked < self._valid:
            numbers = [*self._missing, *range(self._last + 1, last + 1)]
        else:
            numbers = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
        self._looked, self._last = now, last
        again = [number for number, until in self._unsure.items() if until >= now]
        self._unsure = {number: self._unsure[number] for number in again}
        for number in (*again, *numbers):
            self._examine(number)
        return len(tree.processes) > before

    def _examine(self, number: int) -> None:
        self._missing.discard(number)
        process = Process.of(number)
        if process is None:
            self._missing.add(number)
            return
        owner = self._owners.get(number)
        if process.kernel or process.ended or (owner is not None and owner.processes[number] == process.began):
            return
        owner = self._trees.get(process.session) or self._owners.get(process.parent)
        if owner is None:
            environment = _read(f"/proc/{number}/environ")
            owner = self._marked(environment)
            if owner is None and not environment:
                with suppress(OSError):
                    if Path(f"/proc/{number}").stat().st_uid == os.geteuid():
                        self._unsure.setdefault(number, time.monotonic() + _BECOMING)
        if owner is not None and f"\nTgid:\t{number}\n".encode() in _read(f"/proc/{number}/status"):  # it is no thread
            owner.processes[number] = process.began
            self._owners[number] = owner
            self._unsure.pop(number, None)

    def _marked(self, environment: bytes) -> Tree | None:
        if self._prefix not in environment:
            return None
        name = f"{guardian.VARIABLE}=".encode()
        held = [entry[len(name) :] for entry in environment.split(b"\0") if entry.startswith(name)]
        return next((self._marks[mark] for entry in held for mark in entry.split() if mark in self._marks), None)


def _last_number() -> int:
    return int(_read("/proc/loadavg").split()[4])


def _all_stopped(number: int) -> bool:
    try:
        threads = os.listdir(f"/proc/{number}/task")  # noqa: PTH208
    except OSError:
        return True
    found = (Process.of(f"{number}/task/{thread}") for thread in threads)
    return all(thread is None or thread.state in "TtZX" for thread in found)
