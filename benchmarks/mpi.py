"""What the MPI machinery costs: a table, and one line of JSON.

    python benchmarks/mpi.py --data mnist.npz

Everything is measured on this machine in one run, with more ranks than cores if there are few; trainers do nothing, or
sleep, so that it is the machinery that is measured. Where the machine is loaded, numbers per second suffer.

- reports_per_second: how many reports the supervisor of 4 ranks takes, journal included, when training costs nothing;
  the median of some runs. Rank 0 trains as well. The table has the same per second of processor time of rank 0, which a
  loaded machine changes less.
- idle_cpu: share of a core that a rank takes while it waits.
- virtual_utilisation: share of all ranks' time that went into training that the run used, with 4 slots on 4 ranks in
  virtual order, when trials take up to 30 % more or less than the cost model says: random search to a number of trials.
- virtual_utilisation_lcm: the same of LCM with two slots a rank. With one, the slowest of the trials that are going sets
  the pace of all decisions. The table shows this as well, and what was trained in vain ("all" less "used").
- report_us_100, report_us_10000: microseconds that LCM takes for a report when so many curves are recorded.
- exploit_ms, exploit_files, pbt_overhead: from mpi_exploit.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events.journal import Journal, read_lines
from hypercurve.execution.mpi import search as supervised
from hypercurve.execution.mpi.comm import Comm, Inbox, Outbox, Tag, communicator, guarded
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.stopping.lcm import LCMOptions, LearningCurveMatching
from hypercurve.stopping.stopper import Decision, StopContext
from hypercurve.training.trainer import Report, Snapshot
from hypercurve.training.trainer import Trainer as Base

RANKS = 4


def setting(trials: int, points: int, **method: Any) -> Setting:
    experiment = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "curve": "loss",
        "space": {"learning_rate": {"log_uniform": [0.001, 1.0]}, "epochs": {"uniform": [3.0, 6.0]}},
        "budget": {"trials": trials},
        "training": {"accumulation_points": points},
        "methods": {"method": {"search": "random", **{"slots": 4, **method}}},
    }
    return Experiment.model_validate(experiment).setting("benchmark", "method")


class Trainer(Base):
    """Opens sessions that take the time they are told, and report the loss of a moment."""

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds
        self.spent = 0.0

    def open(self, trial: Trial) -> Any:
        return Trained(self, trial) if self.seconds else Nothing()

    def test(self, trial: Trial, snapshot: Snapshot) -> dict[str, float]:
        return {"test_accuracy": 0.5}


class Nothing:
    """Training that costs nothing."""

    def advance(self, progress: float) -> Report:
        if progress < 1:
            return Report(progress, {"loss": 0.1})
        return Report(progress, {"loss": 0.1, "val_loss": 0.1, "val_accuracy": 0.5})

    def snapshot(self) -> Snapshot:
        return Snapshot.empty()

    def close(self) -> None:
        pass

    def rest(self) -> None:
        pass


class Trained(Nothing):
    """Training that sleeps: `seconds` for an epoch, by up to 30 % wrong, differently in each trial."""

    def __init__(self, trainer: Trainer, trial: Trial):
        draw = np.random.default_rng((1, trial.number))
        self.trainer, self.quality = trainer, draw.random()
        self.whole = trainer.seconds * float(trial.configuration["epochs"]) * draw.uniform(0.7, 1.3)
        self.progress = 0.0

    def advance(self, progress: float) -> Report:
        began = time.perf_counter()
        time.sleep(self.whole * (progress - self.progress))
        self.progress = progress
        seconds = time.perf_counter() - began
        self.trainer.spent += seconds
        accuracy = {"val_accuracy": self.quality} if progress == 1 else {}
        return Report(progress, {"loss": 2.0 - self.quality - progress, **accuracy}, seconds=seconds)


def carry_out(comm: Comm, given: Setting, trainer: Trainer, path: Path) -> float:
    """Carry out a run with all ranks; the seconds that it took, on rank 0."""
    path.unlink(missing_ok=True)
    run = Run(given, 0, samples=10_000, data="none")
    comm.Barrier()
    began = time.perf_counter()
    with Journal(path) if comm.rank == 0 else nullcontext() as journal:
        supervised.execute(run, trainer, journal, comm)
    return time.perf_counter() - began


def reports(comm: Comm, folder: Path) -> dict[str, float]:
    rates, own = [], []
    for _ in range(5):
        path, cpu = folder / "journal.jsonl", time.process_time()
        seconds = carry_out(comm, setting(100, 100), Trainer(), path)
        own.append(time.process_time() - cpu)
        if comm.rank == 0:
            rates.append(len(read_lines(path)[0]) / seconds)
            own[-1] = rates[-1] * seconds / own[-1]
    return {"reports_per_second": median(rates), "per second of rank 0": median(own)} if rates else {}


def idle(comm: Comm, _: Path) -> dict[str, float]:
    """Rank 0 lets the others wait, and then measures how fast they answer."""
    inbox, outbox = Inbox(comm), Outbox(comm)
    if comm.rank == 0:
        time.sleep(4)
        answers = []
        for _round in range(20):
            began = time.perf_counter()
            outbox.send(b"", 1, Tag.GO)
            while inbox.receive() is None:
                inbox.wait()
            answers.append(time.perf_counter() - began)
            time.sleep(0.05)
        for rank in range(1, comm.size):
            outbox.send(b"", rank, Tag.LEAVE)
        shares: list[float] = []
        while len(shares) < comm.size - 1:
            received = inbox.receive()
            if received is None:
                inbox.wait()
            else:
                shares.append(json.loads(received[2]))
        return {"idle_cpu": max(shares), "answer_ms": 1000 * median(answers)}
    began, cpu = time.perf_counter(), time.process_time()
    while True:
        inbox.wait()
        received = inbox.receive()
        if received is not None and received[1] is Tag.LEAVE:
            break
        outbox.send(b"", 0, Tag.REPORTS)
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    outbox.send(json.dumps(share).encode(), 0, Tag.REPORTS)
    outbox.drain()
    return {}


def utilisation(comm: Comm, folder: Path) -> dict[str, float]:
    """Share of all ranks' time spent in training: what the run used, and all."""
    found: dict[str, float] = {}
    lcm = {"lcm": {"check_points": [0.1, 0.2, 0.4]}}
    for name, method in (
        ("virtual", {}),
        ("virtual, lcm, a slot a rank", {"stop": lcm}),
        ("virtual, lcm", {"stop": lcm, "slots": 2 * RANKS}),
        ("arrival, lcm", {"stop": lcm, "slots": 2 * RANKS, "order": "arrival"}),
    ):
        given, trainer, path = setting(80, 10, **method), Trainer(0.04), folder / "journal.jsonl"
        seconds = carry_out(comm, given, trainer, path)
        spent = comm.allreduce(trainer.spent)
        if comm.rank == 0:
            used = sum(line["wall"].get("seconds", 0.0) for line in read_lines(path)[0])
            found |= {f"{name}: used": used / seconds / comm.size, f"{name}: all": spent / seconds / comm.size}
            found[f"{name}: seconds"] = seconds
    return found


def matching(recorded: int) -> float:
    """Microseconds that LCM takes for a report at a check point: the median over trials and points."""
    points = tuple(k / 10 for k in range(1, 11))
    options = LCMOptions(configurations=recorded, stopping_rate=0.01, split=0.99, check_points=points[:-1])
    lcm = LearningCurveMatching(options, StopContext(points))
    draw = np.random.default_rng(0)
    curves = np.sort(draw.random((recorded + 100, len(points))), axis=1)[:, ::-1]
    taken = []
    for trial, curve in enumerate(curves.tolist()):
        lcm.on_start(trial, {})
        for point, loss in zip(points[:-1], curve[:-1], strict=True):
            began = time.perf_counter()
            decision = lcm.on_report(trial, point, loss)
            if lcm.completed >= recorded:
                taken.append(time.perf_counter() - began)
            if decision is Decision.STOP:
                break
        else:
            lcm.on_complete(trial, curve[-1], -curve[-1])
    return 1e6 * median(taken)


PARTS = {"reports": reports, "idle": idle, "utilisation": utilisation}


def measured(part: str, ranks: int) -> dict[str, float]:
    """Measure a part in a job of its own."""
    command = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(ranks), sys.executable, __file__]
    environment = {
        **os.environ,
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_osc": "^ucx",
    }
    done = subprocess.run(
        [*command, "--part", part, "--ranks", str(ranks)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{part}: {done.stderr}")
    return last_line(done.stdout)


def last_line(output: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def exploit(data: str | None) -> dict[str, float]:
    """What mpi_exploit.py measures."""
    options = ["--data", data] if data else []
    command = [sys.executable, str(Path(__file__).with_name("mpi_exploit.py")), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("mpi_exploit.py failed")
    found = last_line(done.stdout)
    return {key: found[key] for key in ("exploit_ms", "exploit_files", "pbt_overhead")}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the MPI machinery costs.")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--data", metavar="FILE.npz", help="MNIST in the form of Keras; default: the cache of Keras")
    parser.add_argument("--no-exploit", action="store_true", help="leave out what mpi_exploit.py measures")
    given = parser.parse_args()
    if given.part:
        comm = communicator(given.ranks)
        with guarded(comm), tempfile.TemporaryDirectory() as folder:
            found = PARTS[given.part](comm, Path(folder))
            if comm.rank == 0:
                print(json.dumps(found), flush=True)
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    rows: dict[str, float] = {}
    parts: list[Callable[[], dict[str, float]]] = [
        lambda: measured("reports", RANKS),
        lambda: measured("idle", 3),
        lambda: measured("utilisation", RANKS),
        lambda: {"report_us_100": matching(100), "report_us_10000": matching(10_000)},
        *([] if given.no_exploit else [lambda: exploit(given.data)]),
    ]
    for part in parts:
        found = part()
        rows |= found
        for name, value in found.items():
            print(f"{name:24} {value:12.4g}", flush=True)
    rows["virtual_utilisation"], rows["virtual_utilisation_lcm"] = rows["virtual: used"], rows["virtual, lcm: used"]
    keys = ("reports_per_second", "exploit_ms", "exploit_files", "pbt_overhead", "report_us_100", "report_us_10000")
    print(
        json.dumps(
            {
                key: rows[key]
                for key in (*keys, "idle_cpu", "virtual_utilisation", "virtual_utilisation_lcm")
                if key in rows
            }
        )
    )


if __name__ == "__main__":
    main()
