"""The one import point of MPI, and the few things that executors want of it.

MPI is initialised here on purpose, not by an import, so that commands that need none start none. Messages have named tags
and are sent without blocking. A rank that waits sleeps between looks: MPI's own receive spins, and the cores belong to
training. Whatever happens on one rank ends all of them, with one message and a code that says what it was.

What the launcher does (mpiexec of Open MPI 5, that is PRRTE, as measured with 5.0.11):

- A rank that dies of a signal, or exits without MPI_Finalize: the others get SIGCONT and SIGTERM, a quarter of a second
  later SIGKILL, and mpiexec returns 128 + signal, or the rank's code. So no rank need watch over the others.
- When mpiexec itself is killed, its ranks go on, and would write the journal that a rerun writes as well. So they look
  whether their parent is still there.
- MPI_Abort(code): the same, and mpiexec returns the code.
- SIGTERM or SIGINT to mpiexec itself: ranks are ended as above, what they print is lost, and mpiexec returns 1 whatever
  they say; it refuses to forward SIGTERM. So 75 cannot reach the caller this way.
- SIGUSR1 to mpiexec is forwarded to all ranks, and mpiexec returns their 75. A job script that is told of its end
  should pass it on as SIGUSR1: `trap 'kill -USR1 $!' TERM; mpiexec ... & wait $!; wait $!`.
- srun hands SIGTERM at the time limit to the ranks, whose 75 it returns. It needs `--kill-on-bad-exit=1` to end the
  others when a rank is killed.
"""

import atexit
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import Any

from ...util.errors import UserError

Comm = Any
"""An `mpi4py.MPI.Comm`; mpi4py is imported only when a communicator is asked for."""

EXIT_INTERRUPTED = 75
"""Ended by SIGTERM or SIGUSR1 (time limit); running the same command again goes on. `EX_TEMPFAIL` of sysexits.h."""

GRACE = 10.0
"""Seconds after a signal in which the ranks of a search may come to an end by themselves. A training step in progress may be
longer, and nothing that is journalled is lost by ending it. Populations have longer: they write a snapshot first, and
whoever sent the signal (Slurm, a person) knows how long to wait before SIGKILL."""

COURTESY = 0.5
"""Seconds that a rank leaves to those who know better to say why the job ends."""


class Tag(IntEnum):
    """What a message is."""

    # a search, to the supervisor; layouts in `wire`
    REPORTS = 1  # any number of reports
    DETAIL = 2  # a report that does not fit the layout, as JSON
    TESTED = 3  # metrics on the test set, as JSON
    LEFT = 4  # the last message of a worker
    # a search, to a worker
    START = 11  # train a trial
    GO = 12  # a trial may go on to a later point
    RELEASE = 13  # a trial is over
    TEST = 14  # measure the chosen trial on the test set
    LEAVE = 15  # the run is over
    # a population
    FITNESS = 21
    EVOLVE = 22
    WEIGHTS = 23
    SLOTS = 24
    FAILURE = 25
    SNAPSHOT = 26
    END = 29


class Interrupted(BaseException):
    """The run was asked to end by a signal. Like KeyboardInterrupt, no `except Exception` takes it for a failed trial.

    Args:
        number: the signal, where it is another rank's.
    """

    def __init__(self, number: int | None = None):
        super().__init__(number)
        self.number = number


def load() -> Any:
    """`mpi4py.MPI`, initialised.

    Raises:
        UserError: no MPI library can be loaded.
    """
    try:
        import mpi4py

        mpi4py.rc.initialize = False  # on purpose, below
        mpi4py.rc.finalize = False  # only after a good end, in `_finalize`: it waits for all ranks
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"cannot load MPI: {error}. Install the environment's `mpi4py` and `openmpi`, or set `MPI4PY_LIBMPI` to the "
            "cluster's libmpi.so"
        ) from None
    if not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_FUNNELED)  # TensorFlow has threads, but only this one calls MPI
        atexit.register(_finalize)
    return MPI


def communicator(tasks: int) -> Comm:
    """All ranks of this job.

    Args:
        tasks: how many there must be. An MPI that does not understand its launcher starts that many single processes,
            each of which would carry out the whole run.

    Raises:
        UserError: there are not.
    """
    comm = load().COMM_WORLD
    if comm.size == tasks:
        return comm
    error = UserError(
        f"started as {comm.size} MPI process{'es' * (comm.size != 1)} where {tasks} were asked for: the launcher and the "
        "MPI library do not fit. Start it with the mpiexec that stands beside this Python "
        f"({_mpiexec()} -n {tasks} ...); on Slurm, with `srun --mpi=pmix`, if the library has PMIx (`srun --mpi=list` "
        "shows what Slurm has). An MPI that does not understand its launcher sees single processes"
    )
    with guarded(comm):
        raise error
    raise AssertionError("unreachable")


def node() -> str:
    """The node's name, as its scheduler has it."""
    return os.environ.get("SLURMD_NODENAME") or str(load().Get_processor_name())


def on_this_node(comm: Comm) -> int:
    """How many of the ranks are on this one's node. (Open MPI's own count is 1 where Slurm says nothing of localities.)"""
    return int(comm.allgather(node()).count(node()))


def _mpiexec() -> str:
    return os.path.join(os.path.dirname(sys.executable), "mpiexec")  # noqa: PTH118, PTH120


# --- ends -------------------------------------------------------------------------------------------------------------

_signal: int | None = None
_grace: float | None = None
_parent: int | None = None
_ended_well = False

LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK")
"""Variables of which a process that has a launcher has one."""


def _finalize() -> None:
    """At exit. A rank that ends with an exception must not wait for the others here: the launcher then ends them."""
    if _ended_well:
        load().Finalize()


def interrupted() -> bool:
    """Whether a signal has asked this rank to end, or the launcher has gone. True only within :func:`guarded`."""
    return _signal is not None or orphaned()


def received_signal() -> int:
    """The signal that has asked this rank to end; 0: none."""
    return _signal or 0


def orphaned() -> bool:
    """Whether the launcher has gone: nothing must be written any more."""
    return _parent is not None and os.getppid() != _parent


def check_interrupted() -> None:
    """Raise if a signal has asked this rank to end, or the launcher has gone; executors call it between points of training.

    Raises:
        Interrupted: it is so.
    """
    if interrupted():
        raise Interrupted


def _on_signal(number: int, _: FrameType | None) -> None:
    global _signal
    if number == signal.SIGALRM:
        _exit_now()
    if _signal is None:
        _signal = number
        if _grace is not None:
            signal.setitimer(signal.ITIMER_REAL, _grace)


def _exit_now() -> None:
    if not orphaned():
        os.write(2, _exit_message(None).encode())
    os._exit(EXIT_INTERRUPTED)  # without MPI_Finalize: the launcher ends the other ranks


def _exit_message(number: int | None) -> str:
    name = signal.Signals(number or _signal or signal.SIGINT).name
    return f"ended by {name}; run the same command again to go on\n"


def _too_late(_: int, __: FrameType | None) -> None:
    """A signal after everything is done: what a job gets in its last moments must not make it a failed one."""


@contextmanager
def guarded(comm: Comm, grace: float | None = GRACE) -> Iterator[None]:
    """What runs in here on all ranks ends on all ranks, never in a hang.

    An exception on any rank is printed once and ends them all: a UserError as its message with code 2, another with its
    rank and traceback and code 1. SIGTERM and SIGUSR1 make :func:`interrupted` true; executors then raise
    :class:`Interrupted` (:func:`check_interrupted`, :meth:`Inbox.wait`), which ends all with code 75. A single process
    raises a UserError on, and SystemExit for the code 75. Signals that come once everything in here is done, on this rank,
    change nothing any more.

    Args:
        comm: the ranks.
        grace: seconds after a signal, after which a rank ends that has not come to it; None: no limit.
    """
    global _signal, _grace, _ended_well, _parent
    _signal, _grace, _ended_well = None, grace, False
    _parent = os.getppid() if comm.size > 1 or any(name in os.environ for name in LAUNCHED) else None
    handled = (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)
    before = [signal.signal(number, _on_signal) for number in handled]
    try:
        yield
    except BaseException as error:
        _end(comm, error)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)
        before = [*[_too_late] * 2, before[-1]]  # to the end of the process, which is near
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
        _leave(comm)
        _ended_well = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
        _signal = _parent = None


def _leave(comm: Comm) -> None:
    """Wait for the other ranks to come to their end as well, asleep."""
    request, pause = comm.Ibarrier(), 0.001
    while not request.Test():
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)
        if orphaned():
            _exit_now()


def _end(comm: Comm, error: BaseException) -> None:
    """Say what happened and end all ranks."""
    if orphaned():  # nobody listens, and each rank sees it by itself
        _exit_now()
    where = f"rank {comm.rank}: " if comm.size > 1 else ""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        text, code = _exit_message(getattr(error, "number", None)), EXIT_INTERRUPTED
    elif isinstance(error, UserError | OSError):
        text, code = f"hypercurve: {error}\n", 2
    elif isinstance(error, SystemExit):
        text, code = "", error.code if isinstance(error.code, int) else 1
    else:
        text, code = where + "".join(traceback.format_exception(error)), 1
    if comm.size == 1:
        if not isinstance(error, Interrupted):
            raise error
        sys.stderr.write(text)
        raise SystemExit(code)
    if comm.rank > 0:  # where all ranks fail alike, rank 0 speaks for them and ends them meanwhile
        time.sleep(5 * COURTESY)
    elif code == EXIT_INTERRUPTED:  # or the launcher ends us, because of a rank that has said why
        time.sleep(COURTESY)
    sys.stderr.write(text)
    sys.stderr.flush()
    sys.stdout.flush()
    time.sleep(COURTESY)  # for the launcher to pass on what was said
    comm.Abort(code)


# --- messages ---------------------------------------------------------------------------------------------------------


class Outbox:
    """Sends without blocking; keeps buffers alive until they have gone.

    Args:
        comm: the communicator.
    """

    def __init__(self, comm: Comm):
        self._comm = comm
        self._byte = load().BYTE
        self._going: deque[tuple[Any, Any]] = deque()

    def send(self, message: bytes, rank: int, tag: Tag) -> None:
        """Send bytes."""
        self._going.append((self._comm.Isend([message, self._byte], rank, tag), message))
        if len(self._going) > 16:
            self.sweep()

    def sweep(self) -> bool:
        """Forget what has gone; whether everything has."""
        going = self._going
        while going and going[0][0].Test():
            going.popleft()
        return not going

    def drain(self) -> None:
        """Wait until everything has gone."""
        while not self.sweep():
            check_interrupted()
            time.sleep(0.0005)


class Inbox:
    """Receives, and waits without spinning.

    A look that finds nothing may give the core away for a while, so ranks that train look a few thousand times a second.

    Args:
        comm: the communicator.
    """

    _SELDOM = 0.0002  # seconds

    _SPINS = 20  # looks before the first sleep: an answer that is under way arrives within microseconds
    _SHORTEST, _LONGEST = 0.0001, 0.002

    def __init__(self, comm: Comm):
        mpi = load()
        self._comm, self._byte, self._status = comm, mpi.BYTE, mpi.Status()
        self._any_source, self._any_tag = mpi.ANY_SOURCE, mpi.ANY_TAG
        self._look = 0.0  # when to look again

    def receive(self) -> tuple[int, Tag, bytearray] | None:
        """The next message's sender, tag and bytes, or None if there was none lately. Those of one sender come in order."""
        if time.perf_counter() < self._look:
            return None
        status = self._status
        if not self._comm.Iprobe(self._any_source, self._any_tag, status):
            self._look = time.perf_counter() + self._SELDOM
            return None
        source, tag = status.Get_source(), status.Get_tag()
        message = bytearray(status.Get_count(self._byte))
        self._comm.Recv([message, self._byte], source, tag)
        return source, Tag(tag), message

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until there is a message; whether there is one.

        Sleeps a little longer each time, up to 2 ms: a rank that waits for long takes about a hundredth of a core.

        Args:
            seconds: for how long at most; None: for ever.

        Raises:
            Interrupted: a signal has asked this rank to end.
        """
        self._look = 0.0
        return poll_until(lambda: self._comm.Iprobe(self._any_source, self._any_tag), seconds)


def poll_until(done: Any, seconds: float | None = None, *, interruptible: bool = True) -> bool:
    """Wait until `done()` is true, looking ever more seldom; whether it is.

    Args:
        done: what to look at; cheap. For instance the `Test` of an MPI request.
        seconds: for how long at most; None: for ever.
        interruptible: whether a signal ends the wait; if not, it does so after :data:`GRACE` seconds.

    Raises:
        Interrupted: a signal has asked this rank to end.
    """
    for _ in range(Inbox._SPINS):
        if done():
            return True
    end = None if seconds is None else time.monotonic() + seconds
    pause = Inbox._SHORTEST
    while not done():
        if orphaned():
            _exit_now()
        if interruptible:
            check_interrupted()
        if end is not None and time.monotonic() >= end:
            return False
        time.sleep(pause)
        pause = min(pause * 1.2, Inbox._LONGEST)
    return True
