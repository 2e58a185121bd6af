"""How many ranks a search keeps at work: 100, 1,000 and 10,000 simulated ones. A table, and one line of JSON.

    python benchmarks/scale.py --curves cnn-cifar10.csv.gz

Supervisor, scheduler, journal, messages and workers are the real ones, in one process. What is simulated is the trainings,
which take what was recorded (`--curves`; without it, seconds by formula), up to 30 % more or less than the cost model says,
differently in each trial; and the network: a message takes 50 µs. Every rank has a clock. Rank 0's goes on by the processor
time that the supervisor really takes, so other work on the machine changes little; it only supervises.

Runs end by a budget in seconds, as jobs do: so many trainings' time for each rank (`--trainings`). Every rank has two
slots (`--slots`).

- used: share of the workers' time that went into training which the run used. "in vain": training of trials that were
  stopped at an earlier point; "early": of trials that had not come so far when the run ended.
- reports per second: how many the supervisor takes in a second of its own processor time.
- busy: share of the run's time in which the supervisor was at work. At 1 it is the limit.
- MiB: peak memory of the process, all simulated ranks included; "before": when nothing had begun.
- evolution_ms_1000: what an evolution of a population of 1,000 costs beside training, on 8 real MPI ranks (mpiexec) whatever
  the number of cores: processor time of all ranks, but for the members' training, for each evolution.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from heapq import heappop, heappush
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.curves.cost import TrialCost
from hypercurve.events.journal import Journal
from hypercurve.execution.mpi import messages as wire
from hypercurve.execution.mpi import population
from hypercurve.execution.mpi import search as supervised
from hypercurve.execution.mpi.comm import Tag, communicator, guarded
from hypercurve.execution.mpi.worker import Worker
from hypercurve.records.curve_files import read_curves
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Report, Snapshot
from hypercurve.training.trainer import Trainer as Base

RANKS = 100, 1_000, 10_000
ORDERS = "virtual", "arrival"
LATENCY = 50e-6  # seconds that a message takes
NOTICED = 1e-3  # seconds until a rank that waits looks again, in the mean
POINTS, ROWS = 10, 256
ROW = [*range(1, ROWS + 1)]  # which recorded training a configuration stands for is its batch size
MEMBERS, EVOLUTIONS, PROCESSES = 1_000, 20, 8


def setting(method: Mapping[str, Any], seconds: float = 1.0, **changes: Any) -> Setting:
    content = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "space": {"learning_rate": {"log_uniform": [0.001, 1.0]}, "batch_size": {"choice": ROW, "ordered": True}},
        "objective": {"metric": "loss", "mode": "min"},
        "budget": {"seconds": seconds},
        "training": {"accumulation_points": POINTS},
        "methods": {"method": {"search": "random", **method}},
    }
    return Experiment.model_validate(content | changes).setting("benchmark", "method")


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
        return self._costs[configuration["batch_size"] - 1]

    def open(self, trial: Trial) -> Any:
        return Training(self, trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> dict[str, float]:
        return {"test_loss": 0.5}


class Training:
    """A training in play."""

    def __init__(self, recorded: Recorded, trial: Trial):
        self._rate = float(trial.configuration["learning_rate"])  # uneven digits enough for a draw
        self._speed = 0.7 + 0.6 * (self._rate * 1e6 % 1)
        row = trial.configuration["batch_size"] - 1
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
            status.Set_elements(self.byte, len(content))
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


def methods(ranks: int) -> dict[str, Any]:
    return {
        "random": {},
        "lcm": {"stop": {"lcm": {"configurations": ranks, "check_points": [0.1, 0.2, 0.4]}}},
        "asha": {"stop": "asha"},
        "halving": {"stop": {"halving": {"configurations": ranks}}},
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def search(ranks: int, method: str, order: str, recorded: Recorded, trainings: float, slots: float) -> dict[str, float]:
    """Carry out a run on so many simulated ranks."""
    from mpi4py import MPI

    seconds = trainings * ranks * recorded.mean
    given = setting({**methods(ranks)[method], "slots": round(slots * ranks), "order": order}, seconds)
    run, theirs = (Run(given, 0, samples=1, data="none") for _ in range(2))
    run.cost = theirs.cost = recorded
    before = peak()
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl") as journal:
        Ranks.byte = MPI.BYTE
        comm = Ranks(theirs, recorded, ranks)
        end, going = run.end, set[int]()

        def noted(*arguments: Any) -> Any:
            going.update(trial.number for trial in run.trials.values() if trial.status in ("running", "paused"))
            return end(*arguments)

        run.end = noted  # type: ignore[method-assign]
        supervised.execute(run, recorded, journal, comm)
    assert comm.ended is not None
    surplus = sum(
        seconds - (0.0 if trial is None else trial.seconds)
        for number, seconds in comm.by_trial.items()
        if (trial := run.trials.get(number)) is None or number in going
    )
    reports = sum(trial.reports for trial in run.trials.values())
    return {
        "used": run.seconds / ranks / comm.ended,
        "in vain": (recorded.trained - run.seconds - surplus) / ranks / comm.ended,
        "early": surplus / ranks / comm.ended,
        "reports": reports,
        "reports per second": reports / comm.working,
        "busy": comm.working / comm.ended,
        "MiB": peak(),
        "before": before,
    }


def evolutions(comm: Any) -> dict[str, float]:
    """A population of synthetic members on real ranks: milliseconds for each evolution beside training."""
    explore = {"learning_rate": {"factors": [1.2, 0.8]}}
    content = {
        "space": {"learning_rate": {"log_uniform": [0.001, 1.0]}, "batch_size": 32, "epochs": 1},
        "objective": {"metric": "accuracy", "mode": "max"},
        "budget": {"trials": MEMBERS},
        "methods": {"method": {"population": {"every": 32, "explore": explore}}},
    }
    given = setting({}, **content)
    run, trainer, spent = (
        Run(given, 0, samples=32 * 32 * EVOLUTIONS, data="none"),
        SyntheticTrainer(failures=False),
        [0.0],
    )
    real = trainer.open

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            began = time.process_time()
            try:
                return call(*arguments)
            finally:
                spent[0] += time.process_time() - began

        return wrapped

    def opened(trial: Trial) -> Any:
        session = real(trial)
        session.advance = timed(session.advance)  # type: ignore[method-assign]
        return session

    trainer.open = timed(opened)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(comm.bcast(folder))
        with Journal(place / "journal.jsonl") if comm.rank == 0 else nullcontext() as journal:
            comm.Barrier()
            began, cpu = time.perf_counter(), time.process_time()
            population.execute(run, trainer, journal, comm, folder=place / "snapshots")
            cpu = time.process_time() - cpu - spent[0]
            seconds = time.perf_counter() - began
            comm.Barrier()
    shares = comm.allgather(cpu / len(run.points))
    return {
        "evolution_ms_1000": 1e3 * max(shares),
        "mean": 1e3 * sum(shares) / comm.size,
        "wall": 1e3 * seconds / len(run.points),
    }


def started(*arguments: str, ranks: int = 0) -> dict[str, float]:
    """What this program prints in a process of its own, or on so many MPI ranks."""
    launcher = [str(Path(sys.executable).with_name("mpiexec")), "--oversubscribe", "-n", str(ranks)] if ranks else []
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_osc": "^ucx"}
    environment = {**os.environ, "PRTE_MCA_hwloc_default_binding_policy": "none", **root}
    command = [*launcher, sys.executable, __file__, "--one", *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("failed: " + " ".join(command))
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many ranks a search keeps at work.")
    parser.add_argument("--curves", type=Path, metavar="FILE", help="recorded curves with seconds; default: by formula")
    parser.add_argument("--seconds", type=float, help="mean seconds of a training; default: as recorded")
    parser.add_argument("--ranks", type=int, nargs="*", default=RANKS)
    parser.add_argument("--methods", nargs="*", default=[*methods(1)])
    parser.add_argument("--orders", nargs="*", default=ORDERS)
    parser.add_argument("--slots", type=float, default=2, help="for each rank")
    parser.add_argument("--trainings", type=float, default=3, help="budget: so many trainings' time for each rank")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one and not given.ranks:
        comm = communicator(PROCESSES)
        with guarded(comm):
            found = evolutions(comm)
            if comm.rank == 0:
                print(json.dumps(found), flush=True)
        return
    if given.one:
        recorded = Recorded(given.curves, given.seconds)
        one = search(given.ranks[0], given.methods[0], given.orders[0], recorded, given.trainings, given.slots)
        print(json.dumps(one))
        return
    shared = ["--slots", str(given.slots), "--trainings", str(given.trainings)]
    shared += ["--curves", str(given.curves)] if given.curves else []
    shared += ["--seconds", str(given.seconds)] if given.seconds else []
    line: dict[str, float] = {}
    for ranks, method, order in product(given.ranks, given.methods, given.orders):
        found = started("--ranks", str(ranks), "--methods", method, "--orders", order, *shared)
        print(
            f"{ranks:6} {method:8} {order:8} " + "  ".join(f"{name} {value:.4g}" for name, value in found.items()),
            flush=True,
        )
        if ranks == max(RANKS):
            line[f"used_{method}_{ranks}" + "_virtual" * (order == "virtual")] = found["used"]
            line["peak_mib_10000"] = max(line.get("peak_mib_10000", 0), found["MiB"])
    # Where the supervisor is the limit, it takes many reports at once.
    found = started(
        "--ranks", str(max(RANKS)), "--methods", "random", "--orders", "arrival", "--slots", "2", "--seconds", "1"
    )
    line["reports_per_second_10000"] = found["reports per second"]
    print("trainings of a second: " + "  ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
    found = started("--ranks", ranks=PROCESSES)
    line["evolution_ms_1000"] = found["evolution_ms_1000"]
    print(f"a population of {MEMBERS}: " + "  ".join(f"{name} {value:.4g}" for name, value in found.items()))
    print(json.dumps({name: round(value, 4) for name, value in line.items()}))


if __name__ == "__main__":
    main()
