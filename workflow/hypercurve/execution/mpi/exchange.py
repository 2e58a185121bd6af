"""What the ranks of a population tell each other: reports to all, weights from one to another.

Reports have a fixed layout and are gathered by all ranks with one non-blocking collective per evolution step, so that
training goes on while they travel. (Open MPI's own algorithm for it sends straight from each to all: no rank that trains
holds up what two others have to say.) Weights are flat buffers, sent and received without a copy in between; messages
between two ranks keep their order, so that both sides, going through the same list of copies, need no numbers on them.
Whoever waits, sleeps (:func:`hypercurve.execution.mpi.comm.poll_until`), and not even a signal ends the wait: it is
heard at the next evolution step, by all ranks at the same one.
"""

import json
import math
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...events.events import Completed, Failed, Reported
from ...events.lines import EventLine, Wall
from ...util.errors import UserError
from .comm import Comm, Outbox, Tag, load, poll_until
from .members import Measured, Member, Vector

SOON = 0.002
"""Seconds in which a state arrives, or else is waited for asleep."""

METRICS = ("loss", "val_loss", "val_accuracy")
OTHERS = 2048
"""Bytes for metrics as JSON, where the user's own model may report any."""
REPORTED, COMPLETED, FAILED = 1, 2, 3

REPORT = np.dtype(
    [
        ("status", "<i4"),  # 0: no member
        ("trial", "<i4"),
        ("metrics", "<f8", (len(METRICS),)),  # NaN: not reported
        ("seconds", "<f8"),
        ("overhead", "<f8"),  # NaN: not known
        ("at", "<f8"),
        ("text", "<i8"),  # bytes of the message to rank 0 that says why it failed
        ("sizes", "<i8", (2,)),  # of weights and slots; 0: not known
        ("snapshot", "<i4"),  # evolution step of a file that has been written since the last report; 0: none
        ("digest", "u1", (32,)),  # of that file
        ("signal", "<i4"),  # what asks this rank to end; 0: nothing
        ("save", "?"),  # whether it is time for a snapshot
    ]
)
"""A member's report at one evolution step."""
WIDE_REPORT = np.dtype([*((name, REPORT[name]) for name in REPORT.names or ()), ("others", f"S{OTHERS}")])
"""The same for users' own models, with room for metrics of any name."""

Reports = npt.NDArray[np.void]


def _encoded(metrics: Mapping[str, float]) -> bytes:
    content = json.dumps(dict(metrics)).encode()
    if len(content) > OTHERS:
        raise UserError(
            f"members report {len(metrics)} metrics, more than a population's messages hold ({OTHERS} bytes)"
        )
    return content


class Gathering:
    """The reports of all ranks, on their way to all.

    Args:
        comm: the communicator; all ranks start their gatherings in the same order.
        own: this rank's reports, as many as any other's.
    """

    def __init__(self, comm: Comm, own: Reports):
        byte = load().BYTE
        self._own = own  # kept alive while it is sent
        self._all = np.zeros((comm.size, len(own)), own.dtype)
        send, receive = own.view(np.uint8).reshape(-1), self._all.view(np.uint8).reshape(-1)
        self._request = comm.Iallgather([send, byte], [receive, byte])

    def wait(self) -> Reports:
        """All reports, by rank; shape (ranks, reports)."""
        poll_until(self._request.Test, interruptible=False)
        return self._all


class Exchange:
    """Messages between the ranks of a population.

    Args:
        comm: the communicator.
    """

    def __init__(self, comm: Comm):
        self.comm = comm
        mpi = load()
        self._float, self._byte = mpi.FLOAT, mpi.BYTE
        self._texts = Outbox(comm)
        self._sending: dict[int, list[tuple[Any, Vector]]] = {0: [], 1: []}  # by parity of the evolution step

    # --- reports

    def gather(self, own: Reports) -> Gathering:
        """Begin to gather all ranks' reports; all ranks begin in the same order."""
        return Gathering(self.comm, own)

    def fill(self, row: Any, member: Member) -> None:
        """Put a member's report into its row of a message; why it failed goes to rank 0 by itself."""
        assert member.report is not None
        event, wall, *_ = member.report
        row["trial"], row["metrics"] = member.number, math.nan
        row["seconds"], row["overhead"], row["at"] = (
            math.nan if value is None else value for value in (wall.seconds, wall.overhead, wall.at)
        )
        match event:
            case Reported(metrics=metrics) | Completed(metrics=metrics):
                row["status"] = COMPLETED if isinstance(event, Completed) else REPORTED
                if "others" in (row.dtype.names or ()):
                    row["others"] = _encoded(metrics)
                elif unknown := set(metrics) - set(METRICS):
                    raise ValueError(f"a population cannot report {', '.join(sorted(unknown))}")
                row["metrics"] = [metrics.get(name, math.nan) for name in METRICS]
            case Failed(reason=reason):
                text = json.dumps([reason, wall.traceback]).encode()
                row["status"], row["text"] = FAILED, len(text)
                self._texts.send(text, 0, Tag.FAILURE)

    def report(self, row: Any, worker: int, progress: float) -> EventLine:
        """The report in a row of a message; only rank 0 learns why a trial failed."""
        trial, status = int(row["trial"]), int(row["status"])
        seconds, overhead, at = (
            None if math.isnan(row[name]) else float(row[name]) for name in ("seconds", "overhead", "at")
        )
        wall = Wall(seconds, overhead, worker, at)
        if status == FAILED:
            reason, traceback = self._reason(worker, int(row["text"])) if self.comm.rank == 0 else ("", None)
            return EventLine(Failed(trial, progress, reason), wall._replace(traceback=traceback))
        found: Mapping[str, float] = dict(zip(METRICS, row["metrics"].tolist(), strict=True))
        metrics = {name: value for name, value in found.items() if not math.isnan(value)}
        if "others" in (row.dtype.names or ()) and row["others"]:
            metrics = json.loads(row["others"])
        if status == COMPLETED:
            return EventLine(Completed(trial, metrics), wall)
        return EventLine(Reported(trial, progress, metrics), wall)

    def _reason(self, rank: int, length: int) -> tuple[str, str | None]:
        text = bytearray(length)
        poll_until(self.comm.Irecv([text, self._byte], rank, Tag.FAILURE).Test, interruptible=False)
        reason, traceback = json.loads(text)
        return reason, traceback

    # --- weights

    def send_state(self, state: Vector, rank: int, step: int) -> None:
        """Send a state as of an evolution step; it must stay as it is until :meth:`wait_sent`."""
        self._sending[step % 2].append((self.comm.Isend([state, self._float], rank, Tag.WEIGHTS), state))

    def receive_state(self, state: Vector, rank: int) -> Any:
        """Begin to receive a state.

        Returns:
            The request, for :meth:`wait`.
        """
        return self.comm.Irecv([state, self._float], rank, Tag.WEIGHTS)

    def wait(self, request: Any) -> None:
        """Wait until a state has arrived: mostly a millisecond, for which it does not pay to fall asleep."""
        end = time.perf_counter() + SOON
        while time.perf_counter() < end:
            if request.Test():
                return
            os.sched_yield()
        poll_until(request.Test, interruptible=False)

    def wait_sent(self, step: int) -> None:
        """Wait until the states have gone that were sent as of an evolution step, or two before."""
        for request, _ in self._sending[step % 2]:
            self.wait(request)
        self._sending[step % 2].clear()

    def make_progress(self) -> None:
        """Let MPI get on with what is under way."""
        self._texts.sweep()
        for states in self._sending.values():
            states[:] = [pair for pair in states if not pair[0].Test()]

    # --- the rest

    def share(self, content: Any) -> Any:
        """Rank 0's content, which JSON can hold, on all ranks."""
        raw = bytearray(json.dumps(content).encode()) if self.comm.rank == 0 else bytearray()
        length = np.array([len(raw)], np.int64)
        poll_until(self.comm.Ibcast(length, 0).Test, interruptible=False)
        raw = raw or bytearray(int(length[0]))
        poll_until(self.comm.Ibcast([raw, self._byte], 0).Test, interruptible=False)
        return json.loads(raw)

    def all_agree(self, yes: bool) -> bool:
        """Whether all ranks say yes."""
        votes = np.array([yes], np.uint8), np.zeros(self.comm.size, np.uint8)
        poll_until(self.comm.Iallgather(*votes).Test, interruptible=False)
        return bool(votes[1].all())

    def tested(self, measured: Measured | None, rank: int) -> Measured | None:
        """On rank 0, what another rank has measured of the best member, and gives here."""
        if measured is not None and self.comm.rank != 0:
            self._texts.send(json.dumps(measured).encode(), 0, Tag.TESTED)
        elif self.comm.rank == 0 and measured is None:
            status = load().Status()
            poll_until(lambda: self.comm.Iprobe(rank, Tag.TESTED, status), interruptible=False)
            raw = bytearray(status.Get_count(self._byte))
            self.comm.Recv([raw, self._byte], rank, Tag.TESTED)
            metrics, network = json.loads(raw)
            return metrics, network
        return measured

    def barrier(self) -> None:
        """Wait until all ranks have come here."""
        poll_until(self.comm.Ibarrier().Test, interruptible=False)

    def finish(self) -> None:
        """Wait until all messages of this rank have gone, and all ranks have come here."""
        for step in (0, 1):
            self.wait_sent(step)
        poll_until(self._texts.sweep, interruptible=False)
        self.barrier()
