"""Trials of several ranks: groups of MPI processes, one of which leads.

Leaders carry out the run among themselves, as if each were a process alone. The others follow: they make the same loop for
the same trial and take every step that their leader takes. So the user's loop runs on all ranks of a group at once, and
talks over a communicator of that trial's own, in which no other message can get lost. Only the leader's reports count.

States are those of all ranks: a snapshot holds each rank's arrays under the rank's number, and a population's members move
rank by rank.
"""

import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...training.loop import EXCHANGE, Context
from ...training.trainer import TrialFailed
from ...util.errors import UserError, in_a_line
from .comm import Comm, load, poll_until

STUCK = 300.0
"""Seconds after an error of one rank in which the others must come to the end of their step. MPI cannot take a rank back
that waits for one which is no longer there."""
_LEAVE, _OVER = "leave", "over"
_TAG_DO, _TAG_DONE = 1, 2


def split(comm: Comm, ranks: int) -> tuple[Comm | None, Comm]:
    """The leaders, and this rank's group, whose rank 0 leads it.

    Groups are of neighbouring ranks, which launchers put on one node where they can.

    Args:
        comm: all ranks: a multiple of `ranks`; or one more, and rank 0 is a group alone, which supervises.
        ranks: of each trial.

    Returns:
        The leaders' communicator, or None on a rank that leads no group; and the group's.
    """
    group = comm.Split((comm.rank - comm.size % ranks) // ranks + 1, comm.rank)
    leaders = comm.Split(0 if group.rank == 0 else load().UNDEFINED, comm.rank)
    return (leaders if group.rank == 0 else None), group


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step gave on one rank.

    Attributes:
        value: what was asked for; what was reported stays on its rank.
        ended: the loop has come to its end.
        reason: of an error, in a line; None: there was none.
        traceback: of that error.
        error: it itself, on the rank that raised it.
    """

    value: Any = None
    ended: bool = False
    reason: str | None = None
    traceback: str = ""
    error: BaseException | None = None


class Part:
    """This rank's part in the trials of its group.

    Args:
        comm: the group's.
        loop: the user's function or class.
        data: the prepared data set, or None.
    """

    def __init__(self, comm: Comm, loop: Callable[..., Any], data: Any) -> None:
        self._comm, self._loop, self._data = comm, loop, data
        self._made: dict[int, Any] = {}
        self._yields: dict[int, Any] = {}
        self._comms: dict[int, Comm] = {}

    def do(self, operation: str, number: int, argument: Any) -> Outcome:
        """Take a step of a trial; what the user's code raises is an outcome as well."""
        try:
            return getattr(self, f"_{operation}")(number, argument) or Outcome()
        except (Exception, SystemExit) as error:  # a model may well call sys.exit
            return Outcome(reason=in_a_line(error), traceback="".join(traceback.format_exception(error)), error=error)

    def _open(self, number: int, argument: tuple[dict[str, Any], Context]) -> None:
        hyperparameters, context = argument
        self._comms[number] = comm = self._comm.Dup()
        made = self._loop(hyperparameters, replace(context, data=self._data, comm=comm))
        self._made[number] = made
        if not isinstance(self._loop, type):
            self._yields[number] = made

    def _train(self, number: int, _: None) -> None:
        if (before := self._yields.get(number)) is not None:
            before.close()
        self._yields[number] = self._made[number].train()

    def _next(self, number: int, _: None) -> Outcome:
        yields = self._yields[number]
        if not isinstance(yields, Iterator):
            raise TypeError(f"gave {type(yields).__name__}, no generator: it must yield metrics")
        try:
            reported = next(yields)
        except StopIteration:
            return Outcome(ended=True)
        return Outcome(reported if self._comm.rank == 0 else None)

    def _save(self, number: int, _: None) -> Outcome:
        return Outcome(self._made[number].save())

    def _load(self, number: int, state: Any) -> None:
        self._made[number].load(state)

    def _adjust(self, number: int, hyperparameters: dict[str, Any]) -> None:
        self._made[number].adjust(hyperparameters)

    def _close(self, number: int, _: None) -> None:
        yields, made, comm = (kept.pop(number, None) for kept in (self._yields, self._made, self._comms))
        try:
            if hasattr(yields, "close"):
                yields.close()
        finally:
            del yields, made
            if comm is not None:
                comm.Free()


class Leader:
    """Has all ranks of a group take the steps of its trials. Rank 0 has one.

    Args:
        comm: the group's.
    """

    def __init__(self, comm: Comm) -> None:
        self.comm, self._count = comm, 0
        self._part: Part | None = None
        self._gone: deque[int] = deque()  # trials that nobody refers to any more

    def lead(self, loop: Callable[..., Any], data: Any) -> Callable[..., Any]:
        """What a trainer takes in place of the user's loop, and what then runs it on all ranks.

        Args:
            loop: the user's function or class.
            data: the prepared data set, or None.
        """
        self._part = Part(self.comm, loop, data)
        if not isinstance(loop, type):
            return lambda hyperparameters, context: _Led(self, hyperparameters, context).steps()
        offered = {name: getattr(_Led, name) for name in EXCHANGE if callable(getattr(loop, name, None))}
        own = {"__init__": lambda led, *given: _Led.__init__(led, self, *given), "train": _Led.train}
        return type(loop.__name__, (_Steps,), own | offered)

    def open(self, hyperparameters: dict[str, Any], context: Context, owner: object) -> int:
        """Have all ranks make a loop; its number, for as long as its owner lives."""
        self._count += 1
        weakref.finalize(owner, self._gone.append, self._count).atexit = False
        self.call("open", self._count, (hyperparameters, replace(context, data=None)))
        return self._count

    def call(
        self, operation: str, number: int, argument: Any = None, each: Sequence[Any] | None = None
    ) -> list[Outcome]:
        """Have all ranks take a step of a trial, this one too.

        Args:
            operation: which step.
            number: the trial's in this group.
            argument: what it is given.
            each: in place of `argument`: what each rank is given.

        Returns:
            What it gave, by rank.

        Raises:
            Exception: what the user's code raised here.
            TrialFailed: what it raised on another rank, or ranks are not alike.
            UserError: another rank waits in vain for one that has failed.
        """
        while self._gone:
            self._step("close", self._gone.popleft(), [None] * self.comm.size)
        outcomes = self._step(operation, number, [argument] * self.comm.size if each is None else each)
        if (error := outcomes[0].error) is not None:
            raise error
        for rank, outcome in enumerate(outcomes):
            if outcome.reason is not None:
                raise TrialFailed(f"rank {rank} of the trial: {outcome.reason}", said=outcome.traceback)
            if outcome.ended != outcomes[0].ended:
                ended, other = (rank, 0) if outcome.ended else (0, rank)
                raise TrialFailed(f"rank {ended} of the trial has come to its end, rank {other} goes on")
        return outcomes

    def _step(self, operation: str, number: int, arguments: Sequence[Any]) -> list[Outcome]:
        assert self._part is not None
        others = range(1, self.comm.size)
        sent = [self.comm.isend((operation, number, arguments[rank]), rank, _TAG_DO) for rank in others]
        outcomes = [self._part.do(operation, number, arguments[0])]
        failed = outcomes[0].error is not None
        end = time.monotonic() + STUCK if failed else None
        for rank in others:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not poll_until(lambda rank=rank: self.comm.iprobe(rank, _TAG_DONE), left, interruptible=False):
                raise _stuck(0, outcomes[0])
            outcomes.append(self.comm.recv(source=rank, tag=_TAG_DONE))
        for request in sent:
            request.wait()
        for rank in others:
            if outcomes[rank].reason is not None:
                self.comm.send((_OVER, 0, None), rank, _TAG_DO)
        return outcomes

    def leave(self) -> None:
        """The run is over: trials that are left are closed, and the other ranks leave."""
        if self._part is not None:
            while self._gone:
                self._step("close", self._gone.popleft(), [None] * self.comm.size)
        for rank in range(1, self.comm.size):
            self.comm.send((_LEAVE, 0, None), rank, _TAG_DO)


class _Steps:
    """A user's loop on all ranks of a group, as its leader has it."""


class _Led(_Steps):
    def __init__(self, leader: Leader, hyperparameters: dict[str, Any], context: Context) -> None:
        self._leader = leader
        self._number = leader.open(hyperparameters, context, self)

    def train(self) -> Iterator[Any]:
        """Begin to train where the state is."""
        self._leader.call("train", self._number)
        return _Led.steps(self)

    def steps(self) -> Iterator[Any]:
        """Train on, a report at a time."""
        while not (outcome := self._leader.call("next", self._number)[0]).ended:
            yield outcome.value

    def save(self) -> dict[str, Any]:
        """The states of all ranks, under their numbers."""
        state: dict[str, Any] = {}
        for rank, outcome in enumerate(self._leader.call("save", self._number)):
            if isinstance(outcome.value, Mapping):
                state |= {f"{rank}/{name}": value for name, value in outcome.value.items()}
            elif isinstance(outcome.value, bytes | bytearray | memoryview):
                state[f"{rank}"] = np.frombuffer(bytes(outcome.value), np.uint8)
            else:
                raise TypeError(f"a state must be bytes or a dict of NumPy arrays, not {type(outcome.value).__name__}")
        return state

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from the states of all ranks."""
        each: list[Any] = [{} for _ in range(self._leader.comm.size)]
        for name, value in state.items():
            rank, whole, key = name.partition("/")
            if whole:
                each[int(rank)][key] = value
            else:
                each[int(rank)] = np.asarray(value, np.uint8).tobytes()
        self._leader.call("load", self._number, each=each)

    def adjust(self, hyperparameters: dict[str, Any]) -> None:
        """Go on with other hyperparameters."""
        self._leader.call("adjust", self._number, hyperparameters)


def follow(comm: Comm, make: Callable[[], tuple[Callable[..., Any], Any]]) -> None:
    """Take the steps that the leader takes, until it leaves.

    Args:
        comm: the group's.
        make: gives the user's function or class and the data, when the first trial is there.

    Raises:
        UserError: the loop cannot be imported; or it has failed here, and another rank waits in vain for this one.
    """
    part: Part | None = None
    failed: Outcome | None = None
    while True:
        if not poll_until(lambda: comm.iprobe(0, _TAG_DO), None if failed is None else STUCK, interruptible=False):
            assert failed is not None
            raise _stuck(comm.rank, failed)
        failed = None
        operation, number, argument = comm.recv(source=0, tag=_TAG_DO)
        if operation == _LEAVE:
            return
        if operation == _OVER:
            continue
        if part is None:
            part = Part(comm, *make())
        outcome = part.do(operation, number, argument)
        failed = outcome if outcome.error is not None else None
        sent = comm.isend(replace(outcome, error=None), 0, _TAG_DONE)
        poll_until(sent.Test, interruptible=False)


def _stuck(rank: int, outcome: Outcome) -> UserError:
    return UserError(
        f"rank {rank} of a trial has failed: {outcome.reason}\n{outcome.traceback}Other ranks of the trial wait for it in "
        f"MPI, from where nothing brings them back; so the run has ended, after {STUCK:g} s. Let an error come to all "
        "ranks alike (by an allreduce of whether one of them has failed, say)"
    )
