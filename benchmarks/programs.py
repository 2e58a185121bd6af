"""What an evolution costs besides training, by both protocols of programs; ends with one line of JSON.

    python benchmarks/programs.py

Six members in one process, by the executor of populations, whose program (benchmarks/idle.c) trains nothing: so all of its
time is that of reports, states, copies and, by the first protocol, starts of processes. A program of a user's also reads its
data with each start, which is not counted here. Given are milliseconds per member and evolution, the median of several runs,
for states of 440 kB (the slides' network) and 40 MB; and milliseconds of processor time, those of programs and their starts
included, which count on a busy machine. Snapshots on the disk are left out: a thread writes them.
"""

import argparse
import gc
import json
import os
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events.journal import Journal
from hypercurve.execution.mpi import population
from hypercurve.execution.mpi.comm import communicator
from hypercurve.runs.run import Run
from hypercurve.training import make_trainer

HERE = Path(__file__).parent
MEMBERS = 6
SIZES = {"440_kB": 437_544, "40_MB": 40_000_000}
AIMS = {"440_kB": 3.0, "40_MB": 60.0}


def setting(program: Path, size: int, stays: bool, evolutions: int) -> Setting:
    """A population that evolves after every report."""
    arguments = [] if stays else ["--until={until}", "--resume={resume}", "--snapshot={snapshot}"]
    model: dict[str, Any] = {"command": [str(program), f"--bytes={size}", *arguments], "stays": stays}
    if not stays:
        model["command"].append("--rate={rate}")
    content = {
        "model": model,
        "objective": {"metric": "loss"},
        "space": {"rate": {"uniform": [0.1, 1.0]}, "epochs": evolutions},
        "budget": {"trials": MEMBERS},
        "methods": {
            "pbt": {"population": {"every": 1, "snapshot_every": 10**6, "explore": {"rate": {"factors": [0.8, 1.2]}}}}
        },
    }
    return Experiment.model_validate(content).setting("programs", "pbt")


def processor() -> float:
    """Seconds of processor time of this process, and of its children that have ended."""
    return sum(os.times()[:4])


def per_member(program: Path, size: int, stays: bool, evolutions: int) -> tuple[float, float]:
    """Milliseconds per member and evolution: after the first, which starts programs and finds room; of processor time."""
    began = processor()
    given = setting(program, size, stays, evolutions)
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl") as journal:
        run = Run(given, 0, samples=0, data="none", model="none")
        trainer = make_trainer(given, None)
        population.execute(
            run,
            trainer,
            journal,
            communicator(1),
            folder=Path(folder) / "snapshots",
            watch=lambda _: times.append(time.perf_counter()),
        )
    del run, trainer
    gc.collect()  # with which programs end
    spent = (processor() - began) / evolutions
    return 1000 * median(b - a for a, b in pairwise(times)) / MEMBERS, 1000 * spent / MEMBERS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each kind (default: 3)")
    runs = parser.parse_args().runs
    found: dict[str, float | bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "idle"
        source = HERE / "idle.c"
        subprocess.run(["cc", "-O2", f"-I{HERE.parent / 'examples'}", "-o", str(program), str(source)], check=True)
        for name, size in SIZES.items():
            for protocol, stays in (("segments", False), ("stays", True)):
                evolutions = 30 if size < 10**6 else 8
                measured = [per_member(program, size, stays, evolutions) for _ in range(runs)]
                wall, cpu = zip(*measured, strict=True)
                found[f"{protocol}_{name}_ms"], found[f"{protocol}_{name}_cpu_ms"] = (
                    round(median(one), 2) for one in (wall, cpu)
                )
                print(f"{protocol}, {name}: {', '.join(f'{one:.2f}' for one in wall)} ms per member", flush=True)
            found[f"aim_{name}"] = found[f"stays_{name}_ms"] <= AIMS[name]
    print(json.dumps({"benchmark": "programs", "members": MEMBERS, **found}))


if __name__ == "__main__":
    main()
