"""Simulated ranks for scale.py: recorded trainings, and a communicator with thousands of ranks behind it."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.curves.cost import TrialCost
from hypercurve.execution.mpi import messages as wire
from hypercurve.execution.mpi.comm import Tag, load
from hypercurve.execution.mpi.worker import Worker
from hypercurve.records.curve_files import read_curves
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.trainer import Report, Snapshot
from hypercurve.training.trainer import Trainer as Base

LATENCY = 50e-6  # seconds that a message takes
NOTICED = 1e-3  # seconds until a rank that waits looks again, in the mean
POINTS, ROWS = 10, 256
ROW = [*range(1, ROWS + 1)]  # which recorded training a configuration stands for is its batch size


def row_of(configuration: Mapping[str, Any]) -> int:
    return int(configuration["batch_size"]) - 1


class Recorded(Base):
    """Trainings as they were recorded: the losses at each point, and the seconds that each stretch took.

    Args:
        curves: file with recorded curves; None: curves by formula.
        mean: seconds that a training takes in the mean; None: as recorded.
    """

    samples = 1
    trained = 0.0  # seconds, by all ranks

    def __init__(self, curves: Path | None, mean: float | None):
        draw = np.random.default_rng(0)
        if curves is None:
            whole = 600 * np.exp(0.5 * draw.standard_normal(ROWS))
            self.seconds = np.repeat(whole[:, None] / POINTS, POINTS, axis=1)
            ends = draw.random(ROWS)[:, None]
            self.losses = (
                ends + (1 - ends) * np.exp(-4 * np.linspace(0.1, 1, POINTS)) + 0.01 * draw.random((ROWS, POINTS))
            )
        else:
            found = [curve for curve in read_curves(curves).curves if curve.outcome == "completed"]
            drawn = [found[k] for k in draw.integers(len(found), size=ROWS)]
            cuts = [[curve.at((k + 1) / POINTS) for k in range(POINTS)] for curve in drawn]
            sums = [
                np.concatenate(([0], np.cumsum(curve.seconds)))[np.array(cut) + 1]
                for curve, cut in zip(drawn, cuts, strict=True)
            ]
            self.seconds = np.diff(sums, prepend=0, axis=1)
            metric = next(iter(drawn[0].reports[-1]))
            self.losses = np.array([[c.reports[k][metric] for k in cut] for c, cut in zip(drawn, cuts, strict=True)])
        if mean is not None:
            self.seconds *= mean / self.seconds.sum(axis=1).mean()
        self.mean = float(self.seconds.sum(axis=1).mean())
        self._costs = [TrialCost(POINTS, 1, float(whole) / POINTS) for whole in self.seconds.sum(axis=1)]

    def of(self, configuration: Mapping[str, Any]) -> TrialCost:
        """What a training costs by the cost model."""
        return self._costs[row_of(configuration)]

    def open(self, trial: Trial) -> Any:
        return Training(self, trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> dict[str, float]:
        return {"test_loss": 0.5}


class Training:
    """A training in play."""

    def __init__(self, recorded: Recorded, trial: Trial):
        self._rate = float(trial.configuration["learning_rate"])  # uneven digits enough for a draw
        self._speed = 0.7 + 0.6 * (self._rate * 1e6 % 1)
        row = row_of(trial.configuration)
        self._seconds, self._losses, self._done = recorded.seconds[row], recorded.losses[row], 0
        self._recorded = recorded

    def advance(self, progress: float) -> Report:
        point, self._done = self._done, self._done + 1
        seconds, loss = float(self._seconds[point]) * self._speed, float(self._losses[point]) + 1e-3 * self._rate
        self._recorded.trained += seconds
        return Report(progress, {"loss": loss, "val_loss": loss}, seconds=seconds)

    def snapshot(self) -> Snapshot:
        return Snapshot.empty()

    def close(self) -> None: ...

    def rest(self) -> None: ...


class Ranks:
    """The communicator that rank 0 sees, and behind it the other ranks, each with its clock.

    Time goes on when rank 0 looks for messages: by the processor time that it has taken since, or, when it waits, to the
    next message. What it sends leaves at its next look.
    """

    rank = 0

    def __init__(self, run: Run, trainer: Recorded, workers: int):
        self.size = workers + 1
        self.workers = [Worker(run, trainer, rank) for rank in range(1, self.size)]
        self.inboxes: list[deque[tuple[float, Tag, bytes]]] = [deque() for _ in self.workers]
        self.idle = [True] * workers
        self.clock = self.working = 0.0
        self.recorded = trainer
        self.by_trial: dict[int, float] = {}  # seconds trained
        self.ended: float | None = None  # when the first was told to leave
        self._events: list[tuple[float, int, int, bytes | None]] = []  # time, order, rank, and what it has to report
        self._arrived: deque[tuple[int, Tag, bytes]] = deque()  # at rank 0
        self._under_way: list[tuple[float, int, int, Tag, bytes]] = []  # to rank 0
        self._sent: list[tuple[int, Tag, bytes]] = []
        self._count = 0
        self._byte = load().BYTE
        self._mark = time.process_time()

    # what executors use of a communicator

    def Isend(self, message: Sequence[Any], rank: int, tag: Tag) -> Any:
        self._sent.append((rank, tag, message[0]))
        return self

    def Test(self) -> bool:
        return True

    def Iprobe(self, source: int, tag: int, status: Any = None) -> bool:
        took = time.process_time() - self._mark
        self.clock += took
        if self.ended is None:
            self.working += took
        self._deliver()
        self._simulate(wait=status is None)
        if self._arrived and status is not None:
            sender, what, content = self._arrived[0]
            status.Set_source(sender)
            status.Set_tag(what)
            status.Set_elements(self._byte, len(content))
        self._mark = time.process_time()
        return bool(self._arrived)

    def Recv(self, message: Sequence[Any], source: int, tag: int) -> None:
        message[0][:] = self._arrived.popleft()[2]

    # behind it

    def _deliver(self) -> None:
        for rank, tag, content in self._sent:
            self.inboxes[rank - 1].append((self.clock + LATENCY, tag, content))
            if self.idle[rank - 1]:
                self.idle[rank - 1] = False
                self._at(self.clock + LATENCY + NOTICED, rank, None)
            if tag is Tag.LEAVE and self.ended is None:
                self.ended = self.clock
        self._sent.clear()

    def _at(self, when: float, rank: int, report: bytes | None) -> None:
        self._count += 1
        heappush(self._events, (when, self._count, rank, report))

    def _simulate(self, wait: bool) -> None:
        """Let ranks do what they do up to now; if rank 0 waits, up to the next message."""
        while True:
            if self._under_way and (self._under_way[0][0] <= self.clock or (wait and not self._arrived)):
                if not self._events or self._events[0][0] >= self._under_way[0][0]:
                    arrival, _, rank, tag, content = heappop(self._under_way)
                    self.clock = max(self.clock, arrival)
                    self._arrived.append((rank, tag, content))
                    continue
            elif not self._events or (self._events[0][0] > self.clock and (not wait or self._arrived)):
                return
            when, _, rank, report = heappop(self._events)
            if report is not None:
                self._tell(when, rank, Tag.REPORTS, report)
            self._go_on(when, rank)

    def _tell(self, when: float, rank: int, tag: Tag, content: bytes) -> None:
        self._count += 1
        heappush(self._under_way, (when + LATENCY, self._count, rank, tag, content))

    def _go_on(self, now: float, rank: int) -> None:
        """What a rank does between two stretches of training, as in :func:`hypercurve.execution.mpi.search._serve`."""
        worker, inbox = self.workers[rank - 1], self.inboxes[rank - 1]
        while inbox and inbox[0][0] <= now:
            _, tag, content = inbox.popleft()
            if tag is Tag.LEAVE:
                self._tell(now, rank, Tag.LEFT, b"")
                return
            if tag is Tag.TEST:
                self._tell(now, rank, Tag.TESTED, wire.pack_tested(worker.test(*wire.unpack_test(content))))
            else:
                worker.handle(tag, content)
        if self.ended is not None or (number := worker.choose()) is None:
            self.idle[rank - 1] = not inbox
            if inbox:
                self._at(max(now, inbox[0][0]), rank, None)
            return
        before = self.recorded.trained
        report = wire.pack_report(*worker.advance(number))
        assert report is not None
        took = self.recorded.trained - before
        self.by_trial[number] = self.by_trial.get(number, 0.0) + took
        self._at(now + took, rank, report)
