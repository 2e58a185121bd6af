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
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events.journal import Journal
from hypercurve.execution.mpi import population
from hypercurve.execution.mpi import search as supervised
from hypercurve.execution.mpi.comm import communicator, guarded
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.training.synthetic import SyntheticTrainer
from scale_ranks import POINTS, ROW, Ranks, Recorded

RANKS = 100, 1_000, 10_000
ORDERS = "virtual", "arrival"
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
    seconds = trainings * ranks * recorded.mean
    given = setting({**methods(ranks)[method], "slots": round(slots * ranks), "order": order}, seconds)
    run, theirs = (Run(given, 0, samples=1, data="none") for _ in range(2))
    run.cost = theirs.cost = recorded
    before = peak()
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl") as journal:
        comm = Ranks(theirs, recorded, ranks)
        end, going = run.end, set[int]()

        def noted(*arguments: Any) -> Any:
            going.update(trial.number for trial in run.trials.values() if trial.status in ("running", "paused"))
            return end(*arguments)

        run.end = noted  # type: ignore[method-assign, assignment]
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
    content: dict[str, Any] = {
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
