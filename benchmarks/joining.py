"""Workers on one folder: how many reports a second they take together, and what limits them. One line of JSON.

Trainings are sleeps of some milliseconds for each report: the processor is left to what is measured. All processes are
there before the clock starts.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from hypercurve.config.experiment import Experiment
from hypercurve.events.journal import read_lines
from hypercurve.execution.joining import execute
from hypercurve.runs.meeting import Meeting, folder_of
from hypercurve.runs.resuming import partial_of
from hypercurve.runs.run import Run
from hypercurve.training.saving import SavingTrainer
from hypercurve.training.synthetic import SyntheticSession, SyntheticTrainer
from hypercurve.training.trainer import Report


class Sleeping(SyntheticSession):
    """A curve by formula that takes its time."""

    seconds = 0.05

    def advance(self, progress: float) -> Report:
        time.sleep(self.seconds)
        return super().advance(progress)


class SleepingTrainer(SyntheticTrainer):
    """Opens such sessions."""

    def open(self, trial: Any) -> Sleeping:
        return Sleeping(self, trial)


def setting_of(trials: int, workers: int) -> Any:
    """Ten reports a trial, and no decision that costs anything to speak of."""
    content = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "space": {"learning_rate": {"uniform": [0.0, 1.0]}, "momentum": {"uniform": [0.0, 1.0]}},
        "budget": {"trials": trials},
        "methods": {"m": {"search": "random", "stop": {"median": {}}, "workers": workers}},
    }
    return Experiment.model_validate(content).setting("e", "m")


def work(folder: Path, given: argparse.Namespace, ready: Barrier, told: Any) -> None:
    """A worker's process."""
    setting, output, places = setting_of(given.trials, given.workers), folder / "journal.jsonl", []
    Sleeping.seconds = given.milliseconds / 1000

    def meet(run: Run) -> Meeting:
        places.append(Meeting(folder_of(output, run.header), partial_of(output), 60.0, {"heartbeat": 60.0}))
        return places[-1]

    trainer = SavingTrainer(SleepingTrainer(failures=False), folder / "journal.states", minutes=None, memory=None)
    ready.wait()
    began, used = time.perf_counter(), time.process_time()
    execute(lambda: Run(setting, 0, samples=1000, data="none"), trainer, output, meet)
    place = places[0] if places else None
    told.put(
        {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - used,
            **({} if place is None else {"wait": place.waited, "held": place.held, "turns": place.turns}),
            **({} if place is None else {"sync": place.synced}),
        }
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--milliseconds", type=float, default=50.0, help="of a training between two reports")
    parser.add_argument("--folder", type=Path, help="on the file system that is to be measured")
    given = parser.parse_args()
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder, ready, told = Path(name), context.Barrier(given.workers + 1), context.Queue()
        processes = [context.Process(target=work, args=(folder, given, ready, told)) for _ in range(given.workers)]
        for process in processes:
            process.start()
        ready.wait()
        began = time.perf_counter()
        found = [told.get() for _ in processes]
        seconds = time.perf_counter() - began
        for process in processes:
            process.join()
        lines, _ = read_lines(folder / "journal.jsonl")
    reports = sum(line["event"] in ("reported", "completed", "failed") for line in lines)
    total = {key: sum(one.get(key, 0.0) for one in found) for key in ("wait", "held", "sync", "cpu", "turns")}
    print(
        json.dumps(
            {
                "workers": given.workers,
                "milliseconds": given.milliseconds,
                "cores": os.cpu_count(),
                "reports": reports,
                "seconds": round(seconds, 2),
                "reports_per_second": round(reports / seconds, 1),
                "share_training": round(reports * given.milliseconds / 1000 / seconds / given.workers, 3),
                "share_waiting_for_the_turn": round(total["wait"] / seconds / given.workers, 3),
                "share_of_time_the_turn_is_held": round(total["held"] / seconds, 3),
                "turn_ms": round(1000 * total["held"] / total["turns"], 2),
                "fsync_ms": round(1000 * total["sync"] / total["turns"], 2),
                "cpu_ms_per_report": round(1000 * total["cpu"] / reports, 2),
                "peak_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
            }
        )
    )


if __name__ == "__main__":
    main()
